// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/parquet-go/parquet-go"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// rowOf decodes a value into a row, and reads the row with the library: what it
// says besides the coordinates, as JSON.
func rowOf(t testing.TB, v *Values, payload []byte) (string, error) {
	t.Helper()
	rows, value, err := v.Decode(nil, payload)
	if err != nil {
		return "", err
	}
	row := rows.Append(nil, source.Stream{Name: "t", Partition: 1}, &source.Record{Offset: 7, Value: value})
	parsed, err := avro.Parse(rows.Text, avro.WithLaxNames(nil))
	if err != nil {
		t.Fatalf("%s: %v", rows.Text, err)
	}
	var got map[string]any
	rest, err := parsed.Decode(row, &got)
	if err != nil || len(rest) > 0 {
		t.Fatalf("%d bytes are left, %v", len(rest), err)
	}
	where, ok := got["_record"].(map[string]any)
	if !ok || where["offset"] != int64(7) || where["topic"] != "t" {
		t.Fatalf("coordinates %v", got["_record"])
	}
	delete(got, "_record")
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), nil
}

const orderAvro = `{"type":"record","name":"Order","namespace":"shop","fields":[
	{"name":"id","type":"long"},{"name":"customer","type":"shop.Customer"},{"name":"lines","type":{"type":"array","items":
		{"type":"record","name":"Line","fields":[{"name":"sku","type":"string"},{"name":"count","type":["null","int"]}]}}},
	{"name":"note","type":["null","string","boolean"]}]}`

const customerAvro = `{"type":"record","name":"Customer","namespace":"shop","fields":[{"name":"name","type":"string"}]}`

func TestAvroValues(t *testing.T) {
	t.Parallel()
	sources := []Source{{Name: "shop.Customer", Text: customerAvro}, {Text: orderAvro}}
	v, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 5, sr.TypeAvro, sources, maxColumns, largest)
	if err != nil {
		t.Fatal(err)
	}
	var cache avro.SchemaCache
	if _, err := cache.Parse(customerAvro); err != nil {
		t.Fatal(err)
	}
	s, err := cache.Parse(orderAvro)
	if err != nil {
		t.Fatal(err)
	}
	order := map[string]any{"id": int64(1), "customer": map[string]any{"name": "Ada"}, "note": true,
		"lines": []any{map[string]any{"sku": "a", "count": int32(2)}, map[string]any{"sku": "b", "count": nil}}}
	payload, err := s.Encode(order)
	if err != nil {
		t.Fatal(err)
	}
	got, err := rowOf(t, v, payload)
	if want := `{"customer":{"name":"Ada"},"id":1,"lines":[{"count":2,"sku":"a"},{"count":null,"sku":"b"}],"note":true}`; got != want || err != nil {
		t.Errorf("%s (%v)", got, err)
	}
	for name, damaged := range map[string][]byte{"short": payload[:len(payload)-1], "long": append(bytes.Clone(payload), 0), "empty": {}} {
		if _, err := rowOf(t, v, damaged); err == nil || !strings.Contains(err.Error(), "does not fit its schema 5") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if files := v.Files(); files["5.avsc"] != orderAvro || files["5/shop.Customer"] != customerAvro || len(files) != 2 {
		t.Error(files)
	}
	if _, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 6, sr.TypeAvro, []Source{{Text: `{"type":"record","name":"Tree","fields":[{"name":"below","type":{"type":"array","items":"Tree"}}]}`}}, maxColumns, largest); err != nil {
		t.Errorf("a recursive type in Parquet: %v", err)
	}
	if _, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 6, sr.TypeAvro, []Source{{Text: `{"type":"record","name":"Tree","fields":[{"name":"below","type":{"type":"array","items":"Tree"}}]}`}}, 0, largest); err != nil {
		t.Errorf("a recursive type in Avro: %v", err)
	}
}

const shopProto = `syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "customer.proto";
message Order {
  int64 id = 1;
  Customer customer = 2;
  repeated Line lines = 3;
  map<string, uint32> counts = 4;
  optional string note = 5;
  State state = 6;
  google.protobuf.Timestamp at = 7;
  bytes raw = 8; double d = 9; float f = 10; bool b = 11; sint32 s = 12; fixed64 x = 13;
  message Line { string sku = 1; repeated int32 sizes = 2; }
  oneof paid { string card = 14; int32 cash = 15; }
}
enum State { NEW = 0; DONE = 1; }
message Other { string text = 1; message Inner { int32 n = 1; } }
`

const customerProto = `syntax = "proto3"; package shop; message Customer { string name = 1; }`

