// SPDX-License-Identifier: Apache-2.0

// Package webhook takes HTTP requests of webhooks and CloudEvents. A request is
// answered with 2xx once its records are in a FINISHED commit, so that a sender
// that tries again what was not answered so loses nothing. Requests have ids by
// which those that come again are recognised.
//
//	request → handler: authentication, body, records → delivery → Next → commit → Acknowledge → answer
package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/webhook"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/redelivery"
)

var (
	_ source.Source   = (*Source)(nil)
	_ source.Observed = (*Source)(nil)
	_ source.Checker  = (*Source)(nil)
)

// Source takes requests.
type Source struct {
	config settings.Webhook
	log    hclog.Logger
	memory *memory
	unpack *unpacker

	endpoints []*endpoint // by name
	byPath    map[string]*endpoint
	refusals  *refusals
	listener  *listener // nil unless it is open

	mu          sync.Mutex
	positions   map[string]int64 // what was consumed, of endpoints that are no longer there, too
	window      *redelivery.Window
	waiting     map[redelivery.ID]*delivery // ids that are in no FINISHED commit yet
	requests    int                         // that wait for a commit
	turn        int                         // of the endpoint that Next looks at first
	closed      bool
	wake        chan struct{} // has an element if there may be something for Next
	took, bytes int64
	fresh       int // ids that were consumed since a position was asked for
	trouble     *source.Trouble
}

// Make makes a source as settings say.
func Make(s settings.Settings, o source.Options) (source.Source, error) {
	w := &Source{config: s.Webhook, log: o.Log, memory: newMemory(int(o.Memory)), unpack: newUnpacker(s.Webhook.LargestBody(s.MemoryBudget)), byPath: map[string]*endpoint{}, wake: make(chan struct{}, 1)}
	if w.log == nil {
		w.log = hclog.NewNullLogger()
	}
	w.refusals = newRefusals(w.log)
	for _, name := range slices.Sorted(maps.Keys(s.Webhook.Endpoints)) {
		e := newEndpoint(name, s.Webhook.Endpoints[name], w.log)
		w.endpoints = append(w.endpoints, e)
		w.byPath[e.URLPath(name)] = e
	}
	return w, nil
}

// leastIDs is how many ids are remembered whatever their age, so that a clock
// that is set forward does not make senders strangers who are trying again.
const leastIDs = 1000

// idle is how long ids that came again may move the position alone: they are
// kept longer then, which is not urgent.
const idle = 5 * time.Minute

// Traits implements [source.Source].
func (s *Source) Traits() source.Traits {
	return source.Traits{Kind: source.Request, Boundaries: true, AckWithin: s.config.AckTimeout.Std(), Idle: idle}
}

// Open implements [source.Source].
func (s *Source) Open(ctx context.Context, position json.RawMessage) error {
	if err := s.restore(position); err != nil {
		return &source.Stop{Err: err}
	}
	for _, e := range s.endpoints {
		if err := e.load(); err != nil {
			return &source.Stop{Err: fmt.Errorf("endpoint %s: %w", e.name, err)}
		}
	}
	l, err := s.listen(ctx)
	if err != nil {
		return err
	}
	s.listener = l
	return nil
}

