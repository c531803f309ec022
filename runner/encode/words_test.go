// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestWordsOfTheSource: lines and dead letters have the coordinates as the
// source calls them, and what it tells of a record besides.
func TestWordsOfTheSource(t *testing.T) {
	t.Parallel()
	words := newJSONWords(settings.Layout{Stream: "table", Offset: "ordinal", ID: "lsn"})
	l := &jsonLines{words: words}
	stream := &source.Stream{Name: "public.orders"}
	for want, r := range map[string]source.Record{
		`{"table":"public.orders","ordinal":7,"lsn":"0/16B","timestamp":5,"key":null,"op":"update","transaction":9,"unchanged":["a","b\"c"],"before":{"id":1},"value":{"id":2}}` + "\n": {Offset: 7, Timestamp: 5, Value: []byte(`{"id":2}`),
			Detail: &source.Detail{ID: []byte("0/16B"), Op: source.OpUpdate, Transaction: 9, Unchanged: []string{"a", `b"c`}, Before: []byte(`{"id":1}`)}},
		`{"table":"public.orders","ordinal":8,"timestamp":0,"key":null,"op":"truncate","value":null}` + "\n": {Offset: 8, Detail: &source.Detail{Op: source.OpTruncate}},
		`{"table":"public.orders","ordinal":9,"timestamp":0,"key":"k","value_base64":"eA=="}` + "\n":         {Offset: 9, Key: []byte("k"), Value: []byte("x")},
	} {
		got := l.append(nil, stream, &r)
		if string(got) != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		if len(got) > mostJSON(&r) {
			t.Errorf("a line has %d bytes, more than %d", len(got), mostJSON(&r))
		}
	}
	d := &DeadLetters{words: words, reason: "no"}
	r := source.Record{Offset: 1, Value: []byte("x"), Detail: &source.Detail{ID: []byte("\xff"), Op: source.OpInsert}}
	if got, want := string(d.append(nil, stream, &r)), `{"reason":"no","table":"public.orders","ordinal":1,"lsn":"`+"\uFFFD"+`","timestamp":0,"key":null,"op":"insert","value_base64":"eA=="}`+"\n"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	for name, want := range map[string]string{"orders": "orders", "a/b": "a%2Fb", "..": "%2E.", "_x": "_x", `public."A b"`: "public.%22A%20b%22"} {
		if got := streamFolder(source.Stream{Name: name, Generation: 2}); got != want+"~2" {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// newTestLines appends JSON lines in Kafka's words.
func newTestLines() *jsonLines {
	return &jsonLines{words: newJSONWords(settings.Default().Layout())}
}
