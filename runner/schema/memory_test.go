// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestRowsMemory: what the schemas of rows are said to take is about what they
// do take, whoever gives them, with columns of Parquet and without.
func TestRowsMemory(t *testing.T) {
	layout := settings.Default().Layout()
	wide := func(n int, field string) string {
		fields := make([]string, n)
		for i := range fields {
			fields[i] = fmt.Sprintf(`{"name":"c%d","type":%s}`, i, field)
		}
		return `{"type":"record","name":"Row","fields":[` + strings.Join(fields, ",") + `]}`
	}
	ofSource := func(before bool) func(text string) (*Rows, error) {
		return func(text string) (*Rows, error) {
			return OfSource(&source.RowSchema{Avro: strings.Clone(text), Before: before}, layout)
		}
	}
	ofRegistry := func(text string) (*Rows, error) {
		root, err := parseAvro([]Source{{Text: text}})
		if err != nil {
			return nil, err
		}
		return (&maker{of: CoordinatesOf(layout)}).rows(root)
	}
	for _, test := range []struct {
		name  string
		field string
		make  func(text string) (*Rows, error)
	}{
		{"a source's", `["null","string"]`, ofSource(false)},
		{"a source's with the row before", `["null","string"]`, ofSource(true)},
		{"a registry's numbers", `"long"`, ofRegistry},
		{"a registry's optional times", `["null",{"type":"long","logicalType":"timestamp-micros"}]`, ofRegistry},
		{"a registry's lists", `{"type":"array","items":"boolean"}`, ofRegistry},
	} {
		for _, columns := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, with columns %v", test.name, columns), func(t *testing.T) {
				const schemas = 10
				text := wide(1500, test.field)
				counted, all := 0, make([]*Rows, schemas)
				before := heap()
				for i := range all {
					var err error
					if all[i], err = test.make(text); err == nil && columns {
						_, err = all[i].Columns()
					}
					if err != nil {
						t.Fatal(err)
					}
					counted += all[i].Memory()
				}
				taken := heap() - before
				runtime.KeepAlive(all)
				t.Logf("%d KiB are taken, %d KiB counted", taken>>10/schemas, counted>>10/schemas)
				if counted < taken/4*3 {
					t.Errorf("%d KiB are counted of %d KiB", counted>>10, taken>>10)
				}
			})
		}
	}
}

// heap is what is in use.
func heap() int {
	runtime.GC()
	runtime.GC() // what pools have had
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
