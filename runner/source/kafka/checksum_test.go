// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

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
			p := part{p: &partition{}, stream: source.Stream{Name: "t", Partition: number}, void: r.IntN(6) == 0, from: int64(r.IntN(40))}
			w := expected{next: p.from}
			base := int64(0)
			for range r.IntN(8) {
				count := 1 + r.IntN(20)
				batch := handmade{base: base, records: simpleRecords(count, r.IntN(1500))}.bytes(t)
				last := base + int64(count) - 1
				switch r.IntN(12) {
				case 0:
					batch[checksummed+r.IntN(2)*(len(batch)-checksummed-1)] ^= 8
					w.damaged = w.damaged || last >= p.from
				case 1:
					batch[22] = wire.CodecZstd // which its records are not
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
	}
}

// TestBehindDamage: what was fetched behind a damaged batch before anybody saw
// the damage is not decoded; other partitions' parts of the same answers are. What is sound
// ends the row of damaged ones, and what is dropped when reading ends stays pending.
func TestBehindDamage(t *testing.T) {
	t.Parallel()
	s := New(settings.Default().Kafka, 64<<20, hclog.NewNullLogger())
	b := newBroker(s, 1, "")
	topic := s.newTopic("t")
	for n := range int32(2) {
		topic.partitions[n] = s.newPartition(topic, n)
		topic.partitions[n].pending = 2
	}
	batch := func(base int64, spoil bool) []byte {
		out := handmade{base: base, records: simpleRecords(3, 10)}.bytes(t)
		if spoil {
			out[len(out)-1] ^= 1
		}
		return out
	}
	got := map[int32][]int64{}
	d := newDecoder()
	d.emit = func(c *source.Chunk) error {
		for i := range c.Records {
			got[c.Stream.Partition] = append(got[c.Stream.Partition], c.Records[i].Offset)
		}
		c.Release()
		return nil
	}
	of := func(n int32, from int64, records []byte) part {
		p := topic.partitions[n]
		return part{p: p, stream: p.stream, from: from, records: records, count: 3}
	}
	first := []part{of(0, 0, append(batch(0, false), batch(3, true)...)), of(1, 0, batch(0, false))}
	second := []part{of(0, 6, batch(6, false)), of(1, 3, batch(3, false))}
	for _, parts := range [][]part{first, second} {
		b.decode(context.Background(), d, &response{buffer: getBuffer(d.memory, 0, 0), parts: parts})
	}
	p := topic.partitions[0]
	if !slices.Equal(got[0], []int64{0, 1, 2}) || p.next != 3 || p.pending != 0 || p.damaged != 1 {
		t.Errorf("%v, next %d, pending %d, damaged %d", got[0], p.next, p.pending, p.damaged)
	}
	if !slices.Equal(got[1], []int64{0, 1, 2, 3, 4, 5}) || topic.partitions[1].pending != 0 {
		t.Errorf("%v", got[1])
	}
	again := &response{buffer: getBuffer(d.memory, 0, 0), parts: []part{of(0, 3, batch(3, false))}}
	again.parts[0].run = p.run
	p.pending = 1
	ended, end := context.WithCancel(context.Background())
	end()
	b.decode(ended, d, again)
	if len(got[0]) != 3 || p.pending != 1 {
		t.Errorf("while reading ends: %v, pending %d", got[0], p.pending)
	}
	b.decode(context.Background(), d, again)
	if len(got[0]) != 6 || p.pending != 0 || p.damaged != 0 {
		t.Errorf("%v, pending %d, damaged %d", got[0], p.pending, p.damaged)
	}
}
