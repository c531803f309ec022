// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"slices"
	"sync"
	"time"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// observed is what can be seen of a source from outside.
type observed struct {
	mu       sync.Mutex
	streams  []source.Stream
	end      positions.LSN // of the server's log
	durable  positions.LSN
	waiting  []committed // transactions that are not durable, the oldest first
	troubles map[string]source.Trouble
	totals   source.Totals
	retained int64 // bytes of log that the server keeps, 0 if that is not known
}

// committed is when something was committed at the server.
type committed struct {
	end    positions.LSN
	millis int64
}

// mostWaiting bounds the transactions that are remembered. The oldest counts,
// so others than the first and the last ones may be left out.
const mostWaiting = 1024

func (o *observed) table(s source.Stream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.streams = append(o.streams, s)
}

func (o *observed) forget(s source.Stream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.streams = slices.DeleteFunc(o.streams, func(other source.Stream) bool { return other == s })
}

func (o *observed) serverEnd(end positions.LSN) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.end = max(o.end, end)
}

// transaction notes one that was read.
func (o *observed) transaction(end positions.LSN, millis int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.end = max(o.end, end)
	o.totals.Fetches++
	if n := len(o.waiting); n > 0 && n >= mostWaiting {
		o.waiting[n-1].end = end
		return
	}
	o.waiting = append(o.waiting, committed{end, millis})
}

func (o *observed) acknowledged(to positions.LSN) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.durable = max(o.durable, to)
	o.waiting = slices.DeleteFunc(o.waiting, func(c committed) bool { return c.end <= to })
}

func (o *observed) lost() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.totals.Reconnects++
}

func (o *observed) fails(what string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.troubles == nil {
		o.troubles = map[string]source.Trouble{}
	}
	t, known := o.troubles[what]
	if !known {
		t.Since = time.Now()
	}
	t.Text = err.Error()
	o.troubles[what] = t
}

func (o *observed) works(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.troubles, what)
}

// Observe implements [source.Observed]. A server does not tell how many rows
// are waiting, so that the lag is a time: the age of the oldest transaction that
// was read and is not durable, the same for all tables.
func (s *Source) Observe() source.Observation {
	o := &s.seen
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := source.Observation{Memory: s.memory.Load(), Totals: o.totals, Retained: o.retained}
	age := time.Duration(0)
	if len(o.waiting) > 0 {
		age = max(time.Since(time.UnixMilli(o.waiting[0].millis)), 0)
	}
	for _, stream := range o.streams {
		seen.Lags = append(seen.Lags, source.Lag{Stream: stream, Records: -1, Age: age})
	}
	for _, t := range o.troubles {
		seen.Troubles = append(seen.Troubles, t)
	}
	if len(o.troubles) > 0 {
		seen.Unreadable = len(o.streams)
	}
	slices.SortFunc(seen.Lags, func(a, b source.Lag) int { return a.Stream.Compare(b.Stream) })
	slices.SortFunc(seen.Troubles, func(a, b source.Trouble) int { return a.Since.Compare(b.Since) })
	return seen
}
