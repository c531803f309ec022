// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

// TestChecksum: in steps or not, the checksum of data of any length and at any
// place is the same.
func TestChecksum(t *testing.T) {
	t.Parallel()
	r := seeded(t)
	data := make([]byte, 5*checksumStep)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	lengths := []int{0, 1, checksumStep - 1, checksumStep, checksumStep + 1, 2 * checksumStep, 2*checksumStep + 1}
	for range 100 {
		lengths = append(lengths, r.IntN(4*checksumStep))
	}
	for _, n := range lengths {
		at := r.IntN(len(data) - n)
		if got, want := checksum(data[at:at+n]), crc32.Checksum(data[at:at+n], castagnoli); got != want {
			t.Fatalf("%d bytes at %d: %08x, want %08x", n, at, got, want)
		}
	}
}

func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
