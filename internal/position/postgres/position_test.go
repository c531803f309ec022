// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/view"
)

const example = `{"v":1,"system":"7123","timeline":1,"database":16384,"slot":"orders","publication":"orders","lsn":"16/B374D848",` +
	`"tables":{"public.a":{"next":0},"public.orders":{"next":1200,"schema":2,"columns":"5f0c"}},"relations":{"16385":"16/B3740000","16390":"-0/0"}}`

// A position is written as it was read, byte by byte.
func TestPositions(t *testing.T) {
	t.Parallel()
	p, err := Parse(json.RawMessage(example))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(p.Render()); got != example {
		t.Errorf("got  %s\nwant %s", got, example)
	}
	if !p.Relations[16390].Absent || p.Relations[16385].Absent || p.LSN != 0x16B374D848 {
		t.Errorf("%+v", p)
	}
	got, err := View(json.RawMessage(example))
	want := view.View{Identity: "7123/16384", Part: "orders", Marks: []view.Mark{{Stream: "public.a", Text: "16/B374D848"}, {Stream: "public.orders", Next: 1200, Text: "16/B374D848"}}}
	if got.Sort(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	const floored = `{"v":2,"system":"1","timeline":0,"database":0,"slot":"s","publication":"","lsn":"0/0","tables":{},"relations":{},"floor":{"next":7,"schema":2}}`
	if p, err := Parse(json.RawMessage(floored)); err != nil || string(p.Render()) != floored {
		t.Errorf("%+v, %v", p, err)
	}
	for _, damaged := range []string{``, `[]`, `{}`, `{"v":3,"system":"1","slot":"s"}`, `{"v":2,"system":"1","slot":"s","floor":{"next":-1}}`, `{"v":1}`, `{"v":1,"system":"1","slot":"s","lsn":"7"}`, `{"v":1,"system":"1","slot":"s","tables":{"t":null}}`,
		`{"v":1,"system":"1","slot":"s","tables":{"t":{"next":-1}}}`, `{"v":1,"system":"1","slot":"s","relations":{"x":"0/0"}}`, `{"v":1,"system":"1","slot":"s","relations":{"1":null}}`} {
		if _, err := Parse(json.RawMessage(damaged)); err == nil {
			t.Errorf("%s is taken", damaged)
		}
	}
}
