// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/record"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestRowSchemas: the schemas of open files are kept however much they take, so
// that each has one file, and of others no more than a part of the memory.
func TestRowSchemas(t *testing.T) {
	t.Parallel()
	t.Run("as they are", func(t *testing.T) { t.Parallel(); rowSchemas(t, nil) })
	t.Run("masked", func(t *testing.T) { t.Parallel(); rowSchemas(t, []string{"id=hash"}) })
}

func rowSchemas(t *testing.T, masks []string) {
	s := settings.Default()
	s.Source, s.File.Format, s.Record.Mask = "postgres", "parquet", masks
	encoder, err := encode.NewEncoder(s)
	if err != nil {
		t.Fatal(err)
	}
	b := &batcher{encoder: encoder, layout: s.Layout(), paths: newPaths(s), rules: record.NewRules(s), share: 10 << 20}
	b.keepInMemory()
	rowsOf := func(of *source.RowSchema) *schema.Rows {
		t.Helper()
		rows, err := b.rowsOf(of)
		if err != nil {
			t.Fatal(err)
		}
		if b.rules != nil {
			if rows, _, err = b.rules.ApplyRows(&source.Record{}, rows); err != nil {
				t.Fatal(err)
			}
		}
		return rows
	}
	const tables = 20
	schemas := make([]*source.RowSchema, 2*tables)
	for i := range schemas {
		fields := make([]string, 400)
		for j := range fields {
			fields[j] = `{"name":"id","type":["null","string"]}`
			if j == 0 {
				continue
			}
			fields[j] = fmt.Sprintf(`{"name":"c%d_%d","type":["null","string"]}`, i, j)
		}
		schemas[i] = &source.RowSchema{Avro: `{"type":"record","name":"Row","fields":[` + strings.Join(fields, ",") + `]}`}
	}
	for range 3 {
		for i, of := range schemas {
			if rows := rowsOf(of); i%2 == 0 { // of others, all records are left out
				b.file(&source.Chunk{Schema: of}, 0, nil, rows)
			}
		}
	}
	if len(b.order) != tables {
		t.Errorf("%d tables have %d files", tables, len(b.order))
	}
	if b.memory < b.share {
		t.Fatalf("%d bytes are too few to try it", b.memory)
	}
	b.forget()
	if len(b.rows) > 0 {
		t.Errorf("%d schemas are kept that no file has", len(b.rows))
	}
	for _, of := range schemas {
		rowsOf(of)
		memory := 0
		for _, rows := range b.rows {
			memory += rows.Memory()
		}
		if most := b.share / 2; memory > most || memory == 0 {
			t.Errorf("the schemas that are kept take %d bytes of %d at most", memory, most)
		}
	}
}
