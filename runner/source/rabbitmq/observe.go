// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/rabbitmq"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/rabbitmq/wire"
)

// lag is how far a stream is read, and its end.
type lag struct {
	end         int64 // the offset after the last message, as far as it was told
	endKnown    bool
	read        progress
	durable     progress
	caughtUp    time.Time // when all up to the end was durable
	failure     string
	failedSince time.Time
	generation  int
}

// progress is a place in a stream with the timestamp of the message before it.
type progress struct {
	next   int64
	newest int64
}

func (l *lag) from(place positions.Stream) {
	l.read = progress{place.Next, place.At}
	l.durable, l.generation = l.read, place.Generation
}

// anew notes that the stream was made again.
func (p *part) anew(generation int) {
	p.source.mu.Lock()
	defer p.source.mu.Unlock()
	p.lag = lag{generation: generation}
}

// sentOffsets is a position that was given out, with what it stands for.
type sentOffsets struct {
	raw  json.RawMessage
	upTo map[*part]progress
}

// maxSent is how many positions may wait to be acknowledged; the others show
// as lag for a while longer.
const maxSent = 16

// consumed notes the last record that was consumed.
func (p *part) consumed(last *source.Record) {
	p.source.mu.Lock()
	defer p.source.mu.Unlock()
	p.read = progress{last.Offset + 1, last.Timestamp}
}

func (p *part) seeEnd(end int64) {
	p.source.mu.Lock()
	defer p.source.mu.Unlock()
	p.end, p.endKnown = max(p.end, end), true
	if p.durable.next >= p.end {
		p.caughtUp = time.Now()
	}
}

func (p *part) fetched(h wire.Head) {
	p.source.mu.Lock()
	defer p.source.mu.Unlock()
	p.source.totals.Fetches++
	p.source.totals.FetchedBytes += int64(h.Bytes)
}

// remember notes what a position stands for.
func (s *Streams) remember(raw json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	upTo := map[*part]progress{}
	for _, p := range s.parts {
		if p.read != p.durable {
			upTo[p] = p.read
		}
	}
	if len(s.sent) == maxSent {
		s.sent = append(s.sent[:0], s.sent[1:]...)
	}
	s.sent = append(s.sent, sentOffsets{raw, upTo})
}

// durable notes that a position is.
func (s *Streams) durable(raw json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.sent, func(p sentOffsets) bool { return bytes.Equal(p.raw, raw) })
	if at < 0 {
		return
	}
	for p, to := range s.sent[at].upTo {
		p.durable = to
		if p.endKnown && to.next >= p.end {
			p.caughtUp = time.Now()
		}
	}
	s.sent = append(s.sent[:0], s.sent[at+1:]...)
}

// Observe implements [source.Observed].
func (s *Streams) Observe() source.Observation {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := source.Observation{Totals: s.totals, Memory: s.held.Load()}
	if !s.trouble.Since.IsZero() {
		seen.Troubles = append(seen.Troubles, s.trouble)
	}
	for _, p := range s.partList() {
		seen.Lags = append(seen.Lags, p.observed(now))
		if p.failure != "" {
			seen.Unreadable++
			seen.Troubles = append(seen.Troubles, source.Trouble{Since: p.failedSince, Text: fmt.Sprintf("stream %s cannot be read: %s", p.name, p.failure)})
		}
	}
	slices.SortFunc(seen.Troubles, func(a, b source.Trouble) int { return a.Since.Compare(b.Since) })
	return seen
}

func (p *part) observed(now time.Time) source.Lag {
	l := source.Lag{Stream: source.Stream{Name: p.name, Generation: p.generation}, Records: -1, Age: -1}
	if !p.endKnown {
		return l
	}
	if l.Records = max(p.end-p.durable.next, 0); l.Records == 0 {
		l.Age = 0
		return l
	}
	since := time.UnixMilli(p.durable.newest)
	if p.durable.newest == 0 || p.caughtUp.After(since) {
		since = p.caughtUp
	}
	if !since.IsZero() {
		l.Age = max(now.Sub(since), 0)
	}
	return l
}
