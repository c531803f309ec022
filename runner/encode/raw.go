// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"fmt"
	"sync"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// rawFile gathers the values of records that become a file each. They share
// blocks of memory, so that small ones cost little until they are written.
type rawFile struct {
	encoder *Encoder
	place   Place

	blocks   [][]byte
	values   []rawValue
	size     int
	capacity int
}

// rawValue says where the value of a record is: between two places of a block.
type rawValue struct {
	offset   int64
	block    int32
	from, to int32
}

// Append implements [File].
func (f *rawFile) Append(records []source.Record, limit int) (taken int, err error) {
	for i := range records {
		value := records[i].Value
		n := len(f.blocks)
		if n == 0 || cap(f.blocks[n-1])-len(f.blocks[n-1]) < len(value) {
			block := newBlock(n, len(value))
			f.blocks, f.capacity = append(f.blocks, block), f.capacity+cap(block)
			n++
		}
		tail := f.blocks[n-1]
		from := len(tail)
		f.blocks[n-1] = append(tail, value...)
		f.values = append(f.values, rawValue{records[i].Offset, int32(n - 1), int32(from), int32(from + len(value))})
		f.size += len(value)
		taken++
		if f.size >= limit {
			break
		}
	}
	return taken, nil
}

// Size implements [File].
func (f *rawFile) Size() int { return f.size }

// rawValueMemory is what a rawValue takes.
const rawValueMemory = 24

// Memory implements [File].
func (f *rawFile) Memory() int { return f.capacity + cap(f.values)*rawValueMemory }

// Write implements [File].
func (f *rawFile) Write(put func(path string, parts ...[]byte) error) error {
	var packed blocks
	pool := f.encoder.compression.pool
	for _, v := range f.values {
		value := f.blocks[v.block][v.from:v.to]
		path := f.encoder.path(f.place, f.encoder.kind.extension, v.offset, v.offset)
		if pool == nil {
			if err := put(path, value); err != nil {
				return err
			}
			continue
		}
		packed.reset()
		if err := pack(pool, &packed, value); err != nil {
			return err
		}
		if err := put(path, packed.list...); err != nil {
			return err
		}
	}
	packed.free()
	for _, block := range f.blocks {
		freeBlock(block)
	}
	f.blocks, f.values = nil, nil
	return nil
}

// pack compresses a whole file.
func pack(pool *sync.Pool, to *blocks, value []byte) error {
	c := pool.Get().(compressor)
	c.Reset(to)
	if _, err := c.Write(value); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	if err := c.Close(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	pool.Put(c)
	return nil
}
