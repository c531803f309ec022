// SPDX-License-Identifier: Apache-2.0

// Package source says what a stream that can be ingested looks like. Each
// subpackage implements it for one system.
//
// A source is opened at a position, yields chunks of records, tells the
// position after what was consumed of them, and is told which position is
// durable. It knows nothing of batches, files or commits: those exist once,
// in runner/ingest.
package source

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"iter"
)

// Source is a stream that can be read again from any position it gave out.
//
// One goroutine calls Open, Next, Consume and Position, in that order of
// events; Acknowledge and Close may be called from another.
type Source interface {
	// Open connects and prepares reading from position, which an earlier
	// Position returned, or from the configured start if position is nil.
	// It blocks until the source answers or ctx ends: an unreachable source is
	// waited for, with log lines that say so, and is no error. A position that
	// does not belong to this source, or that can no longer be read, is a
	// *Stop error.
	Open(ctx context.Context, position json.RawMessage) error

	// Next returns the next chunk. It blocks until there is one or ctx ends,
	// and survives outages by itself. What can only be solved by an operator
	// is a *Stop error. The caller owns the chunk until it calls Release.
	Next(ctx context.Context) (*Chunk, error)

	// Consume moves the source's position past the first n records of chunk,
	// and past the whole chunk (records that were left out included) if n is
	// their number. Chunks must be consumed in the order in which Next
	// returned them, and a chunk may be consumed in several steps with rising n.
	Consume(chunk *Chunk, n int)

	// Position returns the position after all that was consumed.
	Position() json.RawMessage

	// Acknowledge tells the source that everything up to position is durable.
	// It must not block on the network for long, and is best effort: what
	// counts is the position that the next Open is given.
	Acknowledge(ctx context.Context, position json.RawMessage)

	// Close ends all that Open began. It is safe to call more than once.
	Close() error
}

// Stream names an ordered part of a source: for Kafka one partition of a
// topic. Records of one stream are delivered, and written, in their order.
type Stream struct {
	Topic      string // as it appears in records
	Partition  int32
	Generation int // number of times the topic was made again since the first position; 0 at first
}

// Compare orders streams by topic, generation and partition.
func (s Stream) Compare(other Stream) int {
	return cmp.Or(cmp.Compare(s.Topic, other.Topic), cmp.Compare(s.Generation, other.Generation), cmp.Compare(s.Partition, other.Partition))
}

// Chunk is a run of records of one stream. Keys, values and headers are
// references into a buffer that Release gives back.
type Chunk struct {
	Stream  Stream
	Records []Record
	Bytes   int  // memory that the chunk holds until it is released
	Gap     *Gap // records before this chunk that no longer exist at the source, if the policy is to go on

	// Next is the offset after the chunk, beyond records that were left out.
	Next int64
	// LeaderEpoch is the newest leader epoch seen in the chunk, -1 if unknown.
	LeaderEpoch int32
	// Index is the stream's place in a list of the source's streams. Whoever
	// keeps something of each stream finds it by the index sooner than by the
	// stream's name, if it sees that the stream is the same: a source may leave
	// it 0.
	Index int
	// Origin is what the source keeps of the stream, for itself alone.
	Origin any

	release func()
}

// NewChunk makes a chunk whose Release calls release once, if it is not nil.
func NewChunk(stream Stream, release func()) *Chunk {
	c := &Chunk{}
	c.Init(stream, release)
	return c
}

// Init makes a new chunk of c, as [NewChunk] does. A source may use a chunk
// again that was released.
func (c *Chunk) Init(stream Stream, release func()) {
	*c = Chunk{Stream: stream, LeaderEpoch: -1, release: release}
}

// Release gives the chunk's buffer back, and the chunk: neither may be used after.
func (c *Chunk) Release() {
	if c.release != nil {
		release := c.release
		c.release = nil
		release()
	}
}

// Gap is a range of offsets, From included and To not, that is gone.
type Gap struct {
	From   int64  `json:"from"`
	To     int64  `json:"to"`
	Reason string `json:"reason"`
}

// Record is one record of a stream.
type Record struct {
	Offset    int64
	Timestamp int64  // milliseconds since 1970
	Key       []byte // nil if there is none
	Value     []byte // nil if there is none (a tombstone)
	Headers   Headers
}

// Headers are a record's headers in Kafka's wire form, decoded only when asked for.
type Headers struct {
	Count int
	Raw   []byte // Count times: varint key length, key, varint value length (-1: null), value
}

// All yields the headers' keys and values in order; a null value is nil. It
// ends early if Raw is damaged, which a decoder that filled it has ruled out.
func (h Headers) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		raw := h.Raw
		for range h.Count {
			key, rest, ok := cutVarintBytes(raw)
			if !ok {
				return
			}
			value, after, ok := cutVarintBytes(rest)
			if !ok || !yield(key, value) {
				return
			}
			raw = after
		}
	}
}

func cutVarintBytes(raw []byte) (field, rest []byte, ok bool) {
	length, n := binary.Varint(raw)
	if n <= 0 || length > int64(len(raw)-n) {
		return nil, nil, false
	}
	if length < 0 {
		return nil, raw[n:], true
	}
	end := n + int(length)
	return raw[n:end:end], raw[end:], true
}

// Stop is an error that trying again does not solve: an operator has to
// decide. Its text says what happened and what the ways out are.
type Stop struct{ Err error }

func (s *Stop) Error() string { return s.Err.Error() }
func (s *Stop) Unwrap() error { return s.Err }

// IsStop says whether err calls for an operator.
func IsStop(err error) bool {
	var stop *Stop
	return errors.As(err, &stop)
}
