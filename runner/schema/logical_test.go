// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
)

const logicalProto = `syntax = "proto3"; package p;
import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto"; import "google/protobuf/wrappers.proto";
import "google/type/decimal.proto"; import "confluent/type/decimal.proto"; import "confluent/meta.proto";
message M { google.protobuf.Timestamp at = 1; google.protobuf.Duration took = 2; google.protobuf.Int64Value count = 3; google.protobuf.StringValue note = 4;
	google.type.Decimal price = 5; confluent.type.Decimal paid = 6 [(confluent.field_meta) = {params: [{key: "precision", value: "10"}, {key: "scale", value: "2"}]}];
	confluent.type.Decimal any = 7; repeated google.protobuf.Timestamp times = 8; map<string, google.protobuf.BoolValue> flags = 9;
	oneof one { google.protobuf.Timestamp then = 10; google.protobuf.BytesValue raw = 11; } }`

func logicalMaker(logical Logical) *maker {
	return &maker{of: CoordinatesOf(kafkaWords), columns: maxColumns, largest: largest, logical: logical}
}

// protoJSON encodes the first message of a schema.
func protoJSON(t testing.TB, schema, text string) []byte {
	t.Helper()
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(protobufFiles{"schema.proto": schema})}
	files, err := compiler.Compile(t.Context(), "schema.proto")
	if err != nil {
		t.Fatal(err)
	}
	message := dynamicpb.NewMessage(files[0].Messages().Get(0))
	if err := (protojson.UnmarshalOptions{}).Unmarshal([]byte(text), message); err != nil {
		t.Fatal(err)
	}
	data, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{0}, data...)
}

// asJSON is a value as a line of JSON has it.
func asJSON(t testing.TB, v *Values, payload []byte) (string, error) {
	t.Helper()
	rows, value, err := v.Decode(nil, payload)
	if err != nil {
		return "", err
	}
	if err := rows.valueType().Check(value); err != nil {
		t.Fatal(err)
	}
	text, err := rows.AppendJSON(nil, value, largest)
	return string(text), err
}

