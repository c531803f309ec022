// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
	"pgregory.net/rapid"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/strictjson"
)

// TestContent: numbers, decimals and times without loss.
func TestContent(t *testing.T) {
	t.Parallel()
	number := func(n int64) []byte { return binary.AppendVarint(nil, n) }
	double := func(x float64) []byte { return binary.LittleEndian.AppendUint64(nil, math.Float64bits(x)) }
	decimal := `{"type":"bytes","logicalType":"decimal","precision":30,"scale":2}`
	for _, test := range []struct {
		schema string
		data   []byte
		want   string
	}{
		{`"long"`, number(math.MaxInt64), `9223372036854775807`},
		{`"double"`, double(0.1), `0.1`},
		{`"double"`, double(1e300), `1e+300`},
		{`"double"`, double(math.NaN()), `"NaN"`},
		{`"double"`, double(math.Inf(-1)), `"-Infinity"`},
		{`"double"`, double(math.Copysign(0, -1)), `-0`},
		{`"float"`, binary.LittleEndian.AppendUint32(nil, math.Float32bits(0.1)), `0.1`},
		{`"bytes"`, []byte("\x04\x00\xff"), `"AP8="`},
		{decimal, []byte("\x02\x05"), `"0.05"`},
		{decimal, []byte("\x02\xfb"), `"-0.05"`},
		{decimal, []byte("\x00"), `"0.00"`},
		{decimal, []byte("\x04\x04\xd2"), `"12.34"`},
		{decimal, []byte("\x10\x80\x00\x00\x00\x00\x00\x00\x00"), `"-92233720368547758.08"`},
		{decimal, []byte("\x12\x00\x80\x00\x00\x00\x00\x00\x00\x00"), `"92233720368547758.08"`},
		{decimal, []byte("\x12\xff\x00\x00\x00\x00\x00\x00\x00\x00"), `"-184467440737095516.16"`},
		{`{"type":"bytes","logicalType":"decimal","precision":4}`, []byte("\x02\x05"), `"5"`},
		{`{"type":"int","logicalType":"date"}`, number(0), `"1970-01-01"`},
		{`{"type":"int","logicalType":"date"}`, number(-719162), `"0001-01-01"`},
		{`{"type":"int","logicalType":"date"}`, number(2932897), `"+010000-01-01"`},
		{`{"type":"int","logicalType":"date"}`, number(-719529), `"-000001-12-31"`},
		{`{"type":"int","logicalType":"time-millis"}`, number(86399999), `"23:59:59.999"`},
		{`{"type":"int","logicalType":"time-millis"}`, number(86400000), `"86400000"`},
		{`{"type":"long","logicalType":"time-micros"}`, number(1), `"00:00:00.000001"`},
		{`{"type":"long","logicalType":"timestamp-millis"}`, number(-1), `"1969-12-31T23:59:59.999Z"`},
		{`{"type":"long","logicalType":"timestamp-micros"}`, number(1714744800500000), `"2024-05-03T14:00:00.5Z"`},
		{`{"type":"long","logicalType":"timestamp-nanos"}`, number(1714744800000000001), `"2024-05-03T14:00:00.000000001Z"`},
		{`{"type":"long","logicalType":"local-timestamp-micros"}`, number(0), `"1970-01-01T00:00:00"`},
		{`{"type":"long","logicalType":"unheard-of"}`, number(3), `3`},
		{`{"type":"fixed","name":"u","size":16,"logicalType":"uuid"}`, []byte("0123456789abcdef"), `"30313233-3435-3637-3839-616263646566"`},
		{`{"type":"fixed","name":"d","size":12,"logicalType":"duration"}`, []byte("\x01\x00\x00\x00\x02\x00\x00\x00\xdc\x05\x00\x00"), `"P1M2DT1.5S"`},
		{`{"type":"enum","name":"e","symbols":["A","B"]}`, number(1), `"B"`},
		{`["null","string"]`, []byte("\x02\x06a\n\""), `"a\n\""`},
		{`["null","string"]`, []byte("\x00"), `null`},
		{`{"type":"map","values":"int"}`, []byte("\x03\x06\x02a\x02\x02b\x04\x00"), `{"a":1,"b":2}`},
		{`{"type":"array","items":["int","string"]}`, []byte("\x04\x00\x02\x02\x02x\x00"), `[1,"x"]`},
	} {
		of := mustParse(test.schema)
		if err := of.Check(test.data); err != nil {
			t.Fatal(test.schema, err)
		}
		got, rest, err := of.AppendJSON(nil, test.data, 1000)
		if string(got) != test.want || len(rest) > 0 || err != nil {
			t.Errorf("%s: %s, want %s, %v", test.schema, got, test.want, err)
		}
	}
	// Against another implementation.
	rapid.Check(t, func(t *rapid.T) {
		days := rapid.Int64Range(-4_000_000, 4_000_000).Draw(t, "days")
		at := time.Unix(days*secondsOfDay, 0).UTC()
		if year, month, day := civil(days); year != int64(at.Year()) || month != int64(at.Month()) || day != int64(at.Day()) {
			t.Fatal(year, month, day, at)
		}
	})
}

