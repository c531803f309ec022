// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

func protobufOf(t testing.TB, columns bool, sources ...Source) *Values {
	t.Helper()
	v, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 9, sr.TypeProtobuf, sources, mostColumns(columns), largest)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What every serializer knows is never registered.
func TestWellKnownFiles(t *testing.T) {
	t.Parallel()
	text := `syntax = "proto3"; package p;
		import "confluent/meta.proto"; import "confluent/type/decimal.proto"; import "confluent/types/decimal.proto"; import "confluent/type/variant.proto"; import "google/protobuf/wrappers.proto";`
	for _, name := range []string{"calendar_period", "color", "date", "datetime", "dayofweek", "decimal", "expr", "fraction", "interval", "latlng", "localized_text", "money",
		"month", "phone_number", "postal_address", "quaternion", "timeofday"} {
		text += `import "google/type/` + name + `.proto";`
	}
	v := protobufOf(t, true, Source{Text: text + `
		message M { option (confluent.message_meta).doc = "d"; confluent.type.Decimal d = 1 [(confluent.field_meta) = {params: [{key: "precision", value: "4"}]}];
			google.type.Money m = 2; google.protobuf.Int32Value w = 3; }`})
	got, err := rowOf(t, v, []byte("\x00\x0a\x07\x0a\x01\x05\x10\x04\x18\x02\x12\x05\x0a\x03EUR"))
	if want := `{"d":{"precision":4,"scale":2,"value":"BQ=="},"m":{"currency_code":"EUR","nanos":0,"units":0},"w":null}`; got != want || err != nil {
		t.Errorf("%s (%v)", got, err)
	}
	own := protobufOf(t, true, Source{"google/type/money.proto", `syntax = "proto3"; package p; message Mine { int32 x = 1; }`},
		Source{Text: `syntax = "proto3"; package p; import "google/type/money.proto"; message M { Mine m = 1; }`})
	if got, err := rowOf(t, own, []byte("\x00\x0a\x02\x08\x05")); got != `{"m":{"x":5}}` || err != nil {
		t.Errorf("what is registered comes first: %s (%v)", got, err)
	}
}

// A name means what it means in the file, wherever messages are defined.
func TestNamesOfMessages(t *testing.T) {
	t.Parallel()
	for text, values := range map[string]map[string]string{
		`message Outer { Mid mid = 1; Leaf leaf2 = 2; message Mid { Leaf a = 1; } } message Leaf { string s = 1; }`: {
			"\x00\x0a\x05\x0a\x03\x0a\x01x\x12\x03\x0a\x01y": `{"leaf2":{"s":"y"},"mid":{"a":{"s":"x"}}}`},
		`message A { B b = 1; C c = 2; message B { int32 x = 1; } } message B { string y = 1; } message C { B b = 1; }`: {
			"\x00\x0a\x02\x08\x05\x12\x05\x0a\x03\x0a\x01z": `{"b":{"x":5},"c":{"b":{"y":"z"}}}`},
		`package map; message map { array array = 1; map.string strings = 2; message string { int32 int = 1; } } message array { int32 v = 1; }`: {
			"\x00\x0a\x02\x08\x05\x12\x02\x08\x06": `{"array":{"v":5},"strings":{"int":6}}`},
		`message map { array array = 1; } message array { repeated int32 v = 1; }`: {
			"\x00\x0a\x04\x0a\x02\x05\x06": `{"array":{"v":[5,6]}}`},
	} {
		v := protobufOf(t, true, Source{Text: `syntax = "proto3"; ` + text})
		for value, want := range values {
			if got, err := rowOf(t, v, []byte(value)); got != want || err != nil {
				t.Errorf("%s: %s (%v), want %s", text, got, err, want)
			}
		}
	}
}

