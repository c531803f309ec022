// SPDX-License-Identifier: Apache-2.0

package source

import (
	"cmp"
	"time"
)

// Stream names an ordered part of a source: one partition of a Kafka topic, a
// table, an endpoint, a queue. Records of one stream are delivered, and
// written, in their order. What the parts of its name are called is in the
// source's settings.Layout.
type Stream struct {
	Name       string // as it appears in records
	Partition  int32  // 0 where the source has none
	Generation int    // number of times the stream was made again since the first position; 0 at first
}

// Compare orders streams by name, generation and partition.
func (s Stream) Compare(other Stream) int {
	return cmp.Or(cmp.Compare(s.Name, other.Name), cmp.Compare(s.Generation, other.Generation), cmp.Compare(s.Partition, other.Partition))
}

// Chunk is a run of records of one stream. Keys, values and headers are
// references into a buffer that Release gives back. A chunk without records
// tells that the position has moved: progress.
type Chunk struct {
	Stream  Stream
	Records []Record
	Bytes   int        // memory that the chunk holds until it is released
	Gap     *Gap       // records before this chunk that no longer exist at the source, if the policy is to go on
	Schema  *RowSchema // of the values, in Avro's binary encoding; nil if they are bytes

	// Redelivered is how many records were left out of this chunk since they
	// are committed already.
	Redelivered int64
	// Boundary says that a commit may end after this chunk. It is looked at
	// only with [Traits.Boundaries]; without, a commit may end anywhere.
	Boundary bool
	// Full says that nothing more comes before an acknowledgement, so that the
	// batch ends at once.
	Full bool
	// Deadline is when the chunk must have been acknowledged; zero for none.
	Deadline time.Time

	// Next is the offset after the chunk, beyond records that were left out.
	Next int64
	// Index is the stream's place in a list of the source's streams. Whoever
	// keeps something of each stream finds it by the index sooner than by the
	// stream's name, if it sees that the stream is the same: a source may leave
	// it 0.
	Index int
	// Origin and Epoch are what the source keeps of the stream and of the
	// chunk, for itself alone.
	Origin any
	Epoch  int32 // -1 at first

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
	*c = Chunk{Stream: stream, Epoch: -1, release: release}
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

// RowSchema is what the values of a chunk are. Two are the same if their
// pointers are: a source makes one when the columns of a stream change, and
// gives it to all chunks until then. One file has one schema.
type RowSchema struct {
	// Avro is the text of a record type in JSON. Its fields become the columns;
	// the coordinates come into one more, _record. If records come without a
	// value, as those of a truncated table, its fields are unions that begin
	// with null.
	Avro string
	// Version numbers the schemas of a stream, from 1 on; 0 if they have no
	// numbers. It stands in _record.
	Version int
	// Before says that rows have one more column, _before, with the row as it
	// was before: [Detail.Before].
	Before bool
	// Texts is the name of a field, of all the last, with the text of values that
	// the others cannot hold, by the names of their columns; "" if there is none.
	Texts string
}
