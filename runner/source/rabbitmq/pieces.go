// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"hash/crc32"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/rabbitmq"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/rabbitmq/wire"
)

// A chunk of a node is handed on in pieces: a few bytes of it may be millions of
// messages. Each piece has memory for its records, and shares the bytes that
// they refer to with the others.
//
// The bytes as they came and the first piece's records are taken of
// [Streams.raw], before they are read. What a chunk takes besides is taken of
// [Streams.unpacked], by one chunk at a time: whatever else is taken of that was
// handed on, and will be released.

// block is memory that pieces share.
type block struct {
	source *Streams
	of     *semaphore.Weighted
	size   int64 // of it
	buffer []byte
	refs   atomic.Int32
}

func (b *block) free() {
	if b.refs.Add(-1) > 0 {
		return
	}
	b.of.Release(b.size)
	b.source.held.Add(-b.size)
	if b.of == b.source.raw && cap(b.buffer) <= largestKept {
		b.source.blocks.Put(b)
	}
}

// pieces makes them of a chunk.
type pieces struct {
	part   *part
	at     int64        // timestamp of the chunk
	raw    *block       // the chunk's bytes
	batch  *block       // of the batch that was unpacked last; nil for none
	piece  *streamChunk // that is being filled
	first  bool         // it is the first one
	locked bool         // it has Streams.unpack
}

// streamChunk is a piece on its way. It is used again after it was released.
type streamChunk struct {
	source  *Streams
	part    *part
	chunk   *source.Chunk
	blocks  []*block // that its records refer to
	own     int64    // of Streams.unpacked, for the records
	headers []byte   // of all records
	records []source.Record
	at      int64 // timestamp of the chunk
}

const (
	// recordSize is what a record takes besides its bytes, about.
	recordSize = 128
	// largestKept is how large a buffer may be that is kept for the next chunk.
	largestKept = 1 << 20
	// pieceShare is the part of the memory that the records of a piece may take
	// with their headers; the rest is for what they refer to.
	pieceShare = 4
	// smallBytes is how much of a chunk that is unpacked, or of headers, any
	// memory has room for.
	smallBytes = 64 << 10
)

// recordsOf is how many records a piece may have.
func (s *Streams) recordsOf() int { return max(int(s.memory/pieceShare/2/recordSize), 64) }

// take waits for memory for a chunk.
func (s *Streams) take(p *part, h wire.Head) (*pieces, error) {
	size := min(int64(h.Bytes)*2+int64(min(h.Messages, s.recordsOf()))*recordSize, s.memory)
	if err := s.raw.Acquire(s.ctx, size); err != nil {
		return nil, err
	}
	s.held.Add(size)
	raw := s.blocks.Get().(*block)
	*raw = block{source: s, of: s.raw, size: size, buffer: raw.buffer}
	if cap(raw.buffer) < h.Bytes {
		raw.buffer = make([]byte, h.Bytes)
	}
	raw.buffer = raw.buffer[:h.Bytes]
	raw.refs.Store(1)
	u := &pieces{part: p, at: h.Timestamp, raw: raw, first: true}
	u.begin()
	return u, nil
}

// begin begins a piece.
func (u *pieces) begin() {
	s := u.part.source
	c := s.pool.Get().(*streamChunk)
	c.part, c.at, c.own = u.part, u.at, 0
	c.chunk = source.NewChunk(u.part.stream, c.free)
	c.chunk.Records, c.headers = c.records[:0], c.headers[:0]
	c.blocks = append(c.blocks[:0], u.raw)
	u.raw.refs.Add(1)
	if u.batch != nil {
		c.blocks = append(c.blocks, u.batch)
		u.batch.refs.Add(1)
	}
	u.piece = c
}

// lock waits until no other chunk takes of what is unpacked.
func (u *pieces) lock() {
	if !u.locked {
		u.part.source.unpack.Lock()
		u.locked = true
	}
}

// cut hands the piece on, if there is something in it, and begins another one.
func (u *pieces) cut() error {
	c, p := u.piece, u.part
	if len(c.chunk.Records) == 0 {
		return nil
	}
	last := &c.chunk.Records[len(c.chunk.Records)-1]
	for _, b := range c.blocks {
		c.chunk.Bytes += int(b.size)
	}
	c.chunk.Bytes += int(c.own)
	c.chunk.Gap, c.chunk.Next, c.chunk.Index, c.chunk.Origin = p.pending, last.Offset+1, p.index, c
	p.pending = nil
	p.place = positions.Stream{Generation: p.place.Generation, Next: last.Offset + 1, At: u.at, Sum: crc32.Checksum(last.Value, castagnoli)}
	u.piece, u.first = nil, false
	if err := p.source.push(c.chunk); err != nil {
		return err
	}
	u.begin()
	return nil
}