// Bytes that no message is made of are refused, and short ones do not become
// long rows.
func TestProtobufBounds(t *testing.T) {
	t.Parallel()
	wide := `message W { `
	for i := range 1000 {
		wide += fmt.Sprintf("double d%d = %d; ", i, i+1)
	}
	v := protobufOf(t, false, Source{Text: `syntax = "proto3"; message M { repeated W w = 1; string s = 2; M m = 3; map<string, W> e = 4; } ` + wide + `}`})
	deep := []byte{}
	for range 120 {
		deep = append(append([]byte{0x1a}, protoLength(len(deep))...), deep...)
	}
	for name, test := range map[string]struct{ payload, want string }{
		"many empty messages": {strings.Repeat("\x0a\x00", 100_000), "without a value"},
		"not UTF-8":           {"\x12\x01\xff", "not UTF-8"},
		"no UTF-8 in a key":   {"\x22\x03\x0a\x01\xff", "not UTF-8"},
		"too deep":            {string(deep), "nested more than 100 deep"},
		"too short":           {"\x12\x05a", "not a message"},
	} {
		if _, err := rowOf(t, v, []byte("\x00"+test.payload)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := newValues(t.Context(), CoordinatesOf(kafkaWords), 1, sr.TypeProtobuf, []Source{{Text: strings.Repeat(" ", maxProtobuf+1)}}, 0, largest); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Error(err)
	}
	doubling := `syntax = "proto3"; message M0 { int32 x = 1; }`
	for i := range 30 {
		doubling += fmt.Sprintf(" message M%d { M%d a = 1; M%d b = 2; }", i+1, i, i)
	}
	v = protobufOf(t, true, Source{Text: doubling})
	if _, _, err := v.Decode(nil, []byte("\x02\x3c")); err == nil || !strings.Contains(err.Error(), "more than 5100 columns") {
		t.Errorf("2^30 columns: %v", err)
	}
	if _, _, err := v.Decode(nil, []byte("\x02\x08")); err != nil {
		t.Errorf("16 columns: %v", err)
	}
}

func protoLength(n int) []byte {
	if n < 0x80 {
		return []byte{byte(n)}
	}
	return []byte{byte(n) | 0x80, byte(n >> 7)}
}

const everythingProto = `syntax = "proto2"; package p;
message Everything {
	optional int32 i32 = 1; optional int64 i64 = 2; optional uint32 u32 = 3; optional uint64 u64 = 4; optional sint32 s32 = 5; optional sint64 s64 = 6;
	optional fixed32 f32 = 7; optional fixed64 f64 = 8; optional sfixed32 sf32 = 9; optional sfixed64 sf64 = 10; optional float f = 11; optional double d = 12;
	optional bool b = 13; optional string s = 14; optional bytes raw = 15; optional E e = 16; optional Everything m = 17;
	repeated int32 ri = 18; repeated sint64 rp = 19 [packed = true]; repeated double rd = 20 [packed = true]; repeated string rs = 21; repeated Everything rm = 22;
	map<string, Everything> ms = 23; map<sint32, bytes> mi = 24; map<bool, E> mb = 25; repeated group G = 26 { optional fixed64 x = 1; optional Everything m = 2; }
	oneof o { string os = 27; Everything om = 28; int32 oi = 29; } repeated E re = 30; map<fixed64, double> mf = 31; optional group H = 32 { optional int32 x = 1; }
	enum E { X = 0; Y = 5; Z = -1; }
}
message Three { option (x) = 1; }
extend google.protobuf.MessageOptions { optional int32 x = 50000; }
`

// FuzzProtobuf: what Google's library makes of a message is what the row has,
// in bounds.
func FuzzProtobuf(f *testing.F) {
	text := strings.Replace(everythingProto, "package p;", `package p; import "google/protobuf/descriptor.proto";`, 1)
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(protobufFiles{"schema.proto": text})}
	compiled, err := compiler.Compile(f.Context(), "schema.proto")
	if err != nil {
		f.Fatal(err)
	}
	v := protobufOf(f, false, Source{Text: text})
	for _, seed := range []string{"", "\x08\x01", "\x08\x01\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x28\x03\x30\x05\x3d\x01\x02\x03\x04\x41\x01\x02\x03\x04\x05\x06\x07\x08", "\x5d\x00\x00\x80\x3f\x68\x02\x72\x01a\x7a\x01\xff\x80\x01\x05",
		"\x8a\x01\x02\x08\x01\x8a\x01\x02\x10\x02", "\x90\x01\x01\x92\x01\x02\x02\x03\x90\x01\x04", "\x9a\x01\x02\x01\x02\x98\x01\x03", "\xa2\x01\x08\x00\x00\x00\x00\x00\x00\x00\x00", "\xb2\x01\x00\xb2\x01\x02\x08\x01",
		"\xba\x01\x07\x0a\x01k\x12\x02\x08\x01\xba\x01\x03\x0a\x01k", "\xc2\x01\x05\x08\x03\x12\x01z", "\xca\x01\x04\x08\x01\x10\x07", "\xd3\x01\x09\x01\x02\x03\x04\x05\x06\x07\x08\x12\x00\xd4\x01", "\xda\x01\x01a\xe2\x01\x02\x08\x01\xe2\x01\x02\x10\x01\xe8\x01\x05",
		"\x83\x02\x08\x01\x84\x02\x83\x02\x84\x02", "\xf2\x01\x02\x05\x63", "\x72\x02\xff\xfe"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		bounded(t, len(payload), func() {
			m := dynamicpb.NewMessage(compiled[0].Messages().Get(0))
			want := unmarshal(payload, m)
			rows, value, err := v.Decode(nil, append([]byte{0}, payload...))
			if err != nil {
				if want == nil && !strings.Contains(err.Error(), "UTF-8") && !strings.Contains(err.Error(), "deep") && !strings.Contains(err.Error(), "without a value") {
					t.Errorf("%q: %v, but the library takes it", payload, err)
				}
				return
			}
			if want != nil {
				return // it is damaged where a later member of a oneof or entry of a map replaces it, which is not looked at
			}
			var got map[string]any
			row := rows.Append(nil, source.Stream{}, &source.Record{Value: value})
			if _, err := avro.MustParse(rows.Text).Decode(row, &got); err != nil {
				t.Fatalf("%q: %v", payload, err)
			}
			if a, b := plain(got["value"]), plain(messageOf(m)); a != b {
				t.Errorf("%q:\ngot  %s\nwant %s", payload, a, b)
			}
		})
	})
}

