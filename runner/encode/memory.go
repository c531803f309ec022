// SPDX-License-Identifier: Apache-2.0

package encode

import "sync"

// blockSizes are the sizes that a growing file's blocks have, in order; the
// last one repeats. Small first blocks keep a thousand quiet streams cheap.
var blockSizes = [...]int{8 << 10, 64 << 10, 256 << 10, 1 << 20}

// blockPools reuse blocks, one pool a size.
var blockPools [len(blockSizes)]sync.Pool

// sliceHeaders are what pools hold blocks by, while they hold none.
var sliceHeaders sync.Pool

// newBlock returns an empty block for a file that has n blocks already, with
// room for at least need bytes.
func newBlock(n, need int) []byte {
	class := min(n, len(blockSizes)-1)
	for class < len(blockSizes)-1 && blockSizes[class] < need {
		class++
	}
	if need > blockSizes[class] {
		return make([]byte, 0, need)
	}
	if b, ok := blockPools[class].Get().(*[]byte); ok {
		block := (*b)[:0]
		*b = nil
		sliceHeaders.Put(b)
		return block
	}
	return make([]byte, 0, blockSizes[class])
}

// freeBlock gives a block back; odd sizes are left to the garbage collector.
func freeBlock(b []byte) {
	for class, size := range blockSizes {
		if cap(b) == size {
			header, ok := sliceHeaders.Get().(*[]byte)
			if !ok {
				header = new([]byte)
			}
			*header = b[:0]
			blockPools[class].Put(header)
			return
		}
	}
}

// blocks is a growing list of blocks that can be written to.
type blocks struct {
	list           [][]byte
	size, capacity int
}

func (b *blocks) Write(data []byte) (int, error) {
	for rest := data; len(rest) > 0; {
		n := len(b.list)
		if n == 0 || len(b.list[n-1]) == cap(b.list[n-1]) {
			b.list = append(b.list, newBlock(n, 1))
			b.capacity += cap(b.list[n])
			n++
		}
		tail := b.list[n-1]
		fits := min(len(rest), cap(tail)-len(tail))
		b.list[n-1] = append(tail, rest[:fits]...)
		rest = rest[fits:]
	}
	b.size += len(data)
	return len(data), nil
}

// cut takes the last n bytes off.
func (b *blocks) cut(n int) []byte {
	out := make([]byte, n)
	b.size -= n
	for n > 0 {
		last := len(b.list) - 1
		tail := b.list[last]
		rest := max(len(tail)-n, 0)
		n -= copy(out[n-(len(tail)-rest):n], tail[rest:])
		if b.list[last] = tail[:rest]; rest == 0 && last > 0 {
			b.capacity -= cap(tail)
			b.list = b.list[:last]
			freeBlock(tail)
		}
	}
	return out
}

// reset empties the list, and keeps its first block.
func (b *blocks) reset() {
	if len(b.list) == 0 {
		return
	}
	for _, block := range b.list[1:] {
		freeBlock(block)
	}
	b.list = b.list[:1]
	b.list[0] = b.list[0][:0]
	b.size, b.capacity = 0, cap(b.list[0])
}

// free gives the memory back.
func (b *blocks) free() {
	for _, block := range b.list {
		freeBlock(block)
	}
	*b = blocks{}
}
