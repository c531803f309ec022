// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// chunkBytes is the size of decompressed batches from which on a chunk takes
// no further batch, so that buffers are given back in steps.
const chunkBytes = 1 << 20

// decodeLoop turns responses into chunks until the fetch loop ends.
func (b *broker) decodeLoop(ctx context.Context) error {
	d := decoder{s: b.s, readAll: b.s.config.Isolation == "read_uncommitted",
		emit: func(chunk *source.Chunk) error { return b.s.push(ctx, chunk) }, memory: b.s.memory, counters: &b.s.counters,
		decompressor: wire.Decompressor{Limit: b.s.maxBatch}}
	for r := range b.responses {
		b.decode(ctx, &d, r)
		r.release()
	}
	return nil
}

// decode decodes the parts of a response. It sees to what the table has of
// them before and after, for all at once: one by one, in between, each would
// have to be got from memory again.
func (b *broker) decode(ctx context.Context, d *decoder, r *response) {
	t := &b.s.table
	t.mu.Lock()
	for i := range r.parts {
		part := &r.parts[i]
		part.void = part.p.run != part.run
	}
	t.mu.Unlock()
	d.checker = checker{parts: r.parts}
	for i := range r.parts {
		if part := &r.parts[i]; !part.void && ctx.Err() == nil {
			if err := d.decode(ctx, r.buffer, part); err != nil {
				b.spoiled(ctx, d, part, err)
			}
		}
	}
	if ctx.Err() != nil {
		return // what was dropped counts as not decoded: nothing may go on behind it
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range r.parts {
		b.decoded(&r.parts[i])
	}
}

// spoiled sees to a part that could be decoded up to the decoder's place only.
func (b *broker) spoiled(ctx context.Context, d *decoder, part *part, err error) {
	part.void = true
	if ctx.Err() != nil {
		return
	}
	b.reconnect.Store(true)
	b.s.table.mu.Lock()
	defer b.s.table.mu.Unlock()
	part.p.run++ // what was fetched behind it comes again
	b.s.damage(part.p, d.next, d.rest, err)
}

// decoded notes that nothing of a part is to be decoded any more. The table is
// locked.
func (b *broker) decoded(part *part) {
	p := part.p
	p.pending--
	if !part.void {
		p.damaged = 0
	}
	if p.pending == 0 {
		if p.state == stateAnnounce || p.former {
			b.s.kick()
		} else if p.reader() != b.id {
			b.s.wakeReader(p)
		}
	}
}

// decoder makes chunks of what was fetched.
type decoder struct {
	s            *Source
	memory       *memory
	counters     *counters
	readAll      bool // what transactions wrote counts whatever became of them
	emit         func(*source.Chunk) error
	decompressor wire.Decompressor
	head         wire.Head // of the batch that is being decoded

	checker checker // of the response

	// Of the part that is being decoded.
	part  *part
	next  int64 // offset after what was decoded
	epoch int32
	left  int    // records that are still to come, about
	rest  []byte // of the part, from the batch that is being decoded on
	chunk *source.Chunk
	lease *lease
	told  int64 // offset that the last chunk told
}

// decode decodes one partition's part of a response and emits its chunks.
// After an error of the data, what came before it was emitted, and next is
// where the damage is.
func (d *decoder) decode(ctx context.Context, buffer *buffer, part *part) error {
	d.part, d.next, d.epoch, d.left = part, part.from, -1, part.count
	aborted := part.aborted
	if d.readAll {
		aborted = nil
	}
	d.told = part.from
	err := d.batches(ctx, buffer, aborted)
	defer d.memory.within(d)
	if ctx.Err() != nil {
		d.drop()
		return ctx.Err()
	}
	if d.chunk == nil && d.next > d.told {
		d.chunk = source.NewChunk(part.stream, nil) // the last batches have no records that count
	}
	if emitErr := d.flush(); emitErr != nil {
		return emitErr
	}
	return err
}

func (d *decoder) batches(ctx context.Context, buffer *buffer, aborted wire.Aborted) error {
	for data := d.part.records; len(data) > 0; {
		d.rest = data
		read, whole, err := wire.ReadHead(data)
		if err != nil || !whole {
			return err
		}
		d.head = read
		head := &d.head // not one on the heap for each batch
		batch := data[:head.Bytes:head.Bytes]
		data = data[head.Bytes:]
		if head.LastOffset() < d.next {
			continue // brokers begin with the batch that holds the offset, or before it
		}
		if head.Magic < 2 {
			d.counters.batches.Add(1)
			if err := d.legacy(ctx, buffer, batch, head); err != nil {
				return err
			}
			d.next, d.epoch = head.LastOffset()+1, -1
			continue
		}
		if err := d.checker.sound(d.part, len(d.part.records)-len(data)); err != nil {
			return err
		}
		skip := false
		switch {
		case head.Attributes&wire.AttrControl != 0:
			skip = true
			if head.IsAbortMarker(batch) {
				aborted.End(head.ProducerID, head.LastOffset())
			}
		case head.Attributes&wire.AttrTransactional != 0:
			skip = aborted.Has(head.ProducerID, head.LastOffset())
		}
		if skip {
			d.counters.skipped.Add(1)
			d.left -= int(head.Records)
		} else {
			d.counters.batches.Add(1)
			if err := d.batch(ctx, buffer, batch, head); err != nil {
				return err
			}
		}
		d.next, d.epoch = head.LastOffset()+1, head.LeaderEpoch
	}
	return nil
}

// batch adds one batch's records to chunks.
func (d *decoder) batch(ctx context.Context, buffer *buffer, batch []byte, head *wire.Head) error {
	if head.Records == 0 {
		return nil
	}
	records := batch[wire.HeadBytes:]
	if codec := head.Codec(); codec != wire.CodecNone {
		decompressed, err := d.decompress(ctx, codec, records)
		if err != nil {
			return err
		}
		defer decompressed.release()
		buffer, records = decompressed, decompressed.data
	}
	if int(head.Records) > len(records)/wire.MinRecordBytes {
		return fmt.Errorf("%w: %d records in %d bytes", wire.ErrBatch, head.Records, len(records))
	}
	cursor := wire.Cursor{Data: records, Head: head, Left: int(head.Records), From: d.next}
	for cursor.Left > 0 {
		if err := d.room(ctx, cursor.Left); err != nil {
			return err
		}
		before, had := cursor.At, len(d.lease.table)
		table, err := cursor.Read(d.lease.table)
		d.lease.table, d.chunk.Records = table, table
		if n := len(table); n > had {
			d.hold(buffer)
			d.chunk.Bytes += cursor.At - before
			d.next, d.epoch = table[n-1].Offset+1, head.LeaderEpoch
			d.left -= n - had
		}
		if err != nil {
			return err
		}
	}
	if d.chunk != nil && d.chunk.Bytes > chunkBytes {
		d.next = head.LastOffset() + 1
		return d.flush()
	}
	return nil
}

// room makes sure that there is a chunk with room for a record. Left is how
// many records the batch has, at least.
func (d *decoder) room(ctx context.Context, left int) error {
	if d.chunk != nil && len(d.lease.table) < cap(d.lease.table) {
		return nil
	}
	if err := d.flush(); err != nil {
		return err
	}
	class := tableClass(max(d.left, left))
	if err := d.memory.acquireDecode(ctx, tableBytes(class), d); err != nil {
		return err
	}
	d.lease = getLease(d.memory, class)
	d.chunk = &d.lease.chunk
	d.chunk.Init(d.part.stream, d.lease.release)
	d.chunk.Bytes = int(tableBytes(class))
	return nil
}

// hold keeps a buffer until the chunk is released.
func (d *decoder) hold(b *buffer) {
	if held := d.lease.buffers; len(held) == 0 || held[len(held)-1] != b {
		b.retain()
		d.lease.buffers = append(held, b)
	}
}

// flush emits the chunk, if there is one, as what goes up to next.
func (d *decoder) flush() error {
	chunk := d.chunk
	if chunk == nil {
		return nil
	}
	if d.lease != nil {
		d.lease.emitted = true
		d.memory.lend()
	}
	chunk.Index, chunk.Origin = d.part.index, d.part.p
	chunk.Next, chunk.Epoch = d.next, d.epoch
	d.told = d.next
	d.chunk, d.lease = nil, nil
	return d.emit(chunk)
}

// drop gives up the chunk.
func (d *decoder) drop() {
	if d.chunk != nil {
		d.chunk.Release()
	}
	d.chunk, d.lease = nil, nil
}

// decompress returns a buffer with the decompressed records, which the caller
// releases. What becomes larger than it was thought to is done again with more
// room, all of it taken from the budget before: nothing is copied, and no more
// is ever held than one buffer.
func (d *decoder) decompress(ctx context.Context, codec int16, data []byte) (*buffer, error) {
	limit, most := d.decompressor.Limit, d.decompressor.MostRoom(codec)
	size, err := d.decompressor.SizeHint(codec, data)
	for err == nil {
		held := bufferSize(size)
		if err := d.memory.acquireDecode(ctx, held, d); err != nil {
			return nil, err
		}
		b := getBuffer(d.memory, size, held)
		room := min(cap(b.data), most)
		if b.data, err = d.decompressor.Into(b.data[:0:room], codec, data); err == nil && len(b.data) <= limit {
			d.decompressor.Learn(codec, len(data), len(b.data))
			return b, nil
		}
		b.release()
		switch {
		case err == nil || errors.Is(err, wire.ErrRoom) && room == most:
			err = wire.TooLarge(limit)
		case errors.Is(err, wire.ErrRoom):
			size, err = min(growth*max(size, 1<<minClassBits), most), nil
		}
	}
	if errors.Is(err, wire.ErrTooLarge) {
		return nil, fmt.Errorf("%w: %w", wire.ErrBatch, err)
	}
	return nil, fmt.Errorf("%w: it cannot be decompressed: %w", wire.ErrBatch, err)
}

// growth is by how much a buffer that was too small is made larger.
const growth = 4
