// SPDX-License-Identifier: Apache-2.0

//go:build readers

package readers

import (
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/registrytest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/record"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestKnownMessages: times, decimals and wrappers of Protobuf.
func TestKnownMessages(t *testing.T) {
	const schema = `syntax = "proto3"; package p; import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto"; import "google/protobuf/wrappers.proto";
		import "google/type/decimal.proto"; import "confluent/type/decimal.proto"; import "confluent/meta.proto";
		message M { google.protobuf.Timestamp at = 1; google.protobuf.Duration took = 2; google.protobuf.Int64Value count = 3; google.type.Decimal price = 4;
			confluent.type.Decimal paid = 5 [(confluent.field_meta) = {params: [{key: "precision", value: "10"}, {key: "scale", value: "2"}]}]; repeated google.protobuf.Timestamp times = 6; }`
	read(t, notWithFastparquet(schemaCases(t, "known", "PROTOBUF", schema, []any{
		object{"at": object{"$micros": 1_500_000}, "took": object{"$decimal": "-1.500000000"}, "count": 0, "price": "12.50", "paid": object{"$decimal": "-12.50"},
			"times": []any{object{"$micros": 1_000_000}}},
		object{"at": nil, "took": nil, "count": nil, "price": nil, "paid": nil, "times": []any{}},
	}, []byte("\x00\x0a\x08\x08\x01\x10\x80\xca\xb5\xee\x01"+"\x12\x16\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x80\xb6\xca\x91\xfe\xff\xff\xff\xff\x01"+
		"\x1a\x00"+"\x22\x07\x0a\x0512.50"+"\x2a\x06\x0a\x02\xfb\x1e\x18\x02"+"\x32\x02\x08\x01"), []byte{0}))...)
}

// TestJSONFormats: times, UUIDs and bytes of JSON Schema.
func TestJSONFormats(t *testing.T) {
	const schema = `{"type":"object","additionalProperties":false,"properties":{"at":{"type":"string","format":"date-time"},"day":{"type":"string","format":"date"},
		"clock":{"type":"string","format":"time"},"data":{"type":"string","contentEncoding":"base64"}}}`
	read(t, notWithFastparquet(schemaCases(t, "formats", "JSON", schema, []any{
		object{"at": object{"$micros": 1_500_000}, "day": object{"$date": "2019-07-11"}, "clock": object{"$micros": 1_000_000}, "data": object{"$bytes": []byte{0, 0xff}}},
		object{"at": nil, "day": nil, "clock": nil, "data": nil},
	}, []byte(`{"at":"1970-01-01T01:00:01.5+01:00","day":"2019-07-11","clock":"00:00:01Z","data":"AP8="}`), []byte(`{}`)))...)
}

// TestTrees: what contains itself is columns to a depth, and JSON beyond it.
func TestTrees(t *testing.T) {
	const schema = `{"type":"record","name":"Node","fields":[{"name":"name","type":"string"},{"name":"next","type":["null","Node"]}]}`
	payload := []byte("\x02a\x02\x02b\x02\x02c\x02\x02d\x00")
	read(t, notWithFastparquet(casesAs(t, []string{"parquet none", "parquet zstd"}, "trees", "AVRO", schema, []any{
		object{"value": object{"name": "a", "next": object{"name": "b", "next": object{"name": "c", "next": `{"name":"d","next":null}`}}}},
		object{"value": object{"name": "x", "next": nil}},
	}, payload, []byte("\x02x\x00")))...)
}

// TestMaskedColumns: fields that are selected and masked, and keys in a column.
func TestMaskedColumns(t *testing.T) {
	const schema = `{"type":"record","name":"R","fields":[{"name":"id","type":"long"},{"name":"secret","type":["null","long"]},{"name":"gone","type":"string"},
		{"name":"lines","type":{"type":"array","items":{"type":"record","name":"L","fields":[{"name":"sku","type":"string"},{"name":"price","type":"double"}]}}}]}`
	s, err := settings.Parse([]string{"SPOUT_KAFKA_BROKERS=b:1", "SPOUT_KAFKA_TOPICS=t", "SPOUT_RECORD_FIELDS=id,secret,lines", "SPOUT_RECORD_MASK=secret=redact,lines.price=redact"})
	if err != nil {
		t.Fatal(err)
	}
	var cases []testCase
	for _, format := range []string{"parquet", "avro"} {
		values, keys := registrytest.Values(t, format, "AVRO", schema), registrytest.Values(t, format, "AVRO", `{"type":"record","name":"R","fields":[{"name":"k","type":"string"}]}`)
		rows, value, err := values.Decode(nil, avroValue(t, schema, object{"id": int64(1), "secret": int64(2), "gone": "x", "lines": []any{object{"sku": "s", "price": 1.5}}}))
		if err != nil {
			t.Fatal(err)
		}
		r := source.Record{Timestamp: 1700000000000, Value: value}
		if rows, _, err = record.NewRules(s).ApplyRows(&r, rows); err != nil {
			t.Fatal(err)
		}
		if rows, err = rows.WithKey(keys.Rows()); err != nil {
			t.Fatal(err)
		}
		r.Key = []byte("\x02k")
		where := coordinates(0)
		where["key"] = nil
		cases = append(cases, testCase{Name: "masked-" + format, Format: format, Path: write(t, t.TempDir(), format, "zstd", rows, r), Not: []string{"fastparquet"}, Rows: []any{
			object{"id": 1, "secret": "***", "lines": []any{object{"sku": "s", "price": "***"}}, "_key": object{"k": "k"}, "_record": where}}})
	}
	read(t, cases...)
}
