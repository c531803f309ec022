// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"fmt"
	"iter"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// containerWriter makes a file of rows that are in Avro's encoding.
type containerWriter interface {
	// write writes a file of all rows to out. It may give blocks of rows back
	// as soon as they are written.
	write(out *blocks, of *schema.Rows, rows *rowBlocks) error
}

// rowBlocks are rows in blocks of memory.
type rowBlocks struct {
	list     [][]byte
	ends     [][]int // of the rows in each block
	size     int
	capacity int

	layout  *schema.Columns // nil if rows are not taken apart into columns
	extent  *schema.Extent  // of the rows that are measured; nil for none
	longest int             // bytes of the longest of these rows
	group   int             // bytes of a row group
	filled  int             // the same, of the last one
	values  int             // of the last one, about
	beside  int             // memory that they take when they are taken apart
}

// rowEndMemory is what the end of a row takes.
const rowEndMemory = 8

// each calls do with all rows in order, and gives each block back after its
// last row.
func (b *rowBlocks) each(do func(row []byte) error) error {
	for i, block := range b.list {
		for row := range b.rows(i) {
			if err := do(row); err != nil {
				return err
			}
		}
		freeBlock(block)
		b.list[i] = nil
	}
	return nil
}

// newEnds has room for the ends of as many rows as a block will hold, going by
// the last one.
func (b *rowBlocks) newEnds(block int) []int {
	last := len(b.ends) - 1
	if last < 0 || len(b.list[last]) == 0 {
		return nil
	}
	rows := len(b.ends[last]) * block / len(b.list[last])
	return make([]int, 0, rows+rows/8)
}

// rows are those in a block.
func (b *rowBlocks) rows(block int) iter.Seq[[]byte] {
	return func(yield func(row []byte) bool) {
		begin := 0
		for _, end := range b.ends[block] {
			if !yield(b.list[block][begin:end:end]) {
				return
			}
			begin = end
		}
	}
}

// rowFile is a file of rows. They are gathered as they are, so that what a file
// takes is known and no codec is at work in a thousand files at once, and
// become a file when it is written.
type rowFile struct {
	encoder *Encoder
	place   Place
	schema  *schema.Rows

	first, last int64
	records     int
	rows        rowBlocks
}

func newRowFile(e *Encoder, at Place) *rowFile {
	f := &rowFile{encoder: e, place: at, schema: at.Rows}
	if f.schema == nil {
		f.schema = e.coordinates.Envelope()
	}
	if e.kind.columns {
		f.rows.layout, _ = f.schema.Columns() // that there is none is an error when the file is written
		f.rows.group = groupBytes(e.settings.MemoryBudget)
	}
	return f
}

// Append implements [File].
func (f *rowFile) Append(records []source.Record, limit int) (taken int, err error) {
	if f.records == 0 {
		f.first = records[0].Offset
	}
	for i := range records {
		r := &records[i]
		need := f.schema.Most(r)
		if need > f.encoder.largest {
			err = tooLarge(need, f.encoder.largest)
			break
		}
		n := len(f.rows.list)
		if n == 0 || cap(f.rows.list[n-1])-len(f.rows.list[n-1]) < need {
			f.rows.list = append(f.rows.list, newBlock(n, need))
			f.rows.ends = append(f.rows.ends, f.rows.newEnds(cap(f.rows.list[n])))
			f.rows.capacity += cap(f.rows.list[n]) + cap(f.rows.ends[n])*rowEndMemory
			n++
		}
		tail, ends := &f.rows.list[n-1], &f.rows.ends[n-1]
		size, capacity, room := len(*tail), cap(*tail), cap(*ends)
		*tail = f.schema.Append(*tail, f.place.Stream, r)
		if err = f.rows.measure((*tail)[size:], f.encoder.largest); err != nil {
			*tail = (*tail)[:size]
			break
		}
		if length := len(*tail) - size; length >= wholeRow {
			f.rows.copied(length)
		}
		*ends = append(*ends, len(*tail))
		f.rows.size += len(*tail) - size
		f.rows.capacity += cap(*tail) - capacity + (cap(*ends)-room)*rowEndMemory
		taken++
		if f.rows.size >= limit {
			break
		}
	}
	if taken > 0 {
		f.last = records[taken-1].Offset
		f.records += taken
	}
	return taken, err
}

const (
	// valueMemory is what a value takes while its row is taken apart.
	valueMemory = 64
	// keptMemory is what of that a column keeps until its file is written.
	keptMemory = 40
	// largeCopies is how many times a long row is in memory, beside the row
	// itself, while its file is written: as a column's values, as a page or
	// block, as one that is compressed, and as a part of the file.
	largeCopies = 4
	// chunkMemory is what a column of a row group takes in the footer, and until
	// that is written.
	chunkMemory = 2 << 10
)

// measure notes what a row takes when it is taken apart into columns, and
// refuses it if that is more than largest. Of short rows it is not looked at.
func (b *rowBlocks) measure(row []byte, largest int) error {
	if b.layout == nil {
		return nil
	}
	values := b.layout.Leaves
	if b.layout.Counts(len(row)) {
		if b.extent == nil {
			b.extent = b.layout.NewExtent()
		}
		values = b.layout.Measure(b.extent, row)
		if need := len(row) + valueMemory*values; need > largest {
			return tooLarge(need, largest)
		}
		b.beside += keptMemory*b.extent.Add() + max(values-len(row), 0) // it takes time to write what takes no bytes
	}
	b.filled += len(row)
	b.values += values
	if b.filled >= b.group || b.values*bytesPerValue >= b.group {
		b.beside += chunkMemory * b.layout.Leaves
		b.filled, b.values = 0, 0
	}
	return nil
}

// copied notes what a long row takes while it is written.
func (b *rowBlocks) copied(length int) {
	if length > b.longest {
		b.beside += largeCopies * (length - b.longest)
		b.longest = length
	}
}

// Size implements [File]: what the rows take before they are compressed.
func (f *rowFile) Size() int { return f.rows.size }

// Memory implements [File].
func (f *rowFile) Memory() int { return f.rows.capacity + f.rows.beside }

// Write implements [File].
func (f *rowFile) Write(put func(path string, parts ...[]byte) error) error {
	if f.records == 0 {
		return nil
	}
	var out blocks
	path := f.encoder.path(f.place, f.encoder.kind.extension, f.first, f.last)
	if err := f.encoder.container.write(&out, f.schema, &f.rows); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := put(path, out.list...); err != nil {
		return err
	}
	out.free()
	f.rows = rowBlocks{}
	return nil
}
