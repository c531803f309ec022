// SPDX-License-Identifier: Apache-2.0

//go:build readers

package readers

import (
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/twmb/avro"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/registrytest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// avroValue is a value in Avro's encoding.
func avroValue(t *testing.T, schema string, value any) []byte {
	t.Helper()
	s, err := avro.Parse(schema)
	if err != nil {
		t.Fatal(err)
	}
	data, err := s.Encode(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestAvroSchema: a column of each of Avro's types, with values and at their ends.
func TestAvroSchema(t *testing.T) {
	const schema = `{"type":"record","name":"All","namespace":"org.example","fields":[
		{"name":"flag","type":"boolean"},{"name":"small","type":"int"},{"name":"large","type":"long"},
		{"name":"single","type":"float"},{"name":"twice","type":"double"},
		{"name":"data","type":"bytes"},{"name":"text","type":"string"},
		{"name":"hash","type":{"type":"fixed","name":"Hash","size":3}},
		{"name":"color","type":{"type":"enum","name":"Color","symbols":["RED","GREEN"]}},
		{"name":"list","type":{"type":"array","items":["null","string"]}},
		{"name":"map","type":{"type":"map","values":"long"}},
		{"name":"inner","type":{"type":"record","name":"Inner","fields":[{"name":"a","type":["null","int"]},{"name":"b","type":{"type":"array","items":"int"}}]}},
		{"name":"maybe","type":["null","string"]},
		{"name":"day","type":{"type":"int","logicalType":"date"}},
		{"name":"millis","type":{"type":"long","logicalType":"timestamp-millis"}},
		{"name":"micros","type":{"type":"long","logicalType":"timestamp-micros"}},
		{"name":"clock","type":{"type":"int","logicalType":"time-millis"}},
		{"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}},
		{"name":"tax","type":{"type":"fixed","name":"Tax","size":4,"logicalType":"decimal","precision":8,"scale":3}}]}`
	first := []byte{1,
		0x01,                                                       // small -1
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, // large -2^63
		0, 0, 0xc0, 0x3f, // 1.5
		0, 0, 0, 0, 0, 0, 0x04, 0xc0, // -2.5
		4, 0xff, 0x00, // data
		4, 0xc3, 0xa9, // é
		1, 2, 3, // hash
		2,                  // GREEN
		4, 2, 2, 'x', 0, 0, // list: x, null
		2, 2, 'k', 14, 0, // map: k=7
		2, 8, 4, 2, 4, 0, // inner: a=4, b=[1,2]
		2, 4, 'o', 'k', // maybe
		0xd0, 0x9a, 0x02, // day 18088
		0x80, 0xd0, 0x95, 0xff, 0xf9, 0x62, // millis
		2,          // micros 1
		0xd0, 0x0f, // clock 1000
		4, 0xff, 0x85, // price -1.23
		0, 0, 0x30, 0x39, // tax 12.345
	}
	second := []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		9, 9, 9, // hash
		0,    // RED
		0, 0, // list, map
		0, 0, // inner
		0,          // maybe
		0, 0, 0, 0, // day … clock
		2, 0x05, // price 0.05
		0xff, 0xff, 0xff, 0xff, // tax -0.001
	}
	bytes := func(b ...byte) object { return object{"$bytes": append([]byte{}, b...)} }
	decimal := func(text string) object { return object{"$decimal": text} }
	read(t, notWithFastparquet(schemaCases(t, "types", "AVRO", schema, []any{
		object{"flag": true, "small": -1, "large": int64(-1 << 63), "single": 1.5, "twice": -2.5, "data": bytes(0xff, 0), "text": "é", "hash": bytes(1, 2, 3),
			"color": "GREEN", "list": []any{"x", nil}, "map": object{"$map": object{"k": 7}}, "inner": object{"a": 4, "b": []any{1, 2}}, "maybe": "ok",
			"day": object{"$date": "2019-07-11"}, "millis": object{"$micros": millis}, "micros": object{"$micros": 1}, "clock": object{"$micros": 1_000_000},
			"price": decimal("-1.23"), "tax": decimal("12.345")},
		object{"flag": false, "small": 0, "large": 0, "single": 0, "twice": 0, "data": bytes(), "text": "", "hash": bytes(9, 9, 9),
			"color": "RED", "list": []any{}, "map": object{"$map": object{}}, "inner": object{"a": nil, "b": []any{}}, "maybe": nil,
			"day": object{"$date": "1970-01-01"}, "millis": object{"$micros": 0}, "micros": object{"$micros": 0}, "clock": object{"$micros": 0},
			"price": decimal("0.05"), "tax": decimal("-0.001")},
	}, first, second))...)
}

// millis is what the third timestamp of TestAvroSchema says.
const millis = 1700000871424_000

// TestDebezium: the envelope of a change event, as Debezium's Avro converter
// makes it, with a decimal(10,2).
func TestDebezium(t *testing.T) {
	const schema = `{"type":"record","name":"Envelope","namespace":"shop.public.orders","fields":[
		{"name":"before","type":["null",{"type":"record","name":"Value","fields":[{"name":"id","type":"int"},
			{"name":"amount","type":{"type":"bytes","scale":2,"precision":10,"connect.version":1,"connect.parameters":{"scale":"2","connect.decimal.precision":"10"},
				"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}}],"connect.name":"shop.public.orders.Value"}],"default":null},
		{"name":"after","type":["null","Value"],"default":null},
		{"name":"op","type":"string"},{"name":"ts_ms","type":["null","long"],"default":null}],"connect.name":"shop.public.orders.Envelope"}`
	value := func(id int, amount string) object { return object{"id": id, "amount": object{"$decimal": amount}} }
	read(t, notWithFastparquet(schemaCases(t, "debezium", "AVRO", schema, []any{
		object{"before": nil, "after": value(1, "19.99"), "op": "c", "ts_ms": 1},
		object{"before": value(1, "19.99"), "after": value(1, "-5.00"), "op": "u", "ts_ms": nil},
		object{"before": value(1, "-5.00"), "after": nil, "op": "d", "ts_ms": 3},
	}, []byte{0, 2, 2, 4, 0x07, 0xcf, 2, 'c', 2, 2}, []byte{2, 2, 4, 0x07, 0xcf, 2, 2, 4, 0xfe, 0x0c, 2, 'u', 0}, []byte{2, 2, 4, 0xfe, 0x0c, 0, 2, 'd', 2, 6}))...)
}

// TestProtobufSchema: messages become columns.
func TestProtobufSchema(t *testing.T) {
	const schema = `syntax = "proto3"; package shop;
		message Order { string id = 1; int64 count = 2; uint32 small = 3; double price = 4; bool paid = 5; bytes data = 6;
			enum State { NEW = 0; SENT = 1; } State state = 7; repeated Line lines = 8; map<string, int32> tags = 9; Customer customer = 10;
			message Line { string sku = 1; float weight = 2; } }
		message Customer { string name = 1; optional int32 age = 2; }`
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(map[string]string{"order.proto": schema})}}
	files, err := compiler.Compile(t.Context(), "order.proto")
	if err != nil {
		t.Fatal(err)
	}
	encoded := func(text string) []byte {
		message := dynamicpb.NewMessage(files[0].Messages().ByName("Order"))
		if err := protojson.Unmarshal([]byte(text), message); err != nil {
			t.Fatal(err)
		}
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		return append([]byte{0}, data...) // the first message of the file
	}
	read(t, schemaCases(t, "protobuf", "PROTOBUF", schema, []any{
		object{"id": "a", "count": int64(1) << 60, "small": int64(1)<<32 - 1, "price": 0.25, "paid": true, "data": object{"$bytes": []byte{0, 0xff}}, "state": "SENT",
			"lines": []any{object{"sku": "s", "weight": 1.5}, object{"sku": "", "weight": 0}}, "tags": object{"$map": object{"x": 1}}, "customer": object{"name": "é", "age": 7}},
		object{"id": "", "count": 0, "small": 0, "price": 0, "paid": false, "data": object{"$bytes": []byte{}}, "state": "NEW",
			"lines": []any{}, "tags": object{"$map": object{}}, "customer": nil},
	}, encoded(`{"id":"a","count":"1152921504606846976","small":4294967295,"price":0.25,"paid":true,"data":"AP8=","state":"SENT","lines":[{"sku":"s","weight":1.5},{}],"tags":{"x":1},"customer":{"name":"é","age":7}}`),
		encoded(`{}`))...)
}