// TestKnownMessages: messages that everybody knows become what they stand for.
func TestKnownMessages(t *testing.T) {
	t.Parallel()
	decimal := func(unscaled int64, scale int) string {
		b := big.NewInt(unscaled).Bytes()
		if unscaled < 0 {
			b = binary.BigEndian.AppendUint64(nil, uint64(unscaled))
		} else if len(b) > 0 && b[0]&0x80 != 0 {
			b = append([]byte{0}, b...)
		}
		return fmt.Sprintf(`{"value":%q,"precision":9,"scale":%d}`, base64.StdEncoding.EncodeToString(b), scale)
	}
	null := map[string]string{"at": "null", "took": "null", "count": "null", "note": "null", "price": "null", "paid": "null", "any": "null", "times": "[]", "flags": "{}", "then": "null", "raw": "null"}
	for _, test := range []struct {
		logical         Logical
		text            string
		field, want     string
		refused, binary string
	}{
		{LogicalMicros, `{"at":"2024-05-03T14:00:00.123456789Z"}`, "at", `"2024-05-03T14:00:00.123456Z"`, "", ""},
		{LogicalNanos, `{"at":"2024-05-03T14:00:00.123456789Z"}`, "at", `"2024-05-03T14:00:00.123456789Z"`, "", ""},
		{LogicalMicros, `{"at":"0001-01-01T00:00:00Z"}`, "at", `"0001-01-01T00:00:00Z"`, "", ""},
		{LogicalNanos, `{"at":"9999-12-31T23:59:59Z"}`, "", "", "micros reaches further", ""},
		{LogicalMicros, `{"at":"1969-12-31T23:59:59.999999999Z"}`, "at", `"1969-12-31T23:59:59.999999Z"`, "", ""},
		{LogicalNone, `{"at":"1970-01-01T00:00:01Z"}`, "at", `{"nanos":0,"seconds":1}`, "", ""},
		{LogicalMicros, `{"took":"1.5s"}`, "took", `"1.500000000"`, "", ""},
		{LogicalMicros, `{"took":"-315576000000.999999999s"}`, "took", `"-315576000000.999999999"`, "", ""},
		{LogicalMicros, `{"count":"0","note":""}`, "count note", `0 ""`, "", ""},
		{LogicalMicros, `{"price":{"value":"12.50"}}`, "price", `"12.50"`, "", ""},
		{LogicalMicros, `{"paid":` + decimal(125, 1) + `}`, "paid", `"12.50"`, "", ""},
		{LogicalMicros, `{"paid":` + decimal(-1250, 2) + `}`, "paid", `"-12.50"`, "", ""},
		{LogicalMicros, `{"paid":` + decimal(12500, 3) + `}`, "paid", `"12.50"`, "", ""},
		{LogicalMicros, `{"paid":` + decimal(12501, 3) + `}`, "", "", "more digits behind the point", ""},
		{LogicalMicros, `{"paid":` + decimal(1e10, 0) + `}`, "", "", "more than the 10 digits", ""},
		{LogicalMicros, `{"paid":` + decimal(1, 2_000_000_000) + `}`, "", "", "too many digits", ""},
		{LogicalMicros, `{"any":` + decimal(125, 3) + `}`, "any", `"0.125"`, "", ""},
		{LogicalMicros, `{"any":` + decimal(125, -2) + `}`, "any", `"12500"`, "", ""},
		{LogicalMicros, `{"any":` + decimal(125, -2_000_000_000) + `}`, "", "", "too many digits", ""},
		{LogicalMicros, `{"times":["1970-01-01T00:00:00Z","1970-01-01T00:00:00.5Z"],"flags":{"a":true,"b":false}}`, "times flags", `["1970-01-01T00:00:00Z","1970-01-01T00:00:00.5Z"] {"a":true,"b":false}`, "", ""},
		{LogicalMicros, `{"then":"1970-01-01T00:00:00Z"}`, "then", `"1970-01-01T00:00:00Z"`, "", ""},
		{LogicalMicros, `{"raw":"AP8="}`, "raw", `"AP8="`, "", ""},
		{LogicalMicros, "", "", "", "not nanoseconds", "\x00\x0a\x06\x10\x80\x94\xeb\xdc\x03"},
	} {
		v, err := logicalMaker(test.logical).values(t.Context(), 1, "1", sr.TypeProtobuf, []Source{{Text: logicalProto}})
		if err != nil {
			t.Fatal(err)
		}
		payload := []byte(test.binary)
		if test.text != "" {
			payload = protoJSON(t, logicalProto, test.text)
		}
		got, err := asJSON(t, v, payload)
		if test.refused != "" {
			if err == nil || !strings.Contains(err.Error(), test.refused) {
				t.Errorf("%s: %s, %v", test.text, got, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(got), &members); err != nil {
			t.Fatal(err)
		}
		wanted := strings.SplitN(test.want, " ", 1+strings.Count(test.field, " "))
		for i, field := range strings.Fields(test.field) {
			text := members[field]
			var value any
			if json.Unmarshal(text, &value) == nil {
				text, _ = json.Marshal(value)
			}
			if string(text) != wanted[i] {
				t.Errorf("%s: %s is %s, want %s", test.text, field, text, wanted[i])
			}
			delete(members, field)
		}
		for field, text := range members {
			if string(text) != null[field] {
				t.Errorf("%s: %s is %s", test.text, field, text)
			}
		}
		if test.text != "" {
			rowOf(t, v, payload) //nolint:errcheck // the library reads it
		}
	}
}

// TestJSONFormats: strings of formats become what they stand for.
func TestJSONFormats(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		schema, value, want string
		nanos, none         bool
	}{
		{`"format":"date-time"`, `"2024-05-03T14:05:06.1234567+02:00"`, `"2024-05-03T12:05:06.123456Z"`, false, false},
		{`"format":"date-time"`, `"2024-05-03T14:05:06.123456789123Z"`, `"2024-05-03T14:05:06.123456789Z"`, true, false},
		{`"format":"date-time"`, `"2016-12-31T23:59:60Z"`, `"2017-01-01T00:00:00Z"`, false, false},
		{`"format":"date-time"`, `"2024-05-03t23:00:00-01:30"`, `"2024-05-04T00:30:00Z"`, false, false},
		{`"format":"date-time"`, `"2024-05-03T14:05:06"`, "", false, false},
		{`"format":"date-time"`, `"2024-02-30T14:05:06Z"`, "", false, false},
		{`"format":"date-time"`, `"1600-01-01T00:00:00Z"`, "", true, false},
		{`"format":"date-time"`, `1714744800`, "", false, false},
		{`"format":"date-time"`, `"yesterday"`, `"yesterday"`, false, true},
		{`"format":"date"`, `"1969-12-31"`, `"1969-12-31"`, false, false},
		{`"format":"date"`, `"2024-5-3"`, "", false, false},
		{`"format":"time"`, `"00:30:00.5+01:00"`, `"23:30:00.5"`, false, false},
		{`"format":"time"`, `"14:05:06"`, `"14:05:06"`, false, false},
		{`"format":"time"`, `"25:00:00Z"`, "", false, false},
		{`"format":"uuid"`, `"F81D4FAE-7dec-11d0-a765-00a0c91e6bf6"`, `"f81d4fae-7dec-11d0-a765-00a0c91e6bf6"`, false, false},
		{`"format":"uuid"`, `"f81d4fae7dec11d0a76500a0c91e6bf6"`, "", false, false},
		{`"contentEncoding":"base64"`, `"AP8="`, `"AP8="`, false, false},
		{`"contentEncoding":"base64url"`, `"-_8"`, `"+/8="`, false, false},
		{`"contentEncoding":"base64"`, `"?"`, "", false, false},
		{`"contentEncoding":"quoted-printable"`, `"a=20"`, `"a=20"`, false, false},
		{`"format":"email"`, `"a"`, `"a"`, false, false},
	} {
		logical := LogicalMicros
		if test.nanos {
			logical = LogicalNanos
		}
		if test.none {
			logical = LogicalNone
		}
		v, err := logicalMaker(logical).values(t.Context(), 1, "1", sr.TypeJSON, []Source{{Text: `{"type":"object","additionalProperties":false,"properties":{"a":{"type":["string","null"],` + test.schema + `}}}`}})
		if err != nil {
			t.Fatal(err)
		}
		payload := []byte(`{"a":` + test.value + `}`)
		got, err := asJSON(t, v, payload)
		if test.want == "" {
			if err == nil {
				t.Errorf("%s of %s is %s", test.value, test.schema, got)
			}
			continue
		}
		if want := `{"a":` + test.want + `}`; got != want || err != nil {
			t.Errorf("%s of %s: %s, want %s, %v", test.value, test.schema, got, want, err)
		}
		if _, err := rowOf(t, v, payload); err != nil {
			t.Error(err)
		}
	}
}
