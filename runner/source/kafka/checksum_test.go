// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
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

// TestDamageStaysWhereItIs: checksums are compared ahead of decoding, over the
// ends of parts. What is damaged ends its own part, just before it, and no
// other; and what is not wanted may be damaged.
func TestDamageStaysWhereItIs(t *testing.T) {
	t.Parallel()
	r := seeded(t)
	for range 200 {
		type expected struct {
			offsets []int64
			next    int64
			damaged bool
		}
		var parts []part
		var want []expected
		for number := range int32(1 + r.IntN(6)) {
			p := part{p: &partition{}, stream: source.Stream{Topic: "t", Partition: number}, void: r.IntN(6) == 0, from: int64(r.IntN(40))}
			w := expected{next: p.from}
			base := int64(0)
			for range r.IntN(8) {
				count := 1 + r.IntN(20)
				batch := handmade{base: base, records: simpleRecords(count, r.IntN(1500))}.bytes(t)
				last := base + int64(count) - 1
				switch r.IntN(12) {
				case 0:
					batch[offsetOfCRCed+r.IntN(2)*(len(batch)-offsetOfCRCed-1)] ^= 8
					w.damaged = w.damaged || last >= p.from
				case 1:
					batch[22] = codecZstd // which its records are not
					reseal(batch)
					w.damaged = w.damaged || last >= p.from
				}
				for offset := max(base, p.from); offset <= last && !w.damaged && !p.void; offset++ {
					w.offsets, w.next = append(w.offsets, offset), offset+1
				}
				p.records = append(p.records, batch...)
				p.count += count
				base = last + 1
			}
			parts, want = append(parts, p), append(want, w)
		}
		d := newDecoder()
		got := make([]expected, len(parts))
		d.emit = func(chunk *source.Chunk) error {
			for i := range chunk.Records {
				of := &got[chunk.Stream.Partition]
				of.offsets = append(of.offsets, chunk.Records[i].Offset)
			}
			chunk.Release()
			return nil
		}
		buffer := getBuffer(d.memory, 0, 0)
		d.checker = checker{parts: parts}
		for i := range parts {
			if parts[i].void {
				continue
			}
			err := d.decode(context.Background(), buffer, &parts[i])
			got[i].next, got[i].damaged = d.next, err != nil
			parts[i].void = err != nil
			if !slices.Equal(got[i].offsets, want[i].offsets) || got[i].damaged != want[i].damaged || got[i].next != want[i].next {
				t.Fatalf("part %d of %d, from %d: got %s, want %s; %v", i, len(parts), parts[i].from, fmt.Sprint(got[i]), fmt.Sprint(want[i]), err)
			}
		}
		buffer.release()
		d.decompressor.close()
	}
}
