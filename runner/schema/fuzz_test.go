// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// bounded fails if do takes more time or allocates more than input of a length
// may cost. A second is a hundred times what a machine that does nothing else
// takes; tests run on some that do.
func bounded(t testing.TB, length int, do func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	do()
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	if most := time.Second + time.Duration(length)*20*time.Microsecond; took > most {
		t.Errorf("%d bytes took %v", length, took)
	}
	if allocated, most := after.TotalAlloc-before.TotalAlloc, uint64(64<<20+2000*length); allocated > most {
		t.Errorf("%d bytes allocated %d MiB", length, allocated>>20)
	}
}

// values tries a schema and a value of it: whatever they are, it ends in
// bounds, and what is taken is a row that the library reads and columns hold.
func tryValue(t *testing.T, kind sr.SchemaType, schema string, payload []byte) {
	t.Helper()
	for _, columns := range []bool{false, true} {
		bounded(t, len(schema)+len(payload), func() {
			v, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 1, kind, []Source{{Text: schema}}, mostColumns(columns), largest)
			if err != nil {
				return
			}
			rows, value, err := v.Decode(nil, payload)
			if err != nil {
				return
			}
			row := rows.Append(nil, source.Stream{Name: "t"}, &source.Record{Value: value})
			if err := rows.Type.Check(row); err != nil {
				t.Errorf("%s, %q: its row is damaged: %v", schema, payload, err)
			}
			if columns {
				layout, err := rows.Columns()
				if err != nil {
					t.Fatal(err)
				}
				layout.Shred(make([][]parquet.Value, layout.Leaves), row)
				return
			}
			s, err := avro.Parse(rows.Text, avro.WithLaxNames(nil))
			if err != nil {
				t.Fatalf("%s becomes %s: %v", schema, rows.Text, err)
			}
			if len(row) > 1<<16 {
				return
			}
			var got any
			if rest, err := s.Decode(row, &got); err != nil && !strings.Contains(err.Error(), "limit") || err == nil && len(rest) > 0 {
				t.Errorf("%s, %q: the library says %v, %d bytes left", schema, payload, err, len(rest))
			}
		})
	}
}

func FuzzAvro(f *testing.F) {
	for schema, value := range map[string]string{
		orderAvro: "\x02\x06Ada\x02\x02a\x02\x04\x00\x00", `"bytes"`: "abc", `["null","string"]`: "\x02\x02a",
		`{"type":"array","items":{"type":"array","items":"null"}}`:                                                                             "\xe8\x07\xd0\xf7\x07\x00\x00",
		`{"type":"record","name":"Node","namespace":"org.x","fields":[{"name":"value","type":"long"},{"name":"next","type":["null","Node"]}]}`: "\x02\x02\x04\x00",
		`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"fixed","name":"F","size":2,"logicalType":"decimal","precision":5}},{"name":"e","type":{"type":"enum","name":"E","symbols":["X"]},"default":"Y"},{"name":"m","type":{"type":"map","values":"F"}}]}`: "ab\x00\x02\x02kab\x00",
		`{"type":"record","name":"A","namespace":"a.b","fields":[{"name":"x","type":{"type":"record","name":"A","namespace":"","fields":[]}},{"name":"n","type":"null"},{"name":"z","type":["int",{"type":"fixed","name":"Z","size":0}]}]}`:                                   "\x02",
	} {
		f.Add(schema, []byte(value))
	}
	f.Fuzz(func(t *testing.T, schema string, value []byte) { tryValue(t, sr.TypeAvro, schema, value) })
}

func FuzzJSON(f *testing.F) {
	for schema, value := range map[string]string{
		`{"$defs":{"a":{"properties":{"b":{"$ref":"#/$defs/b"}}},"b":{"properties":{"a":{"$ref":"#/$defs/a"}}}},"properties":{"x":{"$ref":"#/$defs/a"}}}`:                                     `{"x":{"b":{}}}`,
		`{"type":"object","required":["a"],"properties":{"a":{"type":"integer"},"b":{"type":["null","number"]},"c":{"type":"array","items":{"type":"string"}}},"additionalProperties":false}`: `{"a":1e3,"b":0.5,"c":["\u00e9"]}`,
		`{"type":"object","additionalProperties":{"type":"boolean"}}`: `{"a":true,"a":false}`, `true`: `[1,{"a":null}]`,
		`{"$id":"http://e.com/x","$defs":{"n":{"$anchor":"n","type":"integer"}},"oneOf":[{"$ref":"#n"},{"type":"null"}]}`: `9007199254740993.0`,
	} {
		f.Add(schema, []byte(value))
	}
	f.Fuzz(func(t *testing.T, schema string, value []byte) { tryValue(t, sr.TypeJSON, schema, value) })
}

func FuzzProtobufSchema(f *testing.F) {
	for schema, value := range map[string]string{
		shopProto: "\x00", `syntax = "proto3"; message M { M m = 1; map<string, M> e = 2; }`: "\x00\x0a\x00\x12\x03\x0a\x01k",
		`syntax = "proto2"; message M { required group G = 1 { repeated int32 x = 2 [packed = true]; } }`: "\x00\x0b\x12\x01\x05\x0c",
	} {
		f.Add(schema, []byte(value))
	}
	f.Fuzz(func(t *testing.T, schema string, value []byte) { tryValue(t, sr.TypeProtobuf, schema, value) })
}
