// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"bytes"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestRuns: runs of records, of whatever sizes and up to whatever limits, make
// the same file as one record at a time; and a run ends with the record that
// reaches its limit.
func TestRuns(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"lines", "jsonl"}).Draw(t, "format")
		most := rapid.SampledFrom([]int{20, 10_000, 2 << 20}).Draw(t, "largest value") // blocks have 8 KiB to 1 MiB
		filling := bytes.Repeat([]byte("v"), most)
		var records []source.Record
		for i := range rapid.IntRange(1, 200).Draw(t, "records") {
			size := rapid.IntRange(-1, most).Draw(t, "size")
			if most > 10_000 && i%8 != 0 {
				size %= 100
			}
			r := source.Record{Offset: int64(i)}
			if size >= 0 {
				r.Value = filling[:size]
			}
			records = append(records, r)
		}
		one := newEncoder(t, name, "none").NewFile(Place{Stream: stream})
		many := newEncoder(t, name, "none").NewFile(Place{Stream: stream})
		for rest := records; len(rest) > 0; {
			limit := many.Size() + rapid.IntRange(-10, 3*most).Draw(t, "room")
			n := rapid.IntRange(1, len(rest)).Draw(t, "run")
			taken, err := many.Append(rest[:n], limit)
			if err != nil {
				t.Fatal(err)
			}
			want := 0
			for want == 0 || want < n && one.Size() < limit {
				if _, err := one.Append(rest[want:want+1], 0); err != nil {
					t.Fatal(err)
				}
				want++
			}
			if taken != want || many.Size() != one.Size() {
				t.Fatalf("took %d of %d records up to %d bytes, want %d; size %d, want %d", taken, n, limit, want, many.Size(), one.Size())
			}
			rest = rest[taken:]
		}
		_, want := written(t, one)
		memory := many.Memory()
		_, got := written(t, many)
		if !bytes.Equal(got, want) || memory < len(got) {
			t.Fatalf("%d bytes, want %d; memory %d", len(got), len(want), memory)
		}
	})
}

// TestSizeAndMemory: what a file says of itself is what its parts come to,
// compressed or not.
func TestSizeAndMemory(t *testing.T) {
	t.Parallel()
	filling := bytes.Repeat([]byte("v"), compressFrom)
	rapid.Check(t, func(t *rapid.T) {
		format := rapid.SampledFrom([]string{"lines", "jsonl"}).Draw(t, "format")
		compression := rapid.SampledFrom([]string{"none", "gzip", "zstd"}).Draw(t, "compression")
		f := newEncoder(t, format, compression).NewFile(Place{Stream: stream}).(*textFile)
		for i := range rapid.IntRange(1, 30).Draw(t, "appends") {
			most := rapid.SampledFrom([]int{20, 20_000, len(filling)}).Draw(t, "largest value")
			record := source.Record{Offset: int64(i), Value: filling[:rapid.IntRange(0, most).Draw(t, "size")]}
			if _, err := f.Append([]source.Record{record}, math.MaxInt); err != nil {
				t.Fatal(err)
			}
			size, memory := f.packed.size, f.packed.capacity
			for _, block := range append(f.full[:len(f.full):len(f.full)], f.tail) {
				size += len(block)
				memory += cap(block)
			}
			if f.compressor != nil {
				memory += f.kind.compression.memory
			}
			if f.Size() != size || f.Memory() != memory {
				t.Fatalf("after %d records: size %d, memory %d; the parts come to %d and %d", i+1, f.Size(), f.Memory(), size, memory)
			}
		}
	})
}
