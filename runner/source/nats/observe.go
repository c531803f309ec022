// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/nats"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// counters are what is told of a source while it is used.
type counters struct {
	requests   atomic.Int64
	bytes      atomic.Int64 // received
	pending    atomic.Int64 // messages that the consumer has not delivered
	known      atomic.Bool  // pending is
	reconnects atomic.Int64

	mu       sync.Mutex
	consumed progress
	acked    progress
	sent     []sentPosition
	trouble  source.Trouble
	refused  error // what the server has not allowed since forget
}

// progress is how far a stream was read.
type progress struct {
	records int64
	newest  int64 // ms since 1970, of the newest of them; at first, of the oldest that there is
}

// sentPosition is a position that was given out.
type sentPosition struct {
	generation int
	next       uint64
	progress
}

// maxSent is how many positions may wait to be acknowledged; the others show as
// lag for a while longer.
const maxSent = 16

// Observe implements [source.Observed].
func (s *Source) Observe() source.Observation {
	s.mu.Lock()
	queued, held, reading := 0, s.held, s.session != nil && !s.session.over
	stream := source.Stream{Name: s.config.Stream, Generation: s.next.Generation}
	for _, c := range s.queue {
		queued += len(c.Records)
	}
	s.mu.Unlock()
	c := &s.counters
	seen := source.Observation{Memory: int64(held), Totals: source.Totals{Fetches: c.requests.Load(), FetchedBytes: c.bytes.Load(), Reconnects: c.reconnects.Load()}}
	lag := source.Lag{Stream: stream, Records: -1, Age: -1}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known.Load() {
		lag.Records = c.pending.Load() + int64(queued) + c.consumed.records - c.acked.records
		switch {
		case lag.Records == 0:
			lag.Age = 0
		case c.acked.newest > 0:
			lag.Age = max(time.Since(time.UnixMilli(c.acked.newest)), 0)
		}
	}
	seen.Lags = []source.Lag{lag}
	if !reading {
		seen.Unreadable = 1
	}
	if c.trouble.Text != "" {
		seen.Troubles = []source.Trouble{c.trouble}
	}
	return seen
}

// received notes a message.
func (c *counters) received(size int, at place) {
	c.bytes.Add(int64(size))
	c.sawPending(at.pending)
}

func (c *counters) sawPending(messages uint64) {
	c.pending.Store(int64(messages))
	c.known.Store(true)
}

// took notes records that were consumed, of a chunk of which some may have been
// before.
func (c *counters) took(records []source.Record, of *chunk) {
	fresh := len(records) - of.consumed
	if fresh <= 0 {
		return
	}
	of.consumed = len(records)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.acked.newest == 0 {
		c.acked.newest = records[0].Timestamp
	}
	c.consumed.records += int64(fresh)
	c.consumed.newest = records[len(records)-1].Timestamp
}

// gave notes a position that is given out.
func (c *counters) gave(p positions.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sent) == maxSent {
		c.sent = append(c.sent[:0], c.sent[1:]...)
	}
	c.sent = append(c.sent, sentPosition{p.Generation, p.Next, c.consumed})
}

// durable notes that a position is.
func (c *counters) durable(p positions.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, sent := range c.sent {
		if sent.generation > p.Generation || sent.generation == p.Generation && sent.next > p.Next {
			break
		}
		if n++; sent.records > 0 {
			c.acked = sent.progress
		}
	}
	c.sent = append(c.sent[:0], c.sent[n:]...)
}

// note tells of a failure of something that failed just before, or did not.
func (c *counters) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trouble.Text == "" {
		c.trouble.Since = time.Now()
	}
	c.trouble.Text = fmt.Sprintf(format, args...)
}

// over tells that reading works.
func (c *counters) over() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trouble = source.Trouble{}
}

// refuse notes that the server does not allow something.
func (c *counters) refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = err
}

// refusal is what was refused last, nil for nothing.
func (c *counters) refusal() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// forget forgets what was refused.
func (c *counters) forget() { c.refuse(nil) }
