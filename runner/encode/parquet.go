// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"fmt"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
)

// parquetFiles writes Parquet files.
type parquetFiles struct {
	codec compress.Codec
	group int        // bytes of rows that make a row group
	idle  *sync.Pool // of [parquetWriter]
}

// parquetWriter writes one file after the other, all of rows with one schema:
// the buffers of its columns are used again.
type parquetWriter struct {
	*parquet.GenericWriter[any]
	of        *schema.Rows
	unbounded []int
	columns   [][]parquet.Value
	scratch   []byte
}

// newParquetFiles returns the writer for a compression of settings.
func newParquetFiles(compression string, budget settings.Bytes) (containerWriter, error) {
	codecs := map[string]compress.Codec{"none": &parquet.Uncompressed, "snappy": &parquet.Snappy, "gzip": &parquet.Gzip, "zstd": &parquet.Zstd}
	codec, ok := codecs[compression]
	if !ok {
		return parquetFiles{}, fmt.Errorf("unknown compression %q of Parquet", compression)
	}
	return parquetFiles{codec, groupBytes(budget), &sync.Pool{}}, nil
}

const (
	// rowGroup is how many bytes of rows make a row group: columns of that much
	// are in memory at once, here and at readers, several times over. With a
	// small budget it is less.
	rowGroup       = 16 << 20
	groupsInBudget = 16
	// shredRows is how many rows are taken apart before their columns are
	// passed on.
	shredRows = 512
	// shredValues is the same for their values, of which wide rows have many.
	shredValues = 1 << 17
	// keptValues is how many there is room for from rows to rows.
	keptValues = 4 * shredValues
	// bytesPerValue is how many bytes of a row group there are for each of its
	// values, at least: short ones take several times as much in columns as in
	// rows.
	bytesPerValue = 4
	// maxDictionary is how large a column's dictionary becomes before its other
	// values are written as they are.
	maxDictionary = 1 << 20
	// largeRow is how long rows are that are looked at more closely.
	largeRow = 1 << 10
	// wholeRow is how long rows are that are passed on by themselves, from where
	// they are.
	wholeRow = 256 << 10
)

// groupBytes is how many bytes of rows make a row group with a memory budget.
func groupBytes(budget settings.Bytes) int { return int(min(rowGroup, budget/groupsInBudget)) }

func (p parquetFiles) write(out *blocks, of *schema.Rows, rows *rowBlocks) error {
	layout, err := of.Columns()
	if err != nil {
		return err
	}
	unbounded := unboundedColumns(layout, rows)
	w := p.writer(out, of, layout, unbounded)
	g := &rowGroupWriter{group: p.group, layout: layout, to: w.GenericWriter, columns: w.columns, scratch: w.scratch, unflushed: make([]int, layout.Leaves)}
	if err := rows.each(g.add); err != nil {
		return err
	}
	if err := g.pass(); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if layout.Leaves <= fewColumns && rows.longest == 0 { // others take memory that nobody counts while they are idle
		w.scratch = g.scratch
		p.idle.Put(w)
	}
	return dropColumnIndexes(out, unbounded)
}

// fewColumns is how many columns a writer may have that is kept for the next
// file, each with a page and a dictionary.
const fewColumns = 64

// writer returns a writer that writes to out.
func (p parquetFiles) writer(out *blocks, of *schema.Rows, layout *schema.Columns, unbounded []int) *parquetWriter {
	if w, ok := p.idle.Get().(*parquetWriter); ok && w.of == of && slices.Equal(w.unbounded, unbounded) {
		w.Reset(out)
		return w
	}
	options := []parquet.WriterOption{parquet.Compression(p.codec), parquet.CreatedBy("spout-runner", "1", "avro"),
		// What every reader understands.
		parquet.DataPageVersion(1), parquet.DefaultEncodingFor(parquet.ByteArray, &parquet.Plain), parquet.DictionaryMaxBytes(maxDictionary),
		parquet.ColumnPageBuffers(columnPages),
		// Page headers would hold whole values, four times, and readers have
		// limits for headers. The same is in the footer.
		parquet.DataPageStatistics(false)}
	paths := layout.Schema.Columns()
	for _, column := range unbounded {
		options = append(options, parquet.SkipPageBounds(paths[column]...))
	}
	w := &parquetWriter{parquet.NewGenericWriter[any](out, append(options, layout.Schema)...), of, unbounded, make([][]parquet.Value, layout.Leaves), nil}
	w.SetKeyValueMetadata("avro.schema", of.Text)
	if of.ID != "" {
		w.SetKeyValueMetadata(schemaIDProperty, of.ID)
	}
	return w
}

