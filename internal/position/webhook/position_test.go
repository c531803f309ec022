// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/window"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	p := New()
	p.Endpoints["stripe"], p.Endpoints["github"] = 7, 0
	p.Window = window.Window{Added: 9, Runs: []window.Run{{At: 60, IDs: []uint64{1}}}}
	raw := p.Render()
	if want := `{"v":1,"endpoints":{"github":0,"stripe":7},"window":{"added":9,"ids":[[60,"AAAAAAAAAAE="]]}}`; string(raw) != want {
		t.Errorf("%s, should be %s", raw, want)
	}
	back, err := Parse(raw)
	if err != nil || string(back.Render()) != string(raw) {
		t.Errorf("%v %v", back, err)
	}
	v, err := View(raw)
	if err != nil || len(v.Marks) != 2 {
		t.Errorf("%v %v", v, err)
	}
}

func TestDamaged(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{``, `{}`, `[]`, `{"v":2,"endpoints":{}}`, `{"v":1,"endpoints":{"a":-1}}`, `{"v":1,"endpoints":{"a":"x"}}`, `{"v":1,"endpoints":{},"window":{"added":0,"ids":[[1,"AAAAAAAAAAE="]]}}`} {
		if _, err := Parse([]byte(raw)); err == nil {
			t.Errorf("%s was read", raw)
		}
	}
}
