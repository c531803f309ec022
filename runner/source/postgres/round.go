// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"sync"
	"sync/atomic"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// A round is what is read before it is handed over: the rows of whole
// transactions, or of a part of one, in a chunk for each table and schema. Only
// the last chunk of a round may be a boundary.
type round struct {
	parts   []*part
	bytes   int
	records int
}

const (
	roundBytes   = 64 << 10  // after which a round ends with its transaction
	roundLargest = 256 << 10 // after which it ends within one
	roundRecords = 1000
	roundParts   = 256 // chunks, each of which takes some memory however little is in it
	blockBytes   = 64 << 10
)

// full says whether the round is to end, even within a transaction.
func (r *round) full() bool {
	return r.bytes >= roundLargest || r.records >= 4*roundRecords || len(r.parts) >= roundParts
}

// part is a chunk that is being filled.
type part struct {
	chunk   source.Chunk
	records []source.Record
	details []source.Detail
	blocks  [][]byte // the last one is being filled
	shared  *source.Detail
	large   chan struct{} // to take an element of when it is released; nil for none
	tx      *transaction
	after   after
}

// after is what the position is once a chunk is consumed.
type after struct {
	stream   *stream
	schema   int
	columns  string
	boundary bool
	end      positions.LSN
	copied   map[uint32]*positions.Relation // relations whose place has changed; nil for none

	forgotten []string // names of streams
	floor     positions.Table
}

// add adds a record.
func (p *part) add(e *encoded, r *row, offset int64) {
	detail := p.shared
	if detail == nil || p.tx != r.tx || detail.Op != r.op || len(e.unchanged) > 0 || e.before != nil {
		detail = p.newDetail()
		*detail = source.Detail{ID: r.tx.id, Op: r.op, Transaction: r.tx.xid}
		if len(e.unchanged) == 0 && e.before == nil {
			p.shared, p.tx = detail, r.tx
		} else {
			detail.Unchanged = append([]string(nil), e.unchanged...)
			detail.Before = p.keep(e.before)
		}
	}
	p.records = append(p.records, source.Record{Offset: offset, Timestamp: r.tx.millis, Key: p.keep(e.key), Value: p.keep(e.value), Detail: detail})
}

// detailsTogether is how many details are made at once.
const detailsTogether = 64

func (p *part) newDetail() *source.Detail {
	if len(p.details) == 0 {
		p.details = make([]source.Detail, detailsTogether)
	}
	d := &p.details[0]
	p.details = p.details[1:]
	return d
}

// keep copies bytes into the part's memory.
func (p *part) keep(b []byte) []byte {
	if b == nil {
		return nil
	}
	n := len(p.blocks)
	if n == 0 || cap(p.blocks[n-1])-len(p.blocks[n-1]) < len(b) {
		p.blocks = append(p.blocks, newRoom(n, len(b)))
		p.chunk.Bytes += cap(p.blocks[n])
		n++
	}
	block := &p.blocks[n-1]
	at := len(*block)
	*block = append(*block, b...)
	return (*block)[at:len(*block):len(*block)]
}

// freeRooms are blocks of the usual size, which are used again.
var freeRooms = sync.Pool{New: func() any { return new([blockBytes]byte) }}

// newRoom is the nth block of a part, with room for so many bytes. The first
// ones are small, since there may be a part for each of many tables.
func newRoom(n, need int) []byte {
	const small = 4 << 10
	switch {
	case need > blockBytes:
		return make([]byte, 0, need)
	case n == 0 && need <= small:
		return make([]byte, 0, small)
	}
	return freeRooms.Get().(*[blockBytes]byte)[:0]
}

// freeParts are used again with what they have for records.
var freeParts = sync.Pool{New: func() any { return &part{} }}

// free gives a part back, once nobody looks at its chunk.
func (p *part) free() {
	for _, room := range p.blocks {
		if cap(room) == blockBytes {
			freeRooms.Put((*[blockBytes]byte)(room[:blockBytes]))
		}
	}
	clear(p.records)
	*p = part{records: p.records[:0], blocks: p.blocks[:0], details: p.details}
	freeParts.Put(p)
}

// partOf returns the part for records of a relation and a variant of its schema.
func (r *round) partOf(rel *relation, variant int, rows bool, memory *atomic.Int64) *part {
	if p := rel.open; p != nil && rel.variant == variant {
		return p
	}
	p := freeParts.Get().(*part)
	p.chunk.Init(rel.stream.Stream, func() {
		memory.Add(-int64(p.chunk.Bytes))
		if p.large != nil {
			<-p.large
		}
		p.free()
	})
	p.chunk.Index = rel.stream.index
	if rows {
		p.chunk.Schema = rel.rowSchema(variant)
	}
	p.after = after{stream: rel.stream, schema: rel.number, columns: rel.fingerprint}
	if !rel.counted { // a table that is altered again and again is another one each time
		rel.counted = true
		p.chunk.Bytes = rel.memory()
		r.bytes += p.chunk.Bytes
		memory.Add(int64(p.chunk.Bytes))
	}
	rel.open, rel.variant = p, variant
	r.parts = append(r.parts, p)
	return p
}
