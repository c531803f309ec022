// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"errors"
	"io"
	"sync"

	"github.com/parquet-go/parquet-go"
)

// pageBuffers hold the pages of columns until their row group ends. The
// library's own would take 32 KiB for each column, however little there is, and
// keep all of it until all is copied into the file.
type pageBuffers struct{ pool sync.Pool }

var _ parquet.BufferPool = (*pageBuffers)(nil)

var columnPages = &pageBuffers{sync.Pool{New: func() any { return new(pageBuffer) }}}

// GetBuffer implements [parquet.BufferPool].
func (p *pageBuffers) GetBuffer() io.ReadWriteSeeker { return p.pool.Get().(*pageBuffer) }

// PutBuffer implements [parquet.BufferPool].
func (p *pageBuffers) PutBuffer(buffer io.ReadWriteSeeker) {
	b := buffer.(*pageBuffer)
	b.free()
	p.pool.Put(b)
}

// pageBuffer is written, and then read once.
type pageBuffer struct{ blocks }

var errReadOnce = errors.New("pages are read once, and from their beginning")

// Seek implements [io.Seeker], as far as the library needs it.
func (b *pageBuffer) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekStart {
		return 0, errReadOnce
	}
	return 0, nil
}

// Read implements [io.Reader]; the library uses WriteTo.
func (b *pageBuffer) Read([]byte) (int, error) { return 0, errReadOnce }

// WriteTo implements [io.WriterTo]. It gives each block back once it is written.
func (b *pageBuffer) WriteTo(w io.Writer) (written int64, err error) {
	for i, block := range b.list {
		n, err := w.Write(block)
		written += int64(n)
		if err != nil {
			return written, err
		}
		freeBlock(block)
		b.list[i] = nil
	}
	b.blocks = blocks{}
	return written, nil
}
