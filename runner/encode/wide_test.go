// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/registrytest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// wideSchema is an Avro schema of n columns of int, each optional.
func wideSchema(n int) string {
	fields := make([]string, n)
	for i := range fields {
		fields[i] = fmt.Sprintf(`{"name":"column_%d","type":["null","int"]}`, i)
	}
	return `{"type":"record","name":"Wide","fields":[` + strings.Join(fields, ",") + `]}`
}

// BenchmarkWide shows what a Parquet file of 100 rows costs, by its columns.
func BenchmarkWide(b *testing.B) {
	for _, columns := range []int{50, 500, 5000} {
		b.Run(fmt.Sprint(columns), func(b *testing.B) {
			values := registrytest.Values(b, "parquet", "AVRO", wideSchema(columns))
			value := make([]byte, 0, 3*columns)
			for i := range columns {
				value = binary.AppendVarint(append(value, 2), int64(i))
			}
			rows, _, err := values.Decode(nil, value)
			if err != nil {
				b.Fatal(err)
			}
			e := newEncoder(b, "parquet", "none")
			for b.Loop() {
				f := e.NewFile(Place{Stream: stream, Rows: rows})
				for offset := range 100 {
					if _, err := f.Append([]source.Record{{Offset: int64(offset), Value: value}}, math.MaxInt); err != nil {
						b.Fatal(err)
					}
				}
				if err := f.Write(func(string, ...[]byte) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
