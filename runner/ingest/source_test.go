// SPDX-License-Identifier: Apache-2.0

package ingest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// log is an append-only stream of a few partitions, and what was acknowledged of it.
type log struct {
	mu         sync.Mutex
	partitions [][]source.Record
	grown      chan struct{} // closed and replaced whenever records are appended
	acked      map[int32]int64
	gap        *source.Gap // delivered once, before partition 0's next record
}

func newLog(partitions int) *log {
	return &log{partitions: make([][]source.Record, partitions), grown: make(chan struct{}), acked: map[int32]int64{}}
}

// produce appends n records to each partition.
func (l *log) produce(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.partitions {
		for range n {
			offset := int64(len(l.partitions[p]))
			l.partitions[p] = append(l.partitions[p], source.Record{Offset: offset, Timestamp: 1700000000000 + offset*1000,
				Key: fmt.Appendf(nil, "%d", p), Value: fmt.Appendf(nil, `{"p":%d,"o":%d}`, p, offset)})
		}
	}
	close(l.grown)
	l.grown = make(chan struct{})
}

// memorySource reads a log as a source does.
type memorySource struct {
	log  *log
	max  int // records in a chunk
	next map[int32]int64
	read map[int32]int64 // handed out
	turn int32
	fail func() error // if not nil and its error is not nil, Next returns it
}

type memoryPosition map[int32]int64

func (*memorySource) Traits() source.Traits { return source.Traits{Kind: source.Replay} }

func (s *memorySource) Open(_ context.Context, position json.RawMessage) error {
	s.next = memoryPosition{}
	for p := range s.log.partitions {
		s.next[int32(p)] = 0
	}
	if position != nil {
		if err := json.Unmarshal(position, &s.next); err != nil {
			return &source.Stop{Err: err}
		}
	}
	s.read = maps.Clone(s.next)
	return nil
}

func (s *memorySource) Next(ctx context.Context) (*source.Chunk, error) {
	for {
		if s.fail != nil {
			if err := s.fail(); err != nil {
				return nil, err
			}
		}
		s.log.mu.Lock()
		grown := s.log.grown
		chunk := s.chunk()
		s.log.mu.Unlock()
		if chunk != nil {
			return chunk, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-grown:
		}
	}
}

func (s *memorySource) chunk() *source.Chunk {
	count := int32(len(s.log.partitions))
	for range count {
		p := s.turn % count
		s.turn++
		records := s.log.partitions[p]
		from := s.read[p]
		to := min(from+int64(s.max), int64(len(records)))
		if from == to {
			continue
		}
		chunk := source.NewChunk(source.Stream{Name: "t", Partition: p}, func() {})
		chunk.Records, chunk.Next = records[from:to], to
		if s.log.gap != nil && p == 0 {
			chunk.Gap, s.log.gap = s.log.gap, nil
		}
		s.read[p] = to
		return chunk
	}
	return nil
}

func (s *memorySource) Consume(chunk *source.Chunk, n int) {
	if n == len(chunk.Records) {
		s.next[chunk.Stream.Partition] = chunk.Next
	} else {
		s.next[chunk.Stream.Partition] = chunk.Records[n].Offset
	}
}

func (s *memorySource) Position() json.RawMessage {
	b, err := json.Marshal(s.next)
	if err != nil {
		panic(err)
	}
	return b
}

func (s *memorySource) Acknowledge(_ context.Context, position json.RawMessage) {
	acked := memoryPosition{}
	if err := json.Unmarshal(position, &acked); err != nil {
		panic(err)
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.log.acked = acked
}

func (s *memorySource) Close() error { return nil }
