// SPDX-License-Identifier: Apache-2.0

//go:build readers

package readers

import "testing"

// TestRootInItself: a record that is met again within itself.
func TestRootInItself(t *testing.T) {
	const schema = `{"type":"record","name":"Node","namespace":"org.x","fields":[{"name":"value","type":"long"},{"name":"next","type":["null","Node"]}]}`
	node := func(value int, next any) object { return object{"value": value, "next": next} }
	read(t, casesAs(t, []string{"avro none"}, "node", "AVRO", schema, []any{object{"value": node(1, node(2, nil))}, object{"value": node(1, nil)}},
		[]byte{2, 2, 4, 0}, []byte{2, 0})...)
	tree := func(v int, below ...any) object { return object{"v": v, "t": append([]any{}, below...)} }
	read(t, casesAs(t, []string{"avro none"}, "protobuf", "PROTOBUF", `syntax = "proto3"; package p; message T { int32 v = 1; repeated T t = 2; }`,
		[]any{object{"value": tree(1, tree(2), tree(0))}}, []byte("\x00\x08\x01\x12\x02\x08\x02\x12\x00"))...)
}

// TestNames: what Java takes for names, and what means something else to some
// readers. fastparquet compares nothing that is nested.
func TestNames(t *testing.T) {
	read(t, notWithFastparquet(schemaCases(t, "dash", "AVRO", `{"type":"record","name":"E","namespace":"my-prefix.inv","fields":[
			{"name":"a","type":{"type":"record","name":"In","fields":[{"name":"x","type":"int"}]}},{"name":"b","type":["null","In"],"default":null}]}`,
		[]any{object{"a": object{"x": 1}, "b": object{"x": 2}}, object{"a": object{"x": 2}, "b": nil}}, []byte{2, 2, 4}, []byte{4, 0}))...)
	read(t, notWithFastparquet(schemaCases(t, "namespaces", "AVRO", `{"type":"record","name":"A","namespace":"a.b","fields":[
			{"name":"x","type":{"type":"record","name":"S","namespace":"","fields":[{"name":"f","type":{"type":"fixed","name":"F","size":1}}]}},{"name":"y","type":"S"},
			{"name":"m","type":{"type":"record","name":"map","fields":[{"name":"q","type":"int"}]}},{"name":"n","type":"a.b.map"}]}`,
		[]any{object{"x": object{"f": object{"$bytes": []byte("a")}}, "y": object{"f": object{"$bytes": []byte("b")}}, "m": object{"q": 1}, "n": object{"q": 2}}}, []byte("ab\x02\x04")))...)
	read(t, notWithFastparquet(schemaCases(t, "protobuf", "PROTOBUF", `syntax = "proto3"; message map { array array = 1; Mid m = 2;
			message Mid { array a = 1; message array { string s = 1; } } } message array { repeated int32 v = 1; }`,
		[]any{object{"array": object{"v": []any{5, 6}}, "m": object{"a": object{"s": "x"}}}}, []byte("\x00\x0a\x04\x0a\x02\x05\x06\x12\x05\x0a\x03\x0a\x01x")))...)
}

// TestWhatHoldsNothing: null, and records and fixed without anything in them,
// beside a column that is read all the same.
func TestWhatHoldsNothing(t *testing.T) {
	const schema = `{"type":"record","name":"R","fields":[{"name":"n","type":"null"},{"name":"e","type":{"type":"record","name":"E","fields":[]}},{"name":"oe","type":["null","E"]},
		{"name":"an","type":{"type":"array","items":"null"}},{"name":"ae","type":{"type":"array","items":"E"}},{"name":"u","type":["null"]},
		{"name":"z","type":{"type":"fixed","name":"Z","size":0}},{"name":"on","type":{"type":"record","name":"ON","fields":[{"name":"x","type":"null"}]}},{"name":"v","type":"int"}]}`
	rows := func(empty any) []any {
		none := object{"$bytes": []byte{}}
		return []any{
			object{"n": nil, "e": empty, "oe": empty, "an": []any{nil, nil, nil}, "ae": []any{empty, empty}, "u": nil, "z": none, "on": object{"x": nil}, "v": 5},
			object{"n": nil, "e": empty, "oe": nil, "an": []any{}, "ae": []any{}, "u": nil, "z": none, "on": object{"x": nil}, "v": 6}}
	}
	payloads := [][]byte{{2, 6, 0, 4, 0, 0, 10}, {0, 0, 0, 0, 12}}
	read(t, casesAs(t, []string{"avro none"}, "avro", "AVRO", schema, rows(object{}), payloads...)...)
	read(t, notWithFastparquet(casesAs(t, []string{"parquet none", "parquet zstd"}, "parquet", "AVRO", schema, rows(true), payloads...))...)
}

// TestUnions: members are numbered without null.
func TestUnions(t *testing.T) {
	const schema = `{"type":"record","name":"R","fields":[{"name":"u","type":["null","string","long",{"type":"record","name":"S","fields":[{"name":"x","type":"int"}]}]},
		{"name":"w","type":["int","string"]}]}`
	payloads := [][]byte{{0, 0, 2}, {2, 2, 'a', 2, 2, 'b'}, {4, 8, 0, 10}, {6, 14, 0, 2}}
	read(t, casesAs(t, []string{"avro none"}, "avro", "AVRO", schema,
		[]any{object{"u": nil, "w": 1}, object{"u": "a", "w": "b"}, object{"u": 4, "w": 5}, object{"u": object{"x": 7}, "w": 1}}, payloads...)...)
	u := func(text, number, record any) object {
		return object{"member0": text, "member1": number, "member2": record}
	}
	w := func(number, text any) object { return object{"member0": number, "member1": text} }
	read(t, notWithFastparquet(casesAs(t, []string{"parquet none"}, "parquet", "AVRO", schema,
		[]any{object{"u": nil, "w": w(1, nil)}, object{"u": u("a", nil, nil), "w": w(nil, "b")}, object{"u": u(nil, 4, nil), "w": w(5, nil)},
			object{"u": u(nil, nil, object{"x": 7}), "w": w(1, nil)}}, payloads...))...)
}

// TestWideDecimals: digits that some readers refuse whole files for.
func TestWideDecimals(t *testing.T) {
	const schema = `{"type":"record","name":"R","fields":[{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":39,"scale":2}},
		{"name":"e","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":2}}]}`
	read(t, notWithFastparquet(casesAs(t, []string{"parquet none"}, "parquet", "AVRO", schema,
		[]any{object{"d": object{"$bytes": []byte{1, 0}}, "e": object{"$decimal": "2.56"}}}, []byte{4, 1, 0, 4, 1, 0}))...)
}
