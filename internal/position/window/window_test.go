// SPDX-License-Identifier: Apache-2.0

package window

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, w := range []Window{{}, {Added: 3, Runs: []Run{{0, []uint64{1, 1 << 63, 7}}}}, {Added: 900, Runs: []Run{{5, []uint64{1}}, {6, []uint64{2, 3}}}}} {
		raw := w.Append(nil)
		var back Window
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatal(string(raw), err)
		}
		if again := back.Append(nil); string(again) != string(raw) || back.Added != w.Added || len(w.Runs) > 0 && !reflect.DeepEqual(back.Runs, w.Runs) {
			t.Errorf("%s became %s", raw, again)
		}
	}
	if got := string((&Window{Added: 3, Runs: []Run{{12, []uint64{1, 2}}}}).Append(nil)); got != `{"added":3,"ids":[[12,"AAAAAAAAAAEAAAAAAAAAAg=="]]}` {
		t.Errorf("the form has changed, and older positions could not be read: %s", got)
	}
}

func TestDamaged(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`{"added":1,"ids":[[12,"AAAAAAAAAAEAAAAAAAAAAg=="]]}`, // more than were ever added
		`{"added":9,"ids":[[12,"AAAA"]]}`,
		`{"added":9,"ids":[[12,""]]}`,
		`{"added":9,"ids":[[12,"?"]]}`,
		`{"added":9,"ids":[[-1,"AAAAAAAAAAE="]]}`,
		`{"added":9,"ids":[["x","AAAAAAAAAAE="]]}`,
		`{"added":9,"ids":[[2,"AAAAAAAAAAE="],[2,"AAAAAAAAAAI="]]}`,
		`{"added":-1,"ids":[]}`, `[]`, `{"added":1,"ids":{}}`, `{"added":1,"ids":[[]]}`, `{"added":1,"ids":[[1]]}`,
	} {
		if err := json.Unmarshal([]byte(raw), &Window{}); err == nil {
			t.Errorf("%s was read", raw)
		}
	}
}
