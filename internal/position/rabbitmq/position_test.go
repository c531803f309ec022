// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/view"
)

// TestPositions: what is rendered is read back, byte by byte the same.
func TestPositions(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]view.View{
		`{"v":1,"vhost":"/","queues":{"orders":{"next":3,"window":{"added":3,"ids":[[1764547200,"AAAAAAAAAAEAAAAAAAAAAg=="]]}},"payments":{"next":0,"window":{"added":0,"ids":[]}}}}`: {
			Identity: "/", Kind: "queue", Marks: []view.Mark{{Stream: "orders", Next: 3}, {Stream: "payments"}}},
		`{"v":1,"vhost":"shop","streams":{"a":{"generation":2,"next":7,"at":1764547200000,"sum":4294967295},"b":{"next":0,"begin":"first"},"c":{"next":12,"begin":"offset"}}}`: {
			Identity: "shop", Kind: "stream", Marks: []view.Mark{{Stream: "a", Generation: 2, Next: 7}, {Stream: "b"}, {Stream: "c", Next: 12}}},
		`{"v":1,"vhost":"/","streams":{}}`: {Identity: "/", Kind: "stream"},
	} {
		p, err := Parse(json.RawMessage(raw))
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if got := string(p.Render()); got != raw {
			t.Errorf("%s became %s", raw, got)
		}
		v, err := View(json.RawMessage(raw))
		if v.Sort(); err != nil || !reflect.DeepEqual(v, want) {
			t.Errorf("%+v, %v", v, err)
		}
	}
	for _, damaged := range []string{``, `[]`, `{}`, `{"v":2,"vhost":"/","queues":{}}`, `{"v":1,"vhost":"/"}`, `{"v":1,"vhost":"","queues":{}}`, `{"v":1,"vhost":"/","queues":{"a":null}}`,
		`{"v":1,"vhost":"/","queues":{"a":{"next":-1}}}`, `{"v":1,"vhost":"/","streams":{"a":{"next":1,"generation":-1}}}`, `{"v":1,"vhost":"/","queues":{},"streams":{}}`,
		`{"v":1,"vhost":"/","streams":{"a":{"next":1,"sum":-1}}}`} {
		if _, err := Parse(json.RawMessage(damaged)); err == nil {
			t.Errorf("%s is a position", damaged)
		}
	}
}