// rowGroupWriter gathers the values of rows by column.
type rowGroupWriter struct {
	group     int // bytes of rows that make one
	layout    *schema.Columns
	to        *parquet.GenericWriter[any]
	columns   [][]parquet.Value
	unflushed []int  // bytes of each column that are in no page yet, as far as they are counted
	scratch   []byte // the rows, since a block is given back before their values are passed on
	rows      int
	length    int // of these rows
	values    int // the same
	bytes     int // of the row group
	all       int // values of the row group
}

func (g *rowGroupWriter) add(row []byte) error {
	if g.bytes > 0 && g.bytes+len(row) > g.group {
		if err := g.flush(); err != nil {
			return err
		}
	}
	whole := len(row) >= wholeRow
	if whole || len(g.scratch)+len(row) > cap(g.scratch) {
		if err := g.pass(); err != nil {
			return err
		}
	}
	if !whole {
		if g.scratch == nil {
			g.scratch = make([]byte, 0, wholeRow)
		}
		from := len(g.scratch)
		g.scratch = append(g.scratch, row...)
		row = g.scratch[from:]
	}
	g.values += g.layout.Shred(g.columns, row)
	g.length += len(row)
	g.bytes += len(row)
	g.rows++
	switch {
	case g.bytes >= g.group || (g.all+g.values)*bytesPerValue >= g.group:
		return g.flush()
	case whole || g.rows >= shredRows || g.values >= shredValues:
		return g.pass()
	}
	return nil
}

// flush ends the row group.
func (g *rowGroupWriter) flush() error {
	if err := g.pass(); err != nil {
		return err
	}
	g.bytes, g.all = 0, 0
	return g.to.Flush()
}

// pass hands the values on.
func (g *rowGroupWriter) pass() error {
	if g.rows == 0 {
		return nil
	}
	large := g.length/g.rows > largeRow
	kept := 0
	for i, column := range g.to.ColumnWriters() {
		n, err := column.WriteRowValues(g.columns[i])
		if err != nil {
			return err
		}
		if n != g.rows {
			return fmt.Errorf("column %d has %d rows of %d", i, n, g.rows)
		}
		if large {
			err = g.limitDictionary(i, column)
		}
		if err != nil {
			return err
		}
		g.columns[i] = g.columns[i][:0]
		if kept += cap(g.columns[i]); kept > keptValues { // other rows have theirs elsewhere
			g.columns[i] = nil
		}
	}
	g.all += g.values
	g.rows, g.length, g.values, g.scratch = 0, 0, 0, g.scratch[:0]
	return nil
}

// limitDictionary ends a page of a column that has got many bytes. The library
// looks at the size of a dictionary only then, and takes the length of a page
// for that of its references.
func (g *rowGroupWriter) limitDictionary(i int, column *parquet.ColumnWriter) error {
	for _, v := range g.columns[i] {
		g.unflushed[i] += lengthOf(v)
	}
	if g.unflushed[i] < maxDictionary {
		return nil
	}
	g.unflushed[i] = 0
	return column.Flush()
}

// lengthOf is the number of bytes of text or binary data.
func lengthOf(v parquet.Value) int {
	if v.Kind() != parquet.ByteArray && v.Kind() != parquet.FixedLenByteArray {
		return 0
	}
	return len(v.ByteArray())
}
