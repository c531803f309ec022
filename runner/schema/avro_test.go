// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
)

// avroOf returns the values of a schema for Avro files, and what the library
// makes of the files' schema, which is as strict as the strictest reader but
// for names.
func avroOf(t testing.TB, text string) (*Values, *avro.Schema) {
	t.Helper()
	v, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 5, sr.TypeAvro, []Source{{Text: text}}, 0, largest)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	of, err := parseAvro([]Source{{Text: text}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := avro.Parse(must(textOf(CoordinatesOf(kafkaWords).beside(of, ""))), avro.WithLaxNames(nil))
	if err != nil {
		t.Fatalf("%s becomes %s: %v", text, must(textOf(CoordinatesOf(kafkaWords).beside(of, ""))), err)
	}
	return v, s
}

// A record that is met again within itself has its coordinates beside it, not
// in it: there is no other way to have them once.
func TestRootInItself(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ schema, payload, want string }{
		"directly": {`{"type":"record","name":"Node","namespace":"org.x","fields":[{"name":"value","type":"long"},{"name":"next","type":["null","Node"]}]}`,
			"\x02\x02\x04\x00", `{"value":{"next":{"next":null,"value":2},"value":1}}`},
		"through another": {`{"type":"record","name":"A","fields":[{"name":"bs","type":{"type":"array","items":{"type":"record","name":"B","fields":[{"name":"a","type":["null","A"]}]}}}]}`,
			"\x02\x02\x00\x00", `{"value":{"bs":[{"a":{"bs":[]}}]}}`},
		"another in itself": {`{"type":"record","name":"A","fields":[{"name":"b","type":{"type":"record","name":"B","fields":[{"name":"b","type":["null","B"]}]}}]}`,
			"\x02\x00", `{"b":{"b":{"b":null}}}`},
		"names of this program": {`{"type":"record","name":"pachyderm.spout.SpoutRecord","fields":[{"name":"x","type":{"type":"record","name":"SpoutHeader","fields":[{"name":"y","type":"long"}]}},
			{"name":"_record","type":"long"}]}`, "\x02\x04", ""},
	} {
		v, _ := avroOf(t, test.schema)
		if test.want == "" {
			continue
		}
		if got, err := rowOf(t, v, []byte(test.payload)); got != test.want || err != nil {
			t.Errorf("%s: %s (%v), want %s", name, got, err, test.want)
		}
	}
	// The same from Protobuf.
	v, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 1, sr.TypeProtobuf, []Source{{Text: `syntax = "proto3"; package p; message Node { int32 v = 1; Node next = 2; }`}}, 0, largest)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := rowOf(t, v, []byte("\x00\x08\x01\x12\x02\x08\x02")); got != `{"value":{"next":{"next":null,"v":2},"v":1}}` || err != nil {
		t.Error(got, err)
	}
}

