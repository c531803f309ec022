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

// Append implements [File].
func (f *rowFile) Append(records []source.Record, limit int) (taken int, err error) {
	if f.records == 0 {
		f.first = records[0].Offset
	}
	for i := range records {
		r := &records[i]
		need := f.schema.Most(r)
		n := len(f.rows.list)
		if n == 0 || cap(f.rows.list[n-1])-len(f.rows.list[n-1]) < need {
			f.rows.list = append(f.rows.list, newBlock(n, need))
			f.rows.ends = append(f.rows.ends, nil)
			f.rows.capacity += cap(f.rows.list[n])
			n++
		}
		tail, ends := &f.rows.list[n-1], &f.rows.ends[n-1]
		size, capacity, room := len(*tail), cap(*tail), cap(*ends)
		*tail = f.schema.Append(*tail, f.place.Stream, r)
		*ends = append(*ends, len(*tail))
		f.rows.size += len(*tail) - size
		f.rows.capacity += cap(*tail) - capacity + (cap(*ends)-room)*rowEndMemory
		taken++
		if f.rows.size >= limit {
			break
		}
	}
	f.last = records[taken-1].Offset
	f.records += taken
	return taken, nil
}

// Size implements [File]: what the rows take before they are compressed.
func (f *rowFile) Size() int { return f.rows.size }

// Memory implements [File].
func (f *rowFile) Memory() int { return f.rows.capacity }

// Write implements [File].
func (f *rowFile) Write(put func(path string, parts ...[]byte) error) error {
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
