// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

const (
	topic      = "t"
	partitions = 3
)

// stream is an append-only log of a few partitions, which can be read again
// from anywhere.
type stream struct {
	mu       sync.Mutex
	records  [partitions][]source.Record
	fill     int64         // most bytes that a value has beyond what it needs
	most     int           // bytes of a value that is not refused, where unwanted records are filtered; 0 if all are taken
	grown    chan struct{} // closed and replaced whenever records are appended
	failures int           // of readers to come
	acked    func(position offsets)
	parse    func(json.RawMessage) (offsets, error)
	kafka    *kafkaTopic                          // that holds the records, too, and is read in place of this; nil if there is none
	merged   map[string][]spoutcommit.Description // see [audit.Squashes]
}

// offsets is a position: the next offset of each partition.
type offsets map[int32]int64

func parseOffsets(raw json.RawMessage) (offsets, error) {
	at := offsets{}
	if raw == nil {
		return at, nil
	}
	err := json.Unmarshal(raw, &at)
	return at, err
}

// between counts the records from one position to another.
func (o offsets) between(to offsets) (n int64) {
	for p := range int32(partitions) {
		n += to[p] - o[p]
	}
	return n
}

// produce appends n records to one partition.
func (s *stream) produce(partition, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		offset := int64(len(s.records[partition]))
		value := fmt.Sprintf(`{"partition":%d,"offset":%d,"wanted":%t,"fill":%q}`, partition, offset, offset%5 != 3, strings.Repeat("x", int(offset*37%s.fill)))
		s.records[partition] = append(s.records[partition], source.Record{Offset: offset, Timestamp: 946684800000 + offset*1000, Value: []byte(value)})
	}
	close(s.grown)
	s.grown = make(chan struct{})
	if s.kafka != nil {
		if err := s.kafka.produce(partition, s.records[partition][len(s.records[partition])-n:]); err != nil {
			panic(err)
		}
	}
}

func (s *stream) total() (n int) {
	for _, records := range s.records {
		n += len(records)
	}
	return n
}

// Records, Ends, Starts, Offsets and Squashed let the stream be audited.
func (s *stream) Records(of source.Stream, from, to int64) (out []audit.Entry) {
	for _, r := range s.records[of.Partition][from:to] {
		e := audit.Entry{Stream: of, Offset: r.Offset, Value: string(r.Value)}
		switch {
		case s.most > 0 && len(r.Value) > s.most:
			e.Fate = audit.DeadLettered
		case s.most > 0 && r.Offset%5 == 3:
			e.Fate = audit.Filtered
		}
		out = append(out, e)
	}
	return out
}

func (s *stream) Ends() map[source.Stream]int64 {
	ends := map[source.Stream]int64{}
	for p, records := range s.records {
		ends[source.Stream{Name: topic, Partition: int32(p)}] = int64(len(records))
	}
	return ends
}

func (*stream) Starts() map[source.Stream]int64 { return map[source.Stream]int64{} }

func (s *stream) Offsets(raw json.RawMessage) (map[source.Stream]int64, error) {
	at, err := s.parse(raw)
	out := map[source.Stream]int64{}
	for p, next := range at {
		out[source.Stream{Name: topic, Partition: p}] = next
	}
	return out, err
}

func (s *stream) Squashed(commit string) []spoutcommit.Description { return s.merged[commit] }

// reader is the source of one session of a runner.
type reader struct {
	stream *stream
	chunk  int // records in a chunk
	link   *link
	budget int
	over   func(held int) // told when more than the budget is held

	next, read offsets
	turn       int32
	handed     int // bytes of values since Open
	sentBefore int
}

var errOutage = errors.New("the source is not there for a moment")

func (*reader) Traits() source.Traits { return source.Traits{Kind: source.Replay} }

func (r *reader) Open(_ context.Context, position json.RawMessage) (err error) {
	if r.next, err = parseOffsets(position); err != nil {
		return &source.Stop{Err: err}
	}
	for p := range int32(partitions) {
		r.next[p] += 0
	}
	r.read, r.sentBefore = maps.Clone(r.next), r.link.bytesSent()
	return nil
}

func (r *reader) Next(ctx context.Context) (*source.Chunk, error) {
	for {
		r.stream.mu.Lock()
		grown := r.stream.grown
		if r.stream.failures > 0 {
			r.stream.failures--
			r.stream.mu.Unlock()
			return nil, errOutage
		}
		chunk := r.cut()
		r.stream.mu.Unlock()
		if chunk != nil {
			if held := r.handed - chunk.Bytes - (r.link.bytesSent() - r.sentBefore); held > r.budget {
				r.over(held)
			}
			return chunk, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-grown:
		}
	}
}

func (r *reader) cut() *source.Chunk {
	for range partitions {
		p := r.turn % partitions
		r.turn++
		records := r.stream.records[p]
		from, to := r.read[p], min(r.read[p]+int64(r.chunk), int64(len(records)))
		if from >= to {
			continue
		}
		chunk := source.NewChunk(source.Stream{Name: topic, Partition: p}, func() {})
		chunk.Index = int(p)
		chunk.Records, chunk.Next = records[from:to], to
		for _, record := range chunk.Records {
			chunk.Bytes += len(record.Value)
		}
		r.handed += chunk.Bytes
		r.read[p] = to
		return chunk
	}
	return nil
}

func (r *reader) Consume(chunk *source.Chunk, n int) {
	if n == len(chunk.Records) {
		r.next[chunk.Stream.Partition] = chunk.Next
	} else {
		r.next[chunk.Stream.Partition] = chunk.Records[n].Offset
	}
}

func (r *reader) Position() json.RawMessage {
	b, err := json.Marshal(r.next)
	if err != nil {
		panic(err)
	}
	return b
}

func (r *reader) Acknowledge(_ context.Context, position json.RawMessage) {
	at, err := parseOffsets(position)
	if err != nil {
		panic(err)
	}
	r.stream.acked(at)
}

func (*reader) Close() error { return nil }
