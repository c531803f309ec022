// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

var _ source.Observed = (*Source)(nil)

// Observe implements [source.Observed].
func (s *Source) Observe() source.Observation {
	stats, now := s.Stats(), time.Now()
	seen := source.Observation{Memory: stats.Memory, Troubles: s.troubles.list(), Totals: source.Totals{
		Fetches: stats.Fetches, FetchedBytes: stats.Bytes, Reconnects: stats.Reconnects, LeaderChanges: s.counters.moves.Load(),
		Skipped: stats.Skipped, Damaged: stats.Damaged}}
	var worst *partition
	s.table.mu.Lock()
	s.table.each(func(p *partition) {
		if p.topic.missing && s.config.Pattern != "" {
			return // it no longer matches
		}
		records, age := p.lag(now)
		seen.Lags = append(seen.Lags, source.Lag{Stream: p.stream, Records: records, Age: age})
		if p.failures == 0 && p.leader >= 0 && !p.topic.missing {
			return
		}
		seen.Unreadable++
		if p.failures > 0 && p.failure != nil && (worst == nil || p.failedSince.Before(worst.failedSince)) {
			worst = p
		}
	})
	if worst != nil {
		seen.Troubles = append(seen.Troubles, source.Trouble{Since: worst.failedSince, Text: fmt.Sprintf("%d partitions cannot be read, for example topic %s partition %d: %v",
			seen.Unreadable, worst.stream.Name, worst.stream.Partition, worst.failure)})
	}
	s.table.mu.Unlock()
	slices.SortFunc(seen.Lags, func(a, b source.Lag) int { return a.Stream.Compare(b.Stream) })
	slices.SortFunc(seen.Troubles, func(a, b source.Trouble) int { return a.Since.Compare(b.Since) })
	return seen
}

// progress is how far a partition's records were consumed, and how far what
// was consumed is durable. The offsets alone do not tell: behind the last
// record there may be markers, which no commit is made for.
type progress struct {
	records int64 // rises with each that is consumed
	newest  int64 // timestamp of the newest of them, in ms
}

// took notes records that were consumed.
func (p *partition) took(records []source.Record) {
	if len(records) == 0 {
		return
	}
	if p.oldest == 0 {
		p.oldest = records[0].Timestamp
	}
	p.consumedSoFar.records += int64(len(records))
	p.consumedSoFar.newest = records[len(records)-1].Timestamp
}

// lag returns how many offsets and how much time the end of the partition is
// ahead of what is durable; both are negative if they are not known.
func (p *partition) lag(now time.Time) (records int64, age time.Duration) {
	if !p.endKnown {
		return -1, -1
	}
	if records = p.behind(); records == 0 {
		return 0, 0
	}
	var since time.Time
	switch {
	case p.durableSoFar.newest != 0:
		since = time.UnixMilli(p.durableSoFar.newest)
	case p.oldest != 0:
		since = time.UnixMilli(p.oldest)
	}
	if p.caughtUp.After(since) {
		since = p.caughtUp // what is not durable has come later than this
	}
	if since.IsZero() {
		return records, -1
	}
	return records, max(now.Sub(since), 0)
}

// behind returns how many offsets the end of the log is ahead of what is durable.
func (p *partition) behind() int64 {
	from := p.durableNext
	if p.consumedSoFar.records == p.durableSoFar.records {
		from = p.consumed.Load() // only markers were passed since
	}
	return max(p.highWatermark.Load()-from, 0)
}

// endSeen notes the end of the log, and whether all up to there is durable.
func (p *partition) endSeen(end int64, now time.Time) {
	p.highWatermark.Store(end)
	p.endKnown = true
	if p.behind() == 0 {
		p.caughtUp = now
	}
}

// sentPosition is a position that was given out, with what had been consumed.
type sentPosition struct {
	raw  json.RawMessage
	upTo map[*partition]sentProgress
}

type sentProgress struct {
	next int64
	progress
}

// maxSent is how many positions may wait to be acknowledged; the others show
// as lag for a while longer.
const maxSent = 16

// sent remembers what a position stands for.
func (t *table) sent(raw json.RawMessage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	upTo := map[*partition]sentProgress{}
	t.each(func(p *partition) {
		if p.consumedSoFar.records != p.durableSoFar.records {
			upTo[p] = sentProgress{p.consumed.Load(), p.consumedSoFar}
		}
	})
	if len(t.positions) == maxSent {
		t.positions = append(t.positions[:0], t.positions[1:]...)
	}
	t.positions = append(t.positions, sentPosition{raw, upTo})
}

// durable notes that a position is.
func (t *table) durable(raw json.RawMessage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.IndexFunc(t.positions, func(p sentPosition) bool { return bytes.Equal(p.raw, raw) })
	if at < 0 {
		return
	}
	now := time.Now()
	for p, to := range t.positions[at].upTo {
		p.durableNext, p.durableSoFar = to.next, to.progress
		if p.endKnown && p.behind() == 0 {
			p.caughtUp = now
		}
	}
	t.positions = append(t.positions[:0], t.positions[at+1:]...)
}

// troubles are what keeps failing, by cause.
type troubles struct {
	mu      sync.Mutex
	byCause map[string]source.Trouble
}

// note tells of a failure of something that failed just before, or did not.
func (t *troubles) note(cause, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byCause == nil {
		t.byCause = map[string]source.Trouble{}
	}
	trouble, known := t.byCause[cause]
	if !known {
		trouble.Since = time.Now()
	}
	trouble.Text = fmt.Sprintf(format, args...)
	t.byCause[cause] = trouble
}

// over tells that something works.
func (t *troubles) over(cause string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byCause, cause)
}

func (t *troubles) list() (list []source.Trouble) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, trouble := range t.byCause {
		list = append(list, trouble)
	}
	return list
}
