// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// columnsOfRow takes a row apart into columns and puts the file together again
// with the library.
func columnsOfRow(t testing.TB, rows *Rows, value []byte) any {
	t.Helper()
	layout, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	columns := make([][]parquet.Value, layout.Leaves)
	layout.Shred(columns, rows.Append(nil, source.Stream{Name: "t"}, &source.Record{Value: value}))
	var out bytes.Buffer
	w := parquet.NewGenericWriter[any](&out, layout.Schema)
	for i, column := range w.ColumnWriters() {
		if _, err := column.WriteRowValues(columns[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	back, err := parquet.Read[any](bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil || len(back) != 1 {
		t.Fatal(back, err)
	}
	return back[0]
}

const treeAvro = `{"type":"record","name":"Node","fields":[{"name":"name","type":"string"},{"name":"below","type":{"type":"array","items":"Node"}}]}`

func tree(names ...string) map[string]any {
	below := []any{}
	if len(names) > 1 {
		below = append(below, tree(names[1:]...))
	}
	return map[string]any{"name": names[0], "below": below}
}

// TestUnfold: what contains itself is columns as deep as is asked for, and JSON
// from there on.
func TestUnfold(t *testing.T) {
	t.Parallel()
	type object = map[string]any
	for _, test := range []struct {
		name    string
		kind    sr.SchemaType
		schema  string
		value   any // of Avro, or the payload
		depth   int
		columns int
		want    string // as JSON of the row
	}{
		{"a tree", sr.TypeAvro, treeAvro, tree("a", "b", "c", "d"), 1, maxColumns, `{"value":{"name":"a","below":[{"name":"b","below":[{"name":"c","below":[{"name":"d","below":[]}]}]}]}}`},
		{"a tree that is not deep", sr.TypeAvro, treeAvro, tree("a"), 2, maxColumns, `{"value":{"name":"a","below":[]}}`},
		{"not at all", sr.TypeAvro, treeAvro, tree("a", "b"), 0, maxColumns, `{"value":{"name":"a","below":[{"name":"b","below":[]}]}}`},
		{"a list", sr.TypeAvro, `{"type":"record","name":"L","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","L"]}]}`,
			object{"v": 1, "next": object{"v": 2, "next": object{"v": 3, "next": nil}}}, 1, maxColumns, `{"value":{"v":1,"next":{"v":2,"next":{"v":3,"next":null}}}}`},
		{"beside others", sr.TypeAvro, `{"type":"record","name":"R","fields":[{"name":"id","type":"long"},{"name":"root","type":` + treeAvro + `},{"name":"again","type":["null","Node"]}]}`,
			object{"id": 1, "root": tree("a", "b", "c"), "again": tree("x", "y", "z")}, 1, maxColumns,
			`{"id":1,"root":{"name":"a","below":[{"name":"b","below":[{"name":"c","below":[]}]}]},"again":{"name":"x","below":[{"name":"y","below":[{"name":"z","below":[]}]}]}}`},
		{"by way of another", sr.TypeAvro, `{"type":"record","name":"A","fields":[{"name":"b","type":["null",{"type":"record","name":"B","fields":[{"name":"a","type":{"type":"map","values":"A"}}]}]}]}`,
			object{"b": object{"a": object{"k": object{"b": object{"a": object{}}}}}}, 0, maxColumns, `{"value":{"b":{"a":{"k":{"b":{"a":{}}}}}}}`},
		{"too many columns", sr.TypeAvro, `{"type":"record","name":"W","fields":[{"name":"a","type":["null","W"]},{"name":"b","type":["null","W"]},{"name":"c","type":["null","W"]}]}`,
			object{"a": object{"a": object{"a": nil, "b": nil, "c": nil}, "b": nil, "c": nil}, "b": nil, "c": nil}, 10, 50, `{"value":{"a":{"a":{"a":null,"b":null,"c":null},"b":null,"c":null},"b":null,"c":null}}`},
		{"a message", sr.TypeProtobuf, `syntax = "proto3"; message M { string s = 1; M m = 2; repeated M l = 3; }`, "\x00\x0a\x01a\x12\x05\x12\x03\x0a\x01c\x1a\x00", 0, maxColumns,
			`{"value":{"s":"a","m":{"s":"","m":{"s":"c","m":null,"l":[]},"l":[]},"l":[{"s":"","m":null,"l":[]}]}}`},
		{"struct", sr.TypeProtobuf, `syntax = "proto3"; import "google/protobuf/struct.proto"; message M { google.protobuf.Struct s = 1; }`, "\x00\x0a\x0a\x0a\x08\x0a\x01a\x12\x03\x1a\x01b", 1, maxColumns,
			`{"s":{"fields":{"a":{"null_value":null,"number_value":null,"string_value":"b","bool_value":null,"struct_value":null,"list_value":null}}}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := &maker{of: CoordinatesOf(kafkaWords), columns: test.columns, largest: largest, depth: test.depth}
			v, err := m.values(t.Context(), 1, "1", test.kind, []Source{{Text: test.schema}})
			if err != nil {
				t.Fatal(err)
			}
			var payload []byte
			if text, ok := test.value.(string); ok {
				payload = []byte(text)
			} else if payload, err = avro.MustParse(test.schema).Encode(test.value); err != nil {
				t.Fatal(err)
			}
			var scratch []byte
			for range 2 {
				rows, value, err := v.Decode(scratch, payload)
				if err != nil {
					t.Fatal(err)
				}
				got, _, err := rows.own().AppendJSON(nil, value, largest)
				if string(got) != test.want || err != nil {
					t.Errorf("%s, want %s, %v", got, test.want, err)
				}
				columnsOfRow(t, rows, value)
				if _, err := avro.Parse(rows.Text, avro.WithLaxNames(nil)); err != nil {
					t.Error(rows.Text, err)
				}
				scratch = value
			}
			if test.kind != sr.TypeProtobuf {
				if _, err := v.Rows().Tombstones().Columns(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestUnfoldedRules: fields and masks reach into what contains itself.
func TestUnfoldedRules(t *testing.T) {
	t.Parallel()
	for _, columns := range []int{0, maxColumns} {
		m := &maker{of: CoordinatesOf(kafkaWords), columns: columns, largest: largest, depth: 1}
		v, err := m.values(t.Context(), 1, "1", sr.TypeAvro, []Source{{Text: treeAvro}})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := avro.MustParse(treeAvro).Encode(tree("a", "b", "c"))
		if err != nil {
			t.Fatal(err)
		}
		rows, value, err := v.Decode(nil, payload)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"name", "value.name"} {
			got, ok, err := rows.Finder(strings.Split(field, "."), nil).Append(nil, value, largest)
			if string(got) != "a" || !ok || err != nil {
				t.Error(field, string(got), ok, err)
			}
			masks := &Tree{}
			masks.Add(strings.Split(field, ".")).Mask = stars{}
			masks.Add(strings.Split(strings.Replace(field, "name", "below.name", 1), ".")).Mask = stars{}
			shape, err := rows.Reshape(Reshaping{Masks: masks, Unfold: -1, Most: largest})
			if err != nil {
				t.Fatal(err)
			}
			masked, err := shape.Apply(nil, value)
			if err != nil {
				t.Fatal(err)
			}
			if err := shape.Rows.own().Check(masked); err != nil {
				t.Fatal(err)
			}
			line, err := shape.Rows.AppendJSON(nil, masked, largest)
			if want := `{"name":"*","below":[{"name":"*","below":[{"name":"c","below":[]}]}]}`; string(line) != want || err != nil {
				t.Errorf("%d columns: %s, want %s, %v", columns, line, want, err)
			}
			if _, err := avro.Parse(shape.Rows.Text, avro.WithLaxNames(nil)); err != nil {
				t.Error(shape.Rows.Text, err)
			}
		}
	}
}

type stars struct{}

func (stars) Mask(dst, _ []byte) []byte { return append(dst, '*') }

// TestHostileTrees: types that contain themselves in many ways take neither
// long nor much memory.
func TestHostileTrees(t *testing.T) {
	t.Parallel()
	var wide strings.Builder
	wide.WriteString(`{"type":"record","name":"W","fields":[`)
	for i := range 1000 {
		if i > 0 {
			wide.WriteByte(',')
		}
		wide.WriteString(`{"name":"f` + string(rune('a'+i%26)) + strings.Repeat("x", i/26) + `","type":["null","W"]}`)
	}
	wide.WriteString(`]}`)
	deep := `"Z"`
	for i := range 20 { // each has the next twice, and the last the first
		name := string(rune('A'+i%26)) + strings.Repeat("y", i/26)
		deep = `{"type":"record","name":"` + name + `","fields":[{"name":"a","type":["null",` + deep + `]},{"name":"b","type":["null","Z"]}]}`
	}
	deep = `{"type":"record","name":"Z","fields":[{"name":"a","type":["null",` + strings.ReplaceAll(deep, `"name":"Z"`, `"name":"Zz"`) + `]}]}`
	for _, schema := range []string{wide.String(), deep} {
		began := time.Now()
		m := &maker{of: CoordinatesOf(kafkaWords), columns: maxColumns, largest: largest, depth: 10}
		v, err := m.values(t.Context(), 1, "1", sr.TypeAvro, []Source{{Text: schema}})
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
		if err != nil {
			t.Error(err)
		} else if n := v.Rows().laid.Load().Leaves; n > maxColumns {
			t.Errorf("%d columns", n)
		}
	}
	// A long list is JSON of about its own length.
	const list = `{"type":"record","name":"L","fields":[{"name":"next","type":{"type":"array","items":"L"}}]}`
	m := &maker{of: CoordinatesOf(kafkaWords), columns: maxColumns, largest: 1 << 20, depth: 1}
	v, err := m.values(t.Context(), 1, "1", sr.TypeAvro, []Source{{Text: list}})
	if err != nil {
		t.Fatal(err)
	}
	payload := append(binary.AppendVarint([]byte{2}, 300_000), make([]byte, 300_002)...)
	if _, value, err := v.Decode(nil, payload); err == nil {
		t.Errorf("%d bytes became %d", len(payload), len(value))
	}
}