// TestAnyJSON: whatever strings, numbers and parts there are, every reader takes
// the JSON, and it says the same.
func TestAnyJSON(t *testing.T) {
	t.Parallel()
	const text = `{"type":"record","name":"R","fields":[{"name":"s","type":["null","string"]},{"name":"d","type":"double"},
		{"name":"m","type":{"type":"map","values":"string"}},{"name":"a","type":{"type":"array","items":"long"}}]}`
	of, library := mustParse(text), avro.MustParse(text)
	var checker strictjson.Checker
	rapid.Check(t, func(t *rapid.T) {
		value := map[string]any{"s": rapid.String().Draw(t, "s"), "d": rapid.Float64().Draw(t, "d"), "a": []any{}, "m": map[string]any{}}
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			value["m"].(map[string]any)[rapid.String().Draw(t, "key")] = rapid.String().Draw(t, "value")
		}
		data, err := library.Encode(value)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := of.AppendJSON(nil, data, 1<<20)
		if err != nil || checker.Check(got) != nil || bytes.IndexByte(got, '\n') >= 0 {
			t.Fatalf("%q: %v", got, err)
		}
		if len(pass(of, data)) > 0 {
			t.Fatal("something is left")
		}
		var back map[string]any
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"s", "d", "m"} {
			x, _ := json.Marshal(back[name])
			if y, _ := json.Marshal(value[name]); !bytes.Equal(x, y) {
				t.Fatalf("%s: %s, want %s", name, x, y)
			}
		}
	})
}

// TestLargeJSON: what would take much more memory as JSON is refused.
func TestLargeJSON(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long", 1000)
	of := mustParse(`{"type":"array","items":{"type":"record","name":"E","fields":[{"name":"` + long + `","type":"null"}]}}`)
	for _, test := range []struct {
		of   *Type
		data []byte
	}{
		{of, append(binary.AppendVarint(nil, 1<<18), 0)},
		{mustParse(`"string"`), append(binary.AppendVarint(nil, 1<<20), make([]byte, 1<<20)...)},
		{mustParse(`{"type":"bytes","logicalType":"decimal","precision":4}`), append(binary.AppendVarint(nil, 1<<20), make([]byte, 1<<20)...)},
	} {
		if err := test.of.Check(test.data); err != nil {
			t.Fatal(err)
		}
		if got, _, err := test.of.AppendJSON(nil, test.data, 2<<20); err == nil {
			t.Errorf("%d bytes", len(got))
		}
	}
}

// TestJSONLines: values as JSON lines have them; JSON stays as it came.
func TestJSONLines(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind                  sr.SchemaType
		schema, payload, want string
	}{
		{sr.TypeAvro, `{"type":"record","name":"N","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","N"]}]}`, "\x02\x02\x04\x00", `{"v":1,"next":{"v":2,"next":null}}`},
		{sr.TypeAvro, `"string"`, "\x04hi", `"hi"`},
		{sr.TypeProtobuf, `syntax = "proto3"; message M { uint64 a = 1; repeated string b = 2; }`, "\x00\x08\x01\x12\x01x", `{"a":1,"b":["x"]}`},
		{sr.TypeProtobuf, `syntax = "proto3"; message M { uint64 a = 1; }`, "\x00\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", `{"a":18446744073709551615}`},
		{sr.TypeJSON, `{"type":"object"}`, ` {"b":1.0, "a":1e2} `, ` {"b":1.0, "a":1e2} `},
	} {
		m := &maker{of: CoordinatesOf(kafkaWords), largest: largest, json: true}
		v, err := m.values(t.Context(), 1, "1", test.kind, []Source{{Text: test.schema}})
		if err != nil {
			t.Fatal(err)
		}
		rows, value, err := v.Decode(nil, []byte(test.payload))
		if err != nil {
			t.Fatal(err)
		}
		if rows != nil {
			value, err = rows.AppendJSON(nil, value, largest)
		}
		if string(value) != test.want || err != nil {
			t.Errorf("%s: %s, want %s, %v", test.schema, value, test.want, err)
		}
	}
	// A key twice would be two members of one name.
	m := &maker{of: CoordinatesOf(kafkaWords), largest: largest, json: true}
	v, err := m.values(t.Context(), 1, "1", sr.TypeAvro, []Source{{Text: `{"type":"map","values":"int"}`}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.Decode(nil, []byte("\x04\x02a\x02\x02a\x02\x00")); err == nil {
		t.Error("a map with a key twice")
	}
}