// grow makes room for a batch that was compressed.
func (u *pieces) grow(n int) ([]byte, error) {
	s := u.part.source
	size, most := int64(n)*2, max(s.memory-s.memory/pieceShare, smallBytes)
	if size > most {
		return nil, &wire.TooLargeError{Bytes: n, Most: int(most / 2)}
	}
	if u.batch != nil {
		u.batch.free()
		u.batch = nil
	}
	held := size
	for _, b := range u.piece.blocks {
		if b != u.raw {
			held += b.size
		}
	}
	if held > most {
		if err := u.cut(); err != nil {
			return nil, err
		}
		u.drop()
	}
	u.lock() // until all of the chunk is unpacked
	if err := s.unpacked.Acquire(s.ctx, size); err != nil {
		return nil, err
	}
	s.held.Add(size)
	b := &block{source: s, of: s.unpacked, size: size, buffer: make([]byte, n)}
	b.refs.Store(2) // one for this, and one for the piece
	u.batch = b
	u.piece.blocks = append(u.piece.blocks, b)
	return b.buffer, nil
}

// drop gives back what the piece holds and no record of it refers to.
func (u *pieces) drop() {
	c := u.piece
	if len(c.chunk.Records) > 0 {
		return
	}
	for _, b := range c.blocks[1:] {
		b.free()
	}
	c.blocks = c.blocks[:1]
}

// add takes a message.
func (u *pieces) add(offset int64, raw []byte) error {
	s, c := u.part.source, u.piece
	if len(c.chunk.Records) >= s.recordsOf() || len(c.headers) >= max(int(s.memory)/pieceShare/4, smallBytes) {
		if err := u.cut(); err != nil {
			return err
		}
		c = u.piece
	}
	if !u.first && c.own == 0 {
		u.lock()
		own := s.memory / pieceShare
		if err := s.unpacked.Acquire(s.ctx, own); err != nil {
			return err
		}
		s.held.Add(own)
		c.own = own
	}
	c.add(offset, raw)
	return nil
}

// free gives back what was not handed on.
func (u *pieces) free() {
	if u.piece != nil {
		u.piece.chunk.Release()
		u.piece = nil
	}
	if u.batch != nil {
		u.batch.free()
		u.batch = nil
	}
	if u.locked {
		u.locked = false
		u.part.source.unpack.Unlock()
	}
	u.raw.free()
}

// free gives the memory back.
func (c *streamChunk) free() {
	s := c.source
	for i, b := range c.blocks {
		b.free()
		c.blocks[i] = nil
	}
	if c.own > 0 {
		s.unpacked.Release(c.own)
		s.held.Add(-c.own)
	}
	c.own, c.blocks = 0, c.blocks[:0]
	clear(c.chunk.Records)
	c.records = c.chunk.Records[:0]
	c.chunk, c.part = nil, nil
	if cap(c.headers)+cap(c.records)*recordSize > largestKept {
		c.headers, c.records = nil, nil
	}
	s.pool.Put(c)
}

// headerUnreadable says why a message is as it was stored: its publisher has not
// made it one of AMQP 1.0.
const headerUnreadable = wire.PropertyPrefix + "unreadable"

// bodyOf is what a message's record has as its value.
func bodyOf(raw []byte) []byte {
	m, err := wire.ParseMessage(raw, func(string, []byte) {})
	if err != nil {
		return raw
	}
	return m.Body
}

// add makes a record of a message.
func (c *streamChunk) add(offset int64, raw []byte) {
	at := c.at
	headers := source.Headers{Raw: c.headers[len(c.headers):]}
	m, err := wire.ParseMessage(raw, func(name string, value []byte) { headers.Append(name, value) })
	if err != nil {
		m = wire.Message{Body: raw}
		headers = source.Headers{Raw: c.headers[len(c.headers):]}
		headers.Append(headerUnreadable, []byte(err.Error()))
	}
	if headers.Count > 0 {
		if end := len(c.headers) + len(headers.Raw); end <= cap(c.headers) {
			c.headers = c.headers[:end] // they were written behind those before
		} else {
			c.headers = append(make([]byte, 0, 2*end), headers.Raw...)
			headers.Raw = c.headers
		}
		headers.Raw = headers.Raw[:len(headers.Raw):len(headers.Raw)]
	}
	if m.Created != 0 {
		at = m.Created
	}
	if m.Body == nil {
		m.Body = []byte{}
	}
	c.chunk.Records = append(c.chunk.Records, source.Record{Offset: offset, Timestamp: at, Key: m.RoutingKey, Value: m.Body, Headers: headers})
}
