// SPDX-License-Identifier: Apache-2.0

//go:build readers

package readers

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestEnvelopes: records without a registry, in each format and compression.
func TestEnvelopes(t *testing.T) {
	random := make([]byte, 300_000)
	generator := rand.NewChaCha8([32]byte{1})
	_, _ = generator.Read(random) //nolint:errcheck // it never fails
	records := []source.Record{
		{Offset: 10, Timestamp: 1700000000123, Key: []byte{0xff, 0}, Value: []byte("plain")},
		{Offset: 11, Timestamp: -1, Value: random},
		{Offset: 12, Key: []byte{}, Value: []byte{}},
		{Offset: 13, Key: []byte("gone")}, // a tombstone
		{Offset: 14, Value: []byte("h"), Headers: source.Headers{Count: 2, Raw: []byte("\x02h\x02v\x02n\x01")}},
	}
	want := make([]any, len(records))
	for i, r := range records {
		row := object{"topic": "orders", "partition": 3, "offset": r.Offset, "timestamp": object{"$micros": r.Timestamp * 1000},
			"key": nil, "headers": []any{}, "value": nil}
		if r.Key != nil {
			row["key"] = object{"$bytes": r.Key}
		}
		if r.Value != nil {
			row["value"] = object{"$bytes": r.Value}
		}
		if r.Headers.Count > 0 {
			row["headers"] = []any{object{"key": "h", "value": object{"$bytes": []byte("v")}}, object{"key": "n", "value": nil}}
		}
		want[i] = row
	}
	var cases []testCase
	for _, format := range []string{"parquet", "avro"} {
		for _, compression := range []string{"none", "snappy", "gzip", "zstd"} {
			path := write(t, t.TempDir(), format, compression, nil, records...)
			cases = append(cases, testCase{Name: format + "-" + compression, Format: format, Path: path, Rows: want})
		}
	}
	read(t, cases...)
}

// TestLargeValues: one value of 8 MiB, of one letter, as bytes and as text.
func TestLargeValues(t *testing.T) {
	const size = 8 << 20
	text := bytes.Repeat([]byte("a"), size)
	var cases []testCase
	for _, compression := range []string{"none", "snappy", "gzip", "zstd"} {
		path := write(t, t.TempDir(), "parquet", compression, nil, source.Record{Value: text}, source.Record{Offset: 1, Value: []byte("b")})
		row := func(offset int, value any) object {
			return object{"topic": "orders", "partition": 3, "offset": offset, "timestamp": object{"$micros": 0}, "key": nil, "headers": []any{}, "value": value}
		}
		cases = append(cases, testCase{Name: "bytes-" + compression, Format: "parquet", Path: path,
			Rows: []any{row(0, object{"$repeat": []any{"a", size}}), row(1, object{"$bytes": []byte("b")})}})
	}
	schema := `{"type":"record","name":"T","fields":[{"name":"text","type":"string"}]}`
	want := []any{object{"text": "first"}, object{"text": object{"$repeat": []any{"a", size}}}, object{"text": "last"}, object{"text": "first"}}
	cases = append(cases, notWithFastparquet(schemaCases(t, "text", "AVRO", schema, want,
		avroValue(t, schema, object{"text": "first"}), avroValue(t, schema, object{"text": string(text)}), avroValue(t, schema, object{"text": "last"}), avroValue(t, schema, object{"text": "first"})))...)
	read(t, cases...)
}

// TestJSONLines: one value that a reader would refuse does not spoil the file.
func TestJSONLines(t *testing.T) {
	var records []source.Record
	var want []any
	add := func(value string, as string, is any) {
		offset := len(records)
		records = append(records, source.Record{Offset: int64(offset), Timestamp: 5, Key: []byte("k"), Value: []byte(value)})
		want = append(want, object{"topic": "orders", "partition": 3, "offset": offset, "timestamp": 5, "key": "k", as: is})
	}
	add(`{"id": 1, "name": "é\ud83d\ude00"}`, "value", object{"id": 1, "name": "é😀"})
	for _, odd := range []string{`{"id":1,"name":"\ud83d"}`, `{"id":1e400,"name":"x"}`, `{"id":1,"id":2}`, "\xff", "text", "", "null",
		strings.Repeat("[", 5000) + strings.Repeat("]", 5000), `{"name":"a` + "\x00" + `"}`} {
		add(odd, "value_base64", object{"$base64": []byte(odd)})
	}
	add("{\n\"id\": 2,\n\"name\": \"last\"}", "value", object{"id": 2, "name": "last"})
	records = append(records, source.Record{Offset: int64(len(records)), Timestamp: 5, Key: []byte("k")})
	want = append(want, object{"topic": "orders", "partition": 3, "offset": len(want), "timestamp": 5, "key": "k", "value": nil})
	read(t, testCase{Name: "jsonl", Format: "jsonl", Path: write(t, t.TempDir(), "jsonl", "none", nil, records...), Rows: want})
}