func TestProtobufValues(t *testing.T) {
	t.Parallel()
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: protocompile.SourceAccessorFromMap(map[string]string{"shop.proto": shopProto, "customer.proto": customerProto})})}
	compiled, err := compiler.Compile(t.Context(), "shop.proto", "customer.proto")
	if err != nil {
		t.Fatal(err)
	}
	value := func(index string, number int, text string) []byte {
		m := dynamicpb.NewMessage(compiled[0].Messages().Get(number))
		if err := protojson.Unmarshal([]byte(text), m); err != nil {
			t.Fatal(err)
		}
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return append([]byte(index), b...)
	}
	full := `{"id":"7","customer":{"name":"Ada"},"lines":[{"sku":"a","sizes":[1,-2]},{}],"counts":{"k":3},"note":"","state":"DONE","at":"1970-01-01T00:00:01.5Z","raw":"/w==","d":0.5,"f":2,"b":true,"s":-3,"x":"9","cash":4}`
	for name, sources := range map[string][]Source{
		"text":        {{Name: "customer.proto", Text: customerProto}, {Text: shopProto}},
		"descriptors": {{Name: "customer.proto", Text: descriptor(t, compiled[1])}, {Text: descriptor(t, compiled[0])}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 9, sr.TypeProtobuf, sources, maxColumns, largest)
			if err != nil {
				t.Fatal(err)
			}
			for _, test := range []struct{ payload, want string }{
				{string(value("\x00", 0, full)), `{"at":{"nanos":500000000,"seconds":1},"b":true,"card":null,"cash":4,"counts":{"k":3},"customer":{"name":"Ada"},"d":0.5,"f":2,"id":7,"lines":[{"sizes":[1,-2],"sku":"a"},{"sizes":[],"sku":""}],"note":"","raw":"/w==","s":-3,"state":"DONE","x":9}`},
				{string(value("\x02\x00", 0, `{"state": 5}`)), `{"at":null,"b":false,"card":null,"cash":null,"counts":{},"customer":null,"d":0,"f":0,"id":0,"lines":[],"note":null,"raw":"","s":0,"state":"5","x":0}`},
				{string(value("\x02\x02", 1, `{"text":"x"}`)), `{"text":"x"}`},
				{"\x04\x02\x00\x08\x05", `{"n":5}`},
			} {
				got, err := rowOf(t, v, []byte(test.payload))
				if got != test.want || err != nil {
					t.Errorf("got  %s\nwant %s (%v)", got, test.want, err)
				}
			}
			for payload, want := range map[string]string{"": "names no message", "\x02\x08": "names no message", "\x00\xff": "it is not a message: "} {
				if _, err := rowOf(t, v, []byte(payload)); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%q: %v", payload, err)
				}
			}
		})
	}
}

// descriptor is a file as Confluent's serializer for Python registers it.
func descriptor(t *testing.T, file protoreflect.FileDescriptor) string {
	t.Helper()
	d := protodesc.ToFileDescriptorProto(file)
	var clearNames func([]*descriptorpb.DescriptorProto)
	clearNames = func(messages []*descriptorpb.DescriptorProto) {
		for _, m := range messages {
			for _, f := range m.GetField() {
				f.JsonName = nil
			}
			clearNames(m.GetNestedType())
		}
	}
	clearNames(d.GetMessageType())
	b, err := proto.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b)
}

