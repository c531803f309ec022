// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"
	meta "github.com/parquet-go/parquet-go/format"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/registrytest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

const textSchema = `{"type":"record","name":"Text","fields":[{"name":"text","type":"string"},{"name":"n","type":"int"}]}`

// avroText is a value of textSchema.
func avroText(text []byte, n int) []byte {
	value := binary.AppendVarint(nil, int64(len(text)))
	return binary.AppendVarint(append(value, text...), int64(n))
}

// TestLargeValue: a long value makes neither a large footer nor one of several
// times its memory, be it bytes or text, and whether it can be compressed.
func TestLargeValue(t *testing.T) { // counts memory: not parallel
	const size = 8 << 20
	values := registrytest.Values(t, "parquet", "AVRO", textSchema)
	for _, compression := range []string{"none", "snappy", "gzip", "zstd"} {
		for _, registered := range []bool{false, true} {
			text := bytes.Repeat([]byte("a"), size)
			records := []source.Record{{Offset: 1, Value: text}, {Offset: 2, Value: []byte("b")}}
			var rows *schema.Rows
			if registered {
				for i := range records {
					var err error
					if rows, records[i].Value, err = values.Decode(nil, avroText(records[i].Value, i)); err != nil {
						t.Fatal(err)
					}
				}
			}
			var before, after runtime.MemStats
			f := newEncoder(t, "parquet", compression).NewFile(Place{Stream: stream, Rows: rows})
			if _, err := f.Append(records, math.MaxInt); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&before)
			_, content := written(t, f)
			runtime.ReadMemStats(&after)
			name := fmt.Sprint(compression, ", with a registry: ", registered)
			if most := size + 10_000; len(content) > most || compression == "zstd" && len(content) > 20_000 {
				t.Errorf("%s: a file of %d bytes", name, len(content))
			}
			if taken := after.TotalAlloc - before.TotalAlloc; taken > 10*size {
				t.Errorf("%s: %d bytes of memory", name, taken)
			}
			checkBounds(t, name, content)
		}
	}
}

// checkBounds looks for long or wrong bounds in a file's footer.
func checkBounds(t testing.TB, name string, content []byte) {
	t.Helper()
	file, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Metadata().RowGroups {
		for _, column := range group.Columns {
			s := column.MetaData.Statistics
			if len(s.MinValue) > maxBound || len(s.MaxValue) > maxBound || s.Min != nil || s.Max != nil {
				t.Errorf("%s: column %v has bounds of %d and %d bytes", name, column.MetaData.PathInSchema, len(s.MinValue), len(s.MaxValue))
			}
			if nulls := s.NullCount == column.MetaData.NumValues; (s.MaxValue == nil) != (column.ColumnIndexOffset == 0) && !nulls {
				t.Errorf("%s: column %v has bounds in one place of two", name, column.MetaData.PathInSchema)
			}
			if slices.Contains(column.MetaData.Encoding, meta.DeltaLengthByteArray) {
				t.Errorf("%s: column %v has an encoding that readers refuse", name, column.MetaData.PathInSchema)
			}
		}
	}
}

// TestBoundsOfDecimals: they are in bytes, which do not compare as numbers do.
func TestBoundsOfDecimals(t *testing.T) {
	t.Parallel()
	values := registrytest.Values(t, "parquet", "AVRO", `{"type":"record","name":"D","fields":[
		{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}},
		{"name":"b","type":{"type":"fixed","name":"F","size":2,"logicalType":"decimal","precision":4,"scale":2}},
		{"name":"n","type":"long"}]}`)
	rows, value, err := values.Decode(nil, []byte{2, 0xff, 0xff, 0xff, 2})
	if err != nil {
		t.Fatal(err)
	}
	f := newEncoder(t, "parquet", "none").NewFile(Place{Stream: stream, Rows: rows})
	if _, err := f.Append([]source.Record{{Value: value}, {Offset: 1, Value: []byte{2, 0x01, 0, 1, 4}}}, math.MaxInt); err != nil {
		t.Fatal(err)
	}
	_, content := written(t, f)
	checkBounds(t, "decimals", content)
	file, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	for i, bounded := range []bool{false, false, true} {
		if s := file.Metadata().RowGroups[0].Columns[i].MetaData.Statistics; (s.MaxValue != nil) != bounded {
			t.Errorf("column %d: bounds %x and %x", i, s.MinValue, s.MaxValue)
		}
	}
}