func (s *Source) restore(position json.RawMessage) error {
	p := positions.New()
	if position != nil {
		var err error
		if p, err = positions.Parse(position); err != nil {
			return fmt.Errorf("the position of the newest commit cannot be read: %w. Use the image that wrote it, or another output branch", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.positions, s.fresh = p.Endpoints, 0
	s.window = redelivery.Restore(redelivery.Limits{Count: s.config.IDs, Age: s.config.IDAge.Std(), Least: leastIDs}, p.Window)
	s.waiting = map[redelivery.ID]*delivery{}
	for _, e := range s.endpoints {
		e.next, e.queue, e.given, e.redelivered = p.Endpoints[e.name], nil, nil, 0
	}
	return nil
}

// A chunk has whole requests of one endpoint, up to these.
const (
	chunkBytes   = 1 << 20
	chunkRecords = 4096
)

// A commit's description has room for the ids of a batch, and of those before it
// that are not FINISHED yet: a batch ends after so many, and one request has at
// most as many.
const mostFresh = 10_000

// Next implements [source.Source].
func (s *Source) Next(ctx context.Context) (*source.Chunk, error) {
	for {
		if chunk := s.cut(); chunk != nil {
			return chunk, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.wake:
		case err := <-s.listener.failed:
			return nil, fmt.Errorf("port %d is lost: %w", s.config.Port, err)
		}
	}
}

// cut makes a chunk of what waits, nil if nothing does.
func (s *Source) cut() *source.Chunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range s.endpoints {
		e := s.endpoints[s.turn%len(s.endpoints)]
		s.turn++
		if len(e.queue) > 0 || e.redelivered > 0 {
			s.wakeUp() // others may wait, too
			return s.cutOf(e)
		}
	}
	return nil
}

func (s *Source) cutOf(e *endpoint) *source.Chunk {
	var taken []*delivery
	records, size := 0, 0
	for _, d := range e.queue {
		if len(taken) > 0 && (size+d.memory > chunkBytes || records+d.count > chunkRecords) {
			break
		}
		taken = append(taken, d)
		records, size = records+d.count, size+d.memory
	}
	e.queue = e.queue[len(taken):]
	chunk := source.NewChunk(source.Stream{Name: e.name}, func() {
		for _, d := range taken {
			d.release()
		}
	})
	chunk.Boundary, chunk.Redelivered, chunk.Bytes, chunk.Origin = true, e.redelivered, size, taken
	ids := s.fresh
	for _, d := range taken {
		ids += len(d.ids)
	}
	chunk.Full = s.crowded() || e.crowded() || ids >= mostFresh
	e.redelivered = 0
	if len(taken) == 1 {
		chunk.Records = taken[0].records
	} else if records > 0 {
		chunk.Records = make([]source.Record, 0, records)
	}
	for _, d := range taken {
		for i := range d.records {
			d.records[i].Offset = e.next
			e.next++
		}
		if len(taken) > 1 {
			chunk.Records = append(chunk.Records, d.records...)
		}
		d.state, d.last = given, e.next-1
		if by := d.arrived.Add(s.config.AckTimeout.Std()); !d.answered && (chunk.Deadline.IsZero() || by.Before(chunk.Deadline)) {
			chunk.Deadline = by
		}
	}
	e.given = append(e.given, taken...)
	chunk.Next = e.next
	return chunk
}

// crowded says whether so many connections wait for a commit that soon nobody
// else can connect.
func (s *Source) crowded() bool {
	const of, parts = 3, 4
	return s.requests >= max(1, s.config.Connections*of/parts)
}

func (s *Source) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Consume implements [source.Source]. Positions are asked for only after whole
// chunks, so that nothing need be done before.
func (s *Source) Consume(chunk *source.Chunk, n int) {
	if n < len(chunk.Records) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	taken, _ := chunk.Origin.([]*delivery)
	for _, d := range taken {
		for _, id := range d.ids {
			s.window.Add(id, now)
		}
		s.took += int64(d.count)
		s.fresh += len(d.ids)
	}
	if len(chunk.Records) > 0 {
		s.positions[chunk.Stream.Name] = chunk.Next
	}
}

// Position implements [source.Source].
func (s *Source) Position() json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh = 0
	return (&positions.Position{Endpoints: s.positions, Window: s.window.Snapshot()}).Render()
}

// Acknowledge implements [source.Source]: requests whose records are durable
// are answered.
func (s *Source) Acknowledge(_ context.Context, position json.RawMessage) {
	next, added, err := positions.Progress(position)
	if err != nil {
		s.log.Error("the runner cannot read a position that it has written", "reason", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.window.Settle(added)
	for _, e := range s.endpoints {
		n := 0
		for ; n < len(e.given) && e.given[n].last < next[e.name]; n++ {
			s.end(e.given[n], true)
		}
		e.given = e.given[n:]
	}
}

// Close implements [source.Source]. Requests that wait are told to come again.
func (s *Source) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, e := range s.endpoints {
		for _, d := range append(e.queue, e.given...) {
			if d.state == queued {
				d.release()
			}
			s.end(d, false)
		}
		e.queue, e.given = nil, nil
	}
	s.mu.Unlock()
	if s.listener != nil {
		s.listener.close()
	}
	return nil
}

// Observe implements [source.Observed].
func (s *Source) Observe() source.Observation {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := source.Observation{Memory: int64(s.memory.used()), Totals: source.Totals{Fetches: s.took, FetchedBytes: s.bytes, Refused: s.refusals.totals()}}
	if s.trouble != nil {
		seen.Troubles = append(seen.Troubles, *s.trouble)
	}
	for _, e := range s.endpoints {
		lag := source.Lag{Stream: source.Stream{Name: e.name}}
		for _, d := range append(slices.Clip(e.given), e.queue...) {
			lag.Records += int64(d.count)
			lag.Age = max(lag.Age, now.Sub(d.arrived))
		}
		seen.Lags = append(seen.Lags, lag)
		if t := e.secrets.trouble(); t != nil {
			seen.Troubles = append(seen.Troubles, source.Trouble{Text: fmt.Sprintf("endpoint %s: %s", e.name, t.Text), Since: t.Since})
		}
	}
	slices.SortFunc(seen.Troubles, func(a, b source.Trouble) int { return a.Since.Compare(b.Since) })
	return seen
}