func TestJSONValues(t *testing.T) {
	t.Parallel()
	const schema = `{"type":"object","required":["id","tags"],"properties":{
		"id":{"type":"integer"},"price":{"type":"number"},"ok":{"type":["boolean","null"]},"tags":{"type":"array","items":{"type":"string"}},
		"a-b":{"oneOf":[{"type":"null"},{"$ref":"#/$defs/point"}]},"a_b":{"type":["string","integer"]},
		"tree":{"$ref":"#/$defs/tree"},"map":{"type":"object","additionalProperties":{"type":"integer"}},"any":true,"other":{"$ref":"other.json"}},
		"$defs":{"point":{"type":"object","properties":{"x":{"type":"number"}},"required":["x"],"additionalProperties":false},
			"tree":{"type":"object","properties":{"left":{"$ref":"#/$defs/tree"}}}}}`
	v, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 3, sr.TypeJSON, []Source{{Name: "other.json", Text: `{"type":"string"}`}, {Text: schema}}, maxColumns, largest)
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{
		`{"id":1,"tags":[]}`: `{"_other":null,"a_b":null,"a_b_2":null,"any":null,"id":1,"map":null,"ok":null,"other":null,"price":null,"tags":[],"tree":null}`,
		`{"id":1.0e3,"tags":["a"],"price":1.5,"ok":false,"a-b":{"x":2},"a_b":"s","tree":{"left":{"left":{}}},"map":{"k":1},"any":[1, 2],"other":"o","new":{"z":1}}`: `{"_other":"{\"new\":{\"z\":1}}","a_b":{"x":2},"a_b_2":"\"s\"","any":"[1, 2]","id":1000,"map":{"k":1},"ok":false,"other":"o","price":1.5,"tags":["a"],"tree":{"_other":null,"left":"{\"left\":{}}"}}`,
	} {
		if got, err := rowOf(t, v, []byte(value)); got != want || err != nil {
			t.Errorf("got  %s\nwant %s (%v)", got, want, err)
		}
	}
	for value, want := range map[string]string{
		`{`: "not JSON", `[]`: "not an object", `{"tags":[]}`: "id: it is missing", `{"id":1.5,"tags":[]}`: "id: a number is not a whole number",
		`{"id":1,"tags":[1]}`: "tags: a number is not a string", `{"id":1,"tags":{}}`: "is not an array", `{"id":"1","tags":[]}`: "not a whole number",
		`{"id":1,"tags":[],"a-b":{"x":1,"y":2}}`: `has the member "y", which its schema does not allow`, `{"id":9223372036854775808,"tags":[]}`: "64 bits",
	} {
		if _, err := rowOf(t, v, []byte(value)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", value, err, want)
		}
	}
}