var errPanic = errors.New("the library panics")

// unmarshal is the library's, which panics if an entry of a map has no key.
func unmarshal(payload []byte, m proto.Message) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	return proto.UnmarshalOptions{AllowPartial: true, DiscardUnknown: true, RecursionLimit: 100}.Unmarshal(payload, m) //nolint:wrapcheck // it is what is compared
}

// plain is a value as text, in which floats are as they are.
func plain(v any) string { return fmt.Sprintf("%#v", normal(v)) }

// messageOf is a message as its row should be.
func messageOf(m protoreflect.Message) any {
	out := map[string]any{}
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		name := string(f.Name())
		switch {
		case f.IsMap():
			entries := map[string]any{}
			m.Get(f).Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				entries[k.String()] = singleOf(f.MapValue(), v)
				return true
			})
			out[name] = entries
		case f.IsList():
			list := []any{}
			for j := range m.Get(f).List().Len() {
				list = append(list, singleOf(f, m.Get(f).List().Get(j)))
			}
			out[name] = list
		case f.HasPresence() && !m.Has(f):
			out[name] = nil
		default:
			out[name] = singleOf(f, m.Get(f))
		}
	}
	return out
}

func singleOf(f protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return messageOf(v.Message())
	case protoreflect.EnumKind:
		if known := f.Enum().Values().ByNumber(v.Enum()); known != nil {
			return string(known.Name())
		}
		return fmt.Sprint(v.Enum())
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind, protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return int64(v.Uint())
	}
	return v.Interface()
}