// TestJSONSchema: properties become columns.
func TestJSONSchema(t *testing.T) {
	const schema = `{"type":"object","required":["id","name"],"additionalProperties":false,"properties":{
		"id":{"type":"integer"},"name":{"type":"string"},"price":{"type":"number"},"paid":{"type":"boolean"},
		"tags":{"type":"array","items":{"type":"string"}},"where":{"type":"object","additionalProperties":false,"properties":{"city":{"type":"string"}}}}}`
	read(t, schemaCases(t, "json", "JSON", schema, []any{
		object{"id": 1, "name": "é", "price": 12.5, "paid": true, "tags": []any{"a", "b"}, "where": object{"city": "X"}},
		object{"id": -2, "name": "", "price": nil, "paid": nil, "tags": nil, "where": nil},
	}, []byte(`{"id":1,"name":"é","price":12.5,"paid":true,"tags":["a","b"],"where":{"city":"X"}}`), []byte(`{"id":-2,"name":""}`))...)
}

// TestFolder: all files of a topic are read at once, those of records without a
// value too, whichever comes first.
func TestFolder(t *testing.T) {
	const schema = `{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},{"name":"note","type":["null","string"]},
		{"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[{"name":"sku","type":"string"}]}}}]}`
	var cases []testCase
	for name, order := range map[string][]bool{"values-first": {true, false, true}, "tombstones-first": {false, true, false}} {
		folder := t.TempDir()
		values := registrytest.Values(t, "parquet", "AVRO", schema)
		var want []any
		for i, hasValue := range order {
			record := source.Record{Offset: int64(i), Timestamp: 1700000000000, Key: []byte("k")}
			row := object{"id": nil, "note": nil, "lines": nil, "_record": coordinates(record.Offset)}
			rows, value, err := values.Decode(nil, avroValue(t, schema, object{"id": i, "note": "n", "lines": []any{object{"sku": "s"}}}))
			if err != nil {
				t.Fatal(err)
			}
			if hasValue {
				record.Value = value
				row["id"], row["note"], row["lines"] = i, "n", []any{object{"sku": "s"}}
			} else {
				rows = rows.Tombstones()
			}
			write(t, folder, "parquet", "snappy", rows, record)
			want = append(want, row)
		}
		cases = append(cases, testCase{Name: name, Format: "parquet", Path: folder + "/*.parquet", Rows: want, Not: []string{"fastparquet"}}) // which takes no pattern
	}
	read(t, cases...)
}
