// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"encoding/csv"
	"slices"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestHead: what files of a format begin with, as the names of a CSV file's
// columns, is once in each of them, compressed or not, and counts as its size.
func TestHead(t *testing.T) {
	t.Parallel()
	const head = "number,value\n"
	most := func(r *source.Record) int { return 2*len(r.Value) + 30 }
	table := format{head: []byte(head), most: most, fill: oneByOne(func(dst []byte, _ *source.Stream, r *source.Record) []byte {
		return append(append(append(dst, "1,"...), r.Value...), '\n')
	}, most)}
	for _, compression := range []string{"none", "gzip", "zstd"} {
		t.Run(compression, func(t *testing.T) {
			t.Parallel()
			s := settings.Default()
			s.File.Format, s.File.Compression = "jsonl", compression
			e, err := NewEncoder(s)
			if err != nil {
				t.Fatal(err)
			}
			e.text.format, e.text.extension = table, "csv"
			value := strings.Repeat("x", 1000)
			for range 2 { // files
				f := e.NewFile(Place{Stream: source.Stream{Name: "t"}})
				if f.Size() != 0 {
					t.Errorf("%d bytes before the first record", f.Size())
				}
				const count = 3000 // more than a block, and than compressFrom
				for i := range int64(count) {
					if _, err := f.Append([]source.Record{{Offset: i, Value: []byte(value)}}, 1<<30); err != nil {
						t.Fatal(err)
					}
					if i == 0 && f.Size() != len(head)+len("1,\n")+len(value) {
						t.Errorf("%d bytes with the first record", f.Size())
					}
				}
				err := f.Write(func(path string, parts ...[]byte) error {
					_, content, err := unpacked(path, slices.Concat(parts...))
					if err != nil {
						return err
					}
					rows, err := csv.NewReader(strings.NewReader(string(content))).ReadAll()
					if err != nil {
						return err
					}
					if len(rows) != count+1 || rows[0][0] != "number" || rows[1][0] != "1" || strings.Count(string(content), head) != 1 {
						t.Errorf("%s: %d rows, the first %q", path, len(rows), rows[0])
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