// What Java's Avro takes is taken, and the files' schema is one that strict
// readers take, too.
func TestAvroAsJavaTakesIt(t *testing.T) {
	t.Parallel()
	record := func(fields string) string {
		return `{"type":"record","name":"R","namespace":"n","fields":[` + fields + `]}`
	}
	for name, test := range map[string]struct{ schema, field string }{
		"dash in a namespace":       {`{"type":"record","name":"Envelope","namespace":"my-prefix.inventory","fields":[{"name":"a","type":"int"}]}`, `{"name":"a","type":"int"}`},
		"null for a string":         {record(`{"name":"a","type":"string","default":null}`), `{"name":"a","type":"string"}`},
		"a string for a long":       {record(`{"name":"a","type":"long","default":"0"}`), `{"name":"a","type":"long"}`},
		"a fraction for an int":     {record(`{"name":"a","type":"int","default":1.5}`), `{"name":"a","type":"int"}`},
		"nothing for a record":      {record(`{"name":"a","type":{"type":"record","name":"S","fields":[{"name":"x","type":"int"}]},"default":{}}`), `{"name":"a","type":{"type":"record","name":"S","fields":[{"name":"x","type":"int"}]}}`},
		"a default that fits":       {record(`{"name":"a","type":["null","long"],"default":null,"doc":"d"}`), `{"name":"a","type":["null","long"],"default":null,"doc":"d"}`},
		"of no symbol":              {record(`{"name":"a","type":{"type":"enum","name":"E","symbols":["X"],"default":"Y"},"default":"Z"}`), `{"name":"a","type":{"type":"enum","name":"E","symbols":["X"]}}`},
		"no precision":              {record(`{"name":"a","type":{"type":"bytes","logicalType":"decimal"}}`), `{"name":"a","type":"bytes"}`},
		"a decimal":                 {record(`{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2,"connect.name":"x"}}`), `{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2,"connect.name":"x"}}`},
		"scale above precision":     {record(`{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":2,"scale":3}}`), `{"name":"a","type":{"type":"bytes","precision":2,"scale":3}}`},
		"negative scale":            {record(`{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":2,"scale":-1}}`), `{"name":"a","type":{"type":"bytes","precision":2,"scale":-1}}`},
		"fixed too small":           {record(`{"name":"a","type":{"type":"fixed","name":"F","size":2,"logicalType":"decimal","precision":5,"scale":0}}`), `{"name":"a","type":{"type":"fixed","name":"F","size":2,"precision":5,"scale":0}}`},
		"a date of text":            {record(`{"name":"a","type":{"type":"string","logicalType":"date"}}`), `{"name":"a","type":"string"}`},
		"alias of another field":    {record(`{"name":"a","type":"int"},{"name":"b","aliases":["a"],"type":"int"}`), `{"name":"b","type":"int"}`},
		"alias":                     {record(`{"name":"b","aliases":["a"],"type":"int"}`), `{"name":"b","type":"int","aliases":["a"]}`},
		"no namespace":              {record(`{"name":"a","type":{"type":"record","name":"S","namespace":"","fields":[{"name":"x","type":{"type":"fixed","name":"F","size":1}}]}},{"name":"b","type":"S"}`), `{"name":"b","type":"pachyderm.spout.S"}`},
		"none, referred to nowhere": {record(`{"name":"a","type":{"type":"record","name":"S","namespace":"","fields":[{"name":"x","type":"int"}]}}`), `{"type":"record","name":"S","namespace":"",`},
		"letters that are not A-Z":  {record(`{"name":"größe","type":"int"}`), `{"name":"größe","type":"int"}`},
		"types in types":            {record(`{"name":"a","type":{"type":{"type":"array","items":"int"}}}`), `{"name":"a","type":{"type":"array","items":"int"}}`},
		"a name of Avro":            {record(`{"name":"a","type":{"type":"record","name":"map","fields":[]}},{"name":"b","type":"n.map"}`), `{"name":"b","type":"n.map"}`},
		"default of a later branch": {record(`{"name":"a","type":["null","string"],"default":"x"}`), `"default":"x"`},
	} {
		v, s := avroOf(t, test.schema)
		if !strings.Contains(s.String(), test.field) {
			t.Errorf("%s: %s has no %s", name, s, test.field)
		}
		if v.Files()["5.avsc"] != test.schema {
			t.Errorf("%s: the file of the schema is not what is registered", name)
		}
	}
	for text, want := range map[string]string{
		`{`: "not JSON", `"Missing"`: `"Missing" is not defined`, `[]`: "no types", `["int","int"]`: "int twice", `["int",["null"]]`: "directly in a union",
		`{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}`: "two fields called a", `{"type":"fixed","name":"F"}`: "no size",
		`{"type":"record","name":"a b","fields":[]}`: "not a name", `{"type":"array"}`: `no "items"`, `7`: "not a type", `{}`: "has no type", `{"type":"record","name":"R","fields":[{"name":"a"}]}`: "has no type",
		`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"record","name":"R","fields":[]}}]}`: "defined twice",
	} {
		if _, err := parseAvro([]Source{{Text: text}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// The serializer of the registry's maker writes values of the schema "bytes" as
// they are.
func TestBytesWithoutLength(t *testing.T) {
	t.Parallel()
	v, _ := avroOf(t, `"bytes"`)
	for _, payload := range []string{"", "\x06abc", "x"} {
		got, err := rowOf(t, v, []byte(payload))
		want, _ := json.Marshal(map[string]any{"value": []byte(payload)})
		if got != string(want) || err != nil {
			t.Errorf("%q: %s (%v)", payload, got, err)
		}
	}
}

// What one reader or another refuses a whole file for is not in Parquet.
func TestColumnsThatReadersTake(t *testing.T) {
	t.Parallel()
	v, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 1, sr.TypeAvro, []Source{{Text: `{"type":"record","name":"R","fields":[{"name":"m","type":{"type":"map","values":"int"}},
		{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":39,"scale":2}},{"name":"e","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":2}}]}`}}, maxColumns, largest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rowOf(t, v, []byte("\x04\x02k\x02\x02k\x04\x00\x00\x00")); err == nil || !strings.Contains(err.Error(), "a key twice") {
		t.Errorf("a key twice: %v", err)
	}
	rows, _, err := v.Decode(nil, []byte("\x04\x02k\x02\x02l\x04\x00\x00\x00"))
	if err != nil {
		t.Fatal(err)
	}
	layout, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	text := layout.Schema.String()
	if !strings.Contains(text, "binary d;") || !strings.Contains(text, "binary e (DECIMAL(38,2))") {
		t.Error(text)
	}
}

// Bounds of schemas and values of Avro.
func TestAvroBounds(t *testing.T) {
	t.Parallel()
	chain := func(levels int, leaf string) string {
		types := leaf
		for i := range levels {
			types = fmt.Sprintf(`{"type":"record","name":"R%d","fields":[{"name":"a","type":%s},{"name":"b","type":"R%d"}]}`, i+1, types, i)
		}
		return types
	}
	nulls := chain(30, `{"type":"record","name":"R0","fields":[{"name":"n","type":"null"}]}`)
	v, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 1, sr.TypeAvro, []Source{{Text: nulls}}, 0, largest)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.Decode(nil, nil); err == nil || !strings.Contains(err.Error(), "too many parts") {
		t.Errorf("2^30 nulls: %v", err)
	}
	if _, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 1, sr.TypeAvro, []Source{{Text: nulls}}, maxColumns, largest); err == nil || !strings.Contains(err.Error(), "more than 5100 columns") {
		t.Errorf("2^30 columns: %v", err)
	}
	if _, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 1, sr.TypeAvro, []Source{{Text: chain(60, `{"type":"record","name":"R0","fields":[]}`)}}, 0, largest); !errors.Is(err, errDeep) {
		t.Errorf("nested too deep: %v", err)
	}
	if _, err := parseAvro([]Source{{Text: `["` + strings.Repeat(`a`, 10) + strings.Repeat(`"],["`, 1) + `"]`}}); err == nil {
		t.Error("nonsense is a schema")
	}
	var fields []string
	for i := range maxTypes + 1 {
		fields = append(fields, fmt.Sprintf(`{"name":"f%d","type":"int"}`, i))
	}
	if _, err := parseAvro([]Source{{Text: `{"type":"record","name":"R","fields":[` + strings.Join(fields, ",") + `]}`}}); err == nil || !strings.Contains(err.Error(), "more than 50000 types and fields") {
		t.Errorf("too many fields: %v", err)
	}

	// A short value of many parts: 500 arrays of 65,000 nulls each.
	v, err = newValues(t.Context(), CoordinatesOf(kafkaWords), 1, sr.TypeAvro, []Source{{Text: `{"type":"array","items":{"type":"array","items":"null"}}`}}, maxColumns, largest)
	if err != nil {
		t.Fatal(err)
	}
	value := []byte("\xe8\x07")
	for range 500 {
		value = append(value, "\xd0\xf7\x07\x00"...)
	}
	if _, _, err := v.Decode(nil, append(value, 0)); err == nil || !strings.Contains(err.Error(), "too many parts") {
		t.Errorf("32 million nulls: %v", err)
	}
	// And of columns that have no value: a null takes one byte, and a thousand of them.
	fields = fields[:1000]
	v, err = newValues(t.Context(), CoordinatesOf(kafkaWords), 1, sr.TypeAvro, []Source{{Text: `{"type":"array","items":["null",{"type":"record","name":"R","fields":[` + strings.Join(fields, ",") + `]}]}`}}, maxColumns, largest)
	if err != nil {
		t.Fatal(err)
	}
	value = append([]byte("\xc0\x9a\x0c"), make([]byte, 100_001)...)
	if _, _, err := v.Decode(nil, value); err == nil || !strings.Contains(err.Error(), "too many parts") {
		t.Errorf("100 million columns without a value: %v", err)
	}
}
