// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/twmb/avro/ocf"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// envelopeRow is a row of a file without a registry.
type envelopeRow struct {
	Topic     string           `parquet:"topic" avro:"topic"`
	Partition int32            `parquet:"partition" avro:"partition"`
	Offset    int64            `parquet:"offset" avro:"offset"`
	Timestamp int64            `parquet:"timestamp,timestamp(millisecond)" avro:"timestamp"`
	Key       *[]byte          `parquet:"key,optional" avro:"key"`
	Headers   []envelopeHeader `parquet:"headers,list" avro:"headers"`
	Value     *[]byte          `parquet:"value,optional" avro:"value"`
}

type envelopeHeader struct {
	Key   string  `parquet:"key" avro:"key"`
	Value *[]byte `parquet:"value,optional" avro:"value"`
}

// readRows reads a file back with its library's own reader.
func readRows(t testing.TB, format string, content []byte) (rows []envelopeRow) {
	t.Helper()
	if format == "parquet" {
		rows, err := parquet.Read[envelopeRow](bytes.NewReader(content), int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows { // no headers are an empty list there
			if len(rows[i].Headers) == 0 {
				rows[i].Headers = nil
			}
		}
		return rows
	}
	r, err := ocf.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for {
		var row envelopeRow
		if err := r.Decode(&row); err != nil {
			break
		}
		if len(row.Headers) == 0 {
			row.Headers = nil
		}
		rows = append(rows, row)
	}
	return rows
}

// TestEnvelopeRows: what goes into an Avro or Parquet file comes out of it,
// over blocks, pages and row groups.
func TestEnvelopeRows(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"avro", "parquet"} {
		for _, compression := range []string{"none", "snappy", "gzip", "zstd"} {
			for _, records := range []int{1, 700, 30_000} {
				if records > 1000 && compression != "snappy" {
					continue
				}
				t.Run(fmt.Sprint(format, "/", compression, "/", records), func(t *testing.T) {
					t.Parallel()
					f := newEncoder(t, format, compression).NewFile(Place{Stream: stream})
					var want []envelopeRow
					for offset := range records {
						r := source.Record{Offset: int64(offset), Timestamp: 1700000000000 + int64(offset), Key: []byte{0xff, byte(offset)}, Value: bytes.Repeat([]byte{byte(offset)}, offset%1500)}
						row := envelopeRow{"orders", 3, r.Offset, r.Timestamp, &r.Key, nil, &r.Value}
						switch offset % 5 {
						case 1:
							r.Value, row.Value = nil, nil
						case 2:
							r.Key, row.Key = nil, nil
						case 3:
							r.Headers = source.Headers{Count: 2, Raw: []byte("\x02h\x02v\x02n\x01")}
							v := []byte("v")
							row.Headers = []envelopeHeader{{"h", &v}, {"n", nil}}
						}
						if n, err := f.Append([]source.Record{r}, math.MaxInt); n != 1 || err != nil {
							t.Fatal(n, err)
						}
						want = append(want, row)
					}
					if f.Memory() < f.Size() {
						t.Errorf("memory %d, size %d", f.Memory(), f.Size())
					}
					path, content := written(t, f)
					if expected := fmt.Sprintf("/orders/00003/%020d-%020d.%s", 0, records-1, format); path != expected {
						t.Errorf("path %s, want %s", path, expected)
					}
					if dir := os.Getenv("SPOUT_TEST_FILES"); dir != "" { // for other readers
						if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d.%s", compression, records, format)), content, 0o600); err != nil {
							t.Fatal(err)
						}
					}
					got := readRows(t, format, content)
					if len(got) != len(want) {
						t.Fatalf("%d rows, want %d", len(got), len(want))
					}
					for i := range want {
						if !reflect.DeepEqual(got[i], want[i]) {
							t.Fatalf("row %d: %+v, want %+v", i, got[i], want[i])
						}
					}
				})
			}
		}
	}
}

// BenchmarkWrite shows what an Avro or Parquet file of 20,000 records costs per
// record, from Append to the bytes that are uploaded.
func BenchmarkWrite(b *testing.B) {
	for _, format := range []string{"lines", "avro", "parquet"} {
		for _, compression := range []string{"none", "zstd"} {
			for _, size := range []int{100, 1024} {
				b.Run(fmt.Sprintf("%s/%s/%dB", format, compression, size), func(b *testing.B) {
					records := make([]source.Record, 1000)
					for i := range records {
						records[i] = source.Record{Offset: int64(i), Key: []byte("key"), Value: fmt.Appendf(nil, `{"id":%d,"a":"%0*d"}`, i, size-16, i*i)}
					}
					e := newEncoder(b, format, compression)
					b.SetBytes(int64(size))
					b.ReportAllocs()
					f := e.NewFile(Place{Stream: stream})
					for done := 0; done < b.N; done += len(records) {
						if _, err := f.Append(records, math.MaxInt); err != nil {
							b.Fatal(err)
						}
						if done%20_000 == 19_000 {
							if err := f.Write(func(string, ...[]byte) error { return nil }); err != nil {
								b.Fatal(err)
							}
							f = e.NewFile(Place{Stream: stream})
						}
					}
				})
			}
		}
	}
}
