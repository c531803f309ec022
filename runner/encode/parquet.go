// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"fmt"
	"strconv"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
)

// parquetFiles writes Parquet files.
type parquetFiles struct{ codec compress.Codec }

// parquetCodec returns the codec for a compression of settings.
func parquetCodec(compression string) (parquetFiles, error) {
	codecs := map[string]compress.Codec{"none": &parquet.Uncompressed, "snappy": &parquet.Snappy, "gzip": &parquet.Gzip, "zstd": &parquet.Zstd}
	codec, ok := codecs[compression]
	if !ok {
		return parquetFiles{}, fmt.Errorf("unknown compression %q of Parquet", compression)
	}
	return parquetFiles{codec}, nil
}

const (
	// rowGroup is how many bytes of rows make a row group: columns of that much
	// are in memory at once, here and at readers.
	rowGroup = 16 << 20
	// shredRows is how many rows are taken apart before their columns are
	// passed on.
	shredRows = 512
)

func (p parquetFiles) write(out *blocks, of *schema.Rows, rows *rowBlocks) error {
	layout, err := of.Columns()
	if err != nil {
		return err
	}
	w := parquet.NewGenericWriter[any](out, layout.Schema, parquet.Compression(p.codec), parquet.CreatedBy("spout-runner", "1", "avro"),
		parquet.DataPageVersion(1), parquet.DictionaryMaxBytes(1<<20)) // what every reader understands
	w.SetKeyValueMetadata("avro.schema", of.Text)
	if of.ID != 0 {
		w.SetKeyValueMetadata(schemaIDProperty, strconv.Itoa(of.ID))
	}
	g := &rowGroupWriter{layout: layout, to: w, columns: make([][]parquet.Value, layout.Leaves)}
	if err := rows.each(g.add); err != nil {
		return err
	}
	if err := g.pass(); err != nil {
		return err
	}
	return w.Close()
}

// rowGroupWriter gathers the values of rows by column.
type rowGroupWriter struct {
	layout  *schema.Columns
	to      *parquet.GenericWriter[any]
	columns [][]parquet.Value
	scratch []byte // the rows, since a block is given back before their values are passed on
	rows    int
	bytes   int // of the row group
}

func (g *rowGroupWriter) add(row []byte) error {
	if len(g.scratch)+len(row) > cap(g.scratch) {
		if err := g.pass(); err != nil {
			return err
		}
		if cap(g.scratch) < len(row) {
			g.scratch = make([]byte, 0, max(len(row), 256<<10))
		}
	}
	from := len(g.scratch)
	g.scratch = append(g.scratch, row...)
	g.layout.Shred(g.columns, g.scratch[from:])
	g.bytes += len(row)
	if g.rows++; g.rows < shredRows && g.bytes < rowGroup {
		return nil
	}
	if err := g.pass(); err != nil {
		return err
	}
	if g.bytes >= rowGroup {
		g.bytes = 0
		return g.to.Flush()
	}
	return nil
}

// pass hands the values on.
func (g *rowGroupWriter) pass() error {
	if g.rows == 0 {
		return nil
	}
	for i, column := range g.to.ColumnWriters() {
		n, err := column.WriteRowValues(g.columns[i])
		if err != nil {
			return err
		}
		if n != g.rows {
			return fmt.Errorf("column %d has %d rows of %d", i, n, g.rows)
		}
		g.columns[i] = g.columns[i][:0]
	}
	g.rows, g.scratch = 0, g.scratch[:0]
	return nil
}
