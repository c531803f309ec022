// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/view"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	created := time.Date(2026, 11, 30, 7, 0, 0, 123456789, time.UTC)
	for want, p := range map[string]Position{
		`{"v":1,"stream":"ORDERS","created":"2026-11-30T07:00:00.123456789Z","next":1201}`:                                        {Stream: "ORDERS", Created: created, Next: 1201},
		`{"v":1,"stream":"O","created":"2026-11-30T07:00:00.123456789Z","generation":2,"next":1,"subjects":["orders.eu.\u003e"]}`: {Stream: "O", Created: created, Generation: 2, Next: 1, Subjects: []string{"orders.eu.>"}},
	} {
		raw := p.Render()
		if string(raw) != want {
			t.Errorf("the form has changed, and older positions could not be read:\n got %s\nwant %s", raw, want)
		}
		if back, err := Parse(raw); err != nil || !reflect.DeepEqual(*back, p) {
			t.Errorf("%s became %+v, %v", raw, back, err)
		}
	}
	got, err := View(json.RawMessage(`{"v":1,"stream":"O","created":"2026-11-30T07:00:00.5Z","generation":2,"next":7,"subjects":["a","b"]}`))
	want := view.View{Identity: "O of 2026-11-30T07:00:00.5Z", Part: "a,b", Marks: []view.Mark{{Stream: "O", Generation: 2, Next: 7}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDamaged(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		``, `[]`, `{}`, `{"v":2,"stream":"O","created":"2026-11-30T07:00:00Z","next":1}`, `{"v":1,"stream":"","created":"2026-11-30T07:00:00Z","next":1}`,
		`{"v":1,"stream":"O","next":1}`, `{"v":1,"stream":"O","created":"2026-11-30T07:00:00Z"}`, `{"v":1,"stream":"O","created":"2026-11-30T07:00:00Z","next":-1}`,
		`{"v":1,"stream":"O","created":"yesterday","next":1}`, `{"v":1,"stream":"O","created":"2026-11-30T07:00:00Z","next":9223372036854775808}`,
	} {
		if p, err := Parse(json.RawMessage(raw)); err == nil {
			t.Errorf("%s was read: %+v", raw, p)
		}
	}
}