// TestColumns: any value of many types is the same in Parquet's columns.
func TestColumns(t *testing.T) {
	t.Parallel()
	const text = `{"type":"record","name":"R","fields":[
		{"name":"z","type":{"type":"array","items":{"type":"array","items":["null","int"]}}},
		{"name":"a","type":{"type":"map","values":{"type":"record","name":"In","fields":[{"name":"s","type":["string","null"]},{"name":"e","type":{"type":"enum","name":"E","symbols":["X","Y"]}}]}}},
		{"name":"o","type":["null",{"type":"record","name":"O","fields":[{"name":"l","type":{"type":"array","items":"long"}},{"name":"in","type":["null","In"]}]}]},
		{"name":"u","type":["null","string","long","In"]},
		{"name":"v","type":["boolean","double"]},
		{"name":"x","type":{"type":"fixed","name":"F","size":3}},
		{"name":"n","type":"null"},{"name":"f","type":"float"},{"name":"b","type":"bytes"}]}`
	v, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 1, sr.TypeAvro, []Source{{Text: text}}, maxColumns, largest)
	if err != nil {
		t.Fatal(err)
	}
	s := avro.MustParse(text)
	in := rapid.Custom(func(t *rapid.T) map[string]any {
		m := map[string]any{"s": any(nil), "e": rapid.SampledFrom([]string{"X", "Y"}).Draw(t, "e")}
		if rapid.Bool().Draw(t, "has s") {
			m["s"] = rapid.StringMatching("[a-z]{0,3}").Draw(t, "s")
		}
		return m
	})
	maybeInt := rapid.Custom(func(t *rapid.T) any {
		if rapid.Bool().Draw(t, "null") {
			return nil
		}
		return rapid.Int32().Draw(t, "int")
	})
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(1, 5).Draw(t, "rows")
		var out bytes.Buffer
		var want []map[string]any
		var layout *Columns
		var w *parquet.GenericWriter[any]
		var columns [][]parquet.Value
		for range count {
			r := map[string]any{"u": any(nil), "o": any(nil), "n": nil, "x": [3]byte{1, 2, 3}, "b": rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "b"), "f": float32(rapid.IntRange(-9, 9).Draw(t, "f"))}
			z := []any{}
			for _, l := range rapid.SliceOfN(rapid.SliceOfN(maybeInt, 0, 3), 0, 3).Draw(t, "z") {
				z = append(z, append([]any{}, l...))
			}
			r["z"] = z
			a := map[string]any{}
			for k, e := range rapid.MapOfN(rapid.StringMatching("[a-c]"), in, 0, 3).Draw(t, "a") {
				a[k] = e
			}
			r["a"] = a
			if rapid.Bool().Draw(t, "o") {
				o := map[string]any{"l": append([]int64{}, rapid.SliceOfN(rapid.Int64(), 0, 3).Draw(t, "l")...), "in": any(nil)}
				if rapid.Bool().Draw(t, "has in") {
					o["in"] = in.Draw(t, "in")
				}
				r["o"] = o
			}
			switch rapid.IntRange(0, 3).Draw(t, "u") {
			case 1:
				r["u"] = "text"
			case 2:
				r["u"] = int64(5)
			case 3:
				r["u"] = in.Draw(t, "u")
			}
			r["v"] = any(true)
			if rapid.Bool().Draw(t, "v") {
				r["v"] = 1.5
			}
			payload, err := s.Encode(r)
			if err != nil {
				t.Fatal(err)
			}
			rows, value, err := v.Decode(nil, payload)
			if err != nil {
				t.Fatal(err)
			}
			if layout == nil {
				if layout, err = rows.Columns(); err != nil {
					t.Fatal(err)
				}
				w = parquet.NewGenericWriter[any](&out, layout.Schema)
				columns = make([][]parquet.Value, layout.Leaves)
			}
			layout.Shred(columns, rows.Append(nil, source.Stream{Name: "t"}, &source.Record{Offset: int64(len(want)), Value: value}))
			want = append(want, r)
		}
		for i, c := range w.ColumnWriters() {
			if n, err := c.WriteRowValues(columns[i]); n != count || err != nil {
				t.Fatal(i, n, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := parquet.Read[any](bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil || len(got) != count {
			t.Fatal(len(got), err)
		}
		for i := range want {
			row := got[i].(map[string]any)
			delete(row, "_record")
			if a, b := normal(row), normal(unions(want[i])); !reflect.DeepEqual(a, b) {
				t.Fatalf("row %d:\ngot  %v\nwant %v", i, a, b)
			}
		}
	})
}

// unions shows the unions of more than one type as Parquet has them.
func unions(r map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range r {
		out[k] = v
	}
	if u := r["u"]; u != nil {
		m := map[string]any{"member0": nil, "member1": nil, "member2": nil}
		switch u.(type) {
		case string:
			m["member0"] = u
		case int64:
			m["member1"] = u
		default:
			m["member2"] = u
		}
		out["u"] = m
	}
	m := map[string]any{"member0": nil, "member1": nil}
	if _, ok := r["v"].(bool); ok {
		m["member0"] = r["v"]
	} else {
		m["member1"] = r["v"]
	}
	out["v"] = m
	return out
}

// normal makes equal what differs only in Go's types.
func normal(v any) any {
	r := reflect.ValueOf(v)
	switch {
	case !r.IsValid():
		return nil
	case r.Kind() == reflect.Map:
		out := map[string]any{}
		for _, k := range r.MapKeys() {
			out[k.String()] = normal(r.MapIndex(k).Interface())
		}
		return out
	case (r.Kind() == reflect.Slice || r.Kind() == reflect.Array) && r.Type().Elem().Kind() == reflect.Uint8:
		b := make([]byte, r.Len())
		reflect.Copy(reflect.ValueOf(b), r)
		return string(b)
	case r.Kind() == reflect.Slice:
		out := []any{}
		for i := range r.Len() {
			out = append(out, normal(r.Index(i).Interface()))
		}
		return out
	case r.Kind() == reflect.Pointer && r.IsNil():
		return nil
	case r.Kind() == reflect.Pointer:
		return normal(r.Elem().Interface())
	case r.Kind() == reflect.Struct: // what the reader makes of records in maps
		out := map[string]any{}
		for i := range r.NumField() {
			name, _, _ := strings.Cut(r.Type().Field(i).Tag.Get("parquet"), ",")
			out[name] = normal(r.Field(i).Interface())
		}
		return out
	}
	return fmt.Sprint(v)
}

// TestTombstones: rows without a value have the columns of those with one.
func TestTombstones(t *testing.T) {
	t.Parallel()
	v, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 5, sr.TypeAvro, []Source{{Text: `{"type":"record","name":"R","fields":[
		{"name":"a","type":"int","default":1},{"name":"b","type":["string","null"]},{"name":"c","type":["string","int"]},{"name":"d","type":"null"},
		{"name":"e","type":{"type":"array","items":"long"}},{"name":"f","type":{"type":"record","name":"F","fields":[{"name":"x","type":"bytes"}]}}]}`}}, maxColumns, largest)
	if err != nil {
		t.Fatal(err)
	}
	rows := v.Rows().Tombstones()
	row := rows.Append(nil, source.Stream{Name: "t", Partition: 1}, &source.Record{Offset: 7})
	if err := rows.Type.Check(row); err != nil {
		t.Fatal(err)
	}
	with, err := v.Rows().Columns()
	if err != nil {
		t.Fatal(err)
	}
	without, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := without.Schema.Columns(), with.Schema.Columns(); !reflect.DeepEqual(got, want) {
		t.Errorf("columns %v, want %v", got, want)
	}
	if _, err := avro.Parse(rows.Text); err != nil {
		t.Error(err)
	}
}
