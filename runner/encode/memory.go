// SPDX-License-Identifier: Apache-2.0

package encode

import "sync"

// blockSizes are the sizes that a growing file's blocks have, in order; the
// last one repeats. Small first blocks keep a thousand quiet streams cheap.
var blockSizes = [...]int{4 << 10, 32 << 10, 256 << 10, 1 << 20}

// blockPools reuse blocks, one pool a size.
var blockPools [len(blockSizes)]sync.Pool

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
		return (*b)[:0]
	}
	return make([]byte, 0, blockSizes[class])
}

// freeBlock gives a block back; odd sizes are left to the garbage collector.
func freeBlock(b []byte) {
	for class, size := range blockSizes {
		if cap(b) == size {
			b = b[:0]
			blockPools[class].Put(&b)
			return
		}
	}
}
