// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/twmb/avro"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

var kafkaWords = settings.Layout{Stream: "topic", Partition: "partition", Offset: "offset"}

// TestRowsOfASource: the columns of a source's schema, the row before and what
// has become of it are read by an independent library as they were told.
func TestRowsOfASource(t *testing.T) {
	t.Parallel()
	layout := settings.Layout{Stream: "table", Offset: "ordinal", ID: "lsn"}
	of := &source.RowSchema{Avro: `{"type":"record","name":"orders","fields":[{"name":"id","type":["null","long"]},{"name":"note","type":["null","string"]}]}`, Version: 3, Before: true}
	rows, err := OfSource(of, layout)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := avro.Parse(rows.Text)
	if err != nil {
		t.Fatalf("%s: %v", rows.Text, err)
	}
	stream := source.Stream{Name: "public.orders"}
	for name, test := range map[string]struct {
		record source.Record
		want   string
	}{
		"update": {source.Record{Offset: 7, Timestamp: 0, Value: []byte{2, 10, 0},
			Detail: &source.Detail{ID: []byte("0/16B"), Op: source.OpUpdate, Transaction: 9, Unchanged: []string{"note"}, Before: []byte{2, 8, 0}}},
			`{"_before":{"id":4,"note":null},"_record":{"headers":[],"key":null,"lsn":"0/16B","op":"update","ordinal":7,"schema_version":3,"table":"public.orders","timestamp":"1970-01-01T00:00:00Z","transaction":9,"unchanged":["note"]},"id":5,"note":null}`},
		"truncate": {source.Record{Offset: 8, Detail: &source.Detail{Op: source.OpTruncate}},
			`{"_before":null,"_record":{"headers":[],"key":null,"lsn":null,"op":"truncate","ordinal":8,"schema_version":3,"table":"public.orders","timestamp":"1970-01-01T00:00:00Z","transaction":null,"unchanged":[]},"id":null,"note":null}`},
		"no detail": {source.Record{Offset: 9, Value: []byte{0, 2, 2, 'x'}},
			`{"_before":null,"_record":{"headers":[],"key":null,"lsn":null,"op":null,"ordinal":9,"schema_version":3,"table":"public.orders","timestamp":"1970-01-01T00:00:00Z","transaction":null,"unchanged":[]},"id":null,"note":"x"}`},
	} {
		row := rows.Append(nil, stream, &test.record)
		var decoded map[string]any
		if rest, err := schema.Decode(row, &decoded); err != nil || len(rest) > 0 {
			t.Errorf("%s: %v, %d bytes are left", name, err, len(rest))
			continue
		}
		if got, err := json.Marshal(decoded); err != nil || string(got) != test.want {
			t.Errorf("%s: %v\n got %s\nwant %s", name, err, got, test.want)
		}
		if len(row) > rows.Most(&test.record) {
			t.Errorf("%s: the row has %d bytes, more than %d", name, len(row), rows.Most(&test.record))
		}
	}
	if _, err := rows.Columns(); err != nil {
		t.Error(err)
	}
	if _, err := OfSource(&source.RowSchema{Avro: `{"type":"record","name":"r","fields":[{"name":"id","type":"long"}]}`}, layout); err == nil || !strings.Contains(err.Error(), "id") {
		t.Errorf("a column that cannot be null: %v", err)
	}
}
