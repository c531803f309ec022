// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// queue is a side that gives again what was not acknowledged: a broker with a
// window, or senders that wait for an answer, and come again without one.
type queue struct {
	traits source.Traits

	mu      sync.Mutex
	made    []string
	waiting []int // by number
	out     map[int]bool
	grown   chan struct{}
}

func newQueue(traits source.Traits) *queue {
	return &queue{traits: traits, out: map[int]bool{}, grown: make(chan struct{})}
}

func (*queue) Settings() settings.Settings { return (*journal)(nil).Settings() }

func (q *queue) New(settings.Settings, source.Options) (source.Source, error) {
	return &queueSource{queue: q}, nil
}

func (q *queue) Produce(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for range n {
		q.waiting = append(q.waiting, len(q.made))
		q.made = append(q.made, fmt.Sprintf(`{"id":%d}`, len(q.made)))
	}
	q.wake()
}

func (q *queue) wake() {
	close(q.grown)
	q.grown = make(chan struct{})
}

func (q *queue) Values() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.made)
}

// queuePosition has the next ordinal, and what was consumed and may come again.
type queuePosition struct {
	Next  int64 `json:"next"`
	Known []int `json:"known"`
}

// queueSource reads a queue.
type queueSource struct {
	*queue
	next     int64 // ordinal of the next record that is given out
	position queuePosition
	closed   bool
}

func (s *queueSource) Traits() source.Traits { return s.traits }

func (s *queueSource) Open(_ context.Context, raw json.RawMessage) error {
	if raw != nil {
		if err := json.Unmarshal(raw, &s.position); err != nil {
			return &source.Stop{Err: err}
		}
	}
	s.next = s.position.Next
	return nil
}

func (s *queueSource) Next(ctx context.Context) (*source.Chunk, error) {
	return awaitChunk(ctx, func() (*source.Chunk, <-chan struct{}) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.cut(), s.grown
	})
}

func (s *queueSource) cut() *source.Chunk {
	chunk := source.NewChunk(source.Stream{Name: "queue"}, nil)
	for len(s.waiting) > 0 && len(chunk.Records) < 5 && (s.traits.Window == 0 || len(s.out) < s.traits.Window) {
		id := s.waiting[0]
		s.waiting = s.waiting[1:]
		if slices.Contains(s.position.Known, id) { // it is committed: acknowledged at once
			chunk.Redelivered++
			continue
		}
		s.out[id] = true
		chunk.Records = append(chunk.Records, source.Record{Offset: s.next, Value: []byte(s.made[id]), Detail: &source.Detail{ID: fmt.Append(nil, id)}})
		s.next++
	}
	if len(chunk.Records) == 0 && chunk.Redelivered == 0 {
		return nil
	}
	chunk.Next, chunk.Full = s.next, s.traits.Window > 0 && len(s.out) == s.traits.Window
	if s.traits.AckWithin > 0 {
		chunk.Deadline = time.Now().Add(s.traits.AckWithin)
	}
	return chunk
}

func (s *queueSource) Consume(chunk *source.Chunk, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range chunk.Records[:n] {
		if r.Offset < s.position.Next {
			continue
		}
		var id int
		if err := json.Unmarshal(r.Detail.ID, &id); err != nil {
			panic(err)
		}
		s.position.Known = append(s.position.Known, id)
		s.position.Next = r.Offset + 1
	}
}

func (s *queueSource) Position() json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, err := json.Marshal(s.position)
	if err != nil {
		panic(err)
	}
	return raw
}

func (s *queueSource) Acknowledge(_ context.Context, raw json.RawMessage) {
	var p queuePosition
	if err := json.Unmarshal(raw, &p); err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		panic("acknowledged after Close")
	}
	for _, id := range p.Known {
		delete(s.out, id)
	}
	s.position.Known = slices.DeleteFunc(s.position.Known, func(id int) bool { return slices.Contains(p.Known, id) })
	s.wake()
}

func (s *queueSource) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var back []int
	for id := range s.out {
		back = append(back, id)
	}
	slices.Sort(back)
	clear(s.out)
	s.waiting = append(back, s.waiting...)
	s.wake()
	return nil
}
