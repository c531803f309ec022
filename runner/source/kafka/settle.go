// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

var errNoLeader = errors.New("it has no leader now")

// question is a partition that the supervisor asks its leader about, as the
// table had it when the asking began.
type question struct {
	p           *partition
	state       state
	leaderEpoch int32
	next        int64
	nextEpoch   int32
	checkRange  bool
	diverged    int64 // where the log went another way than what was read, -1 if it did not
	start, end  int64 // of the log
}

// settle finds out, for all partitions that are due, where they begin or
// whether they can be read on. The error is a Stop, or ctx's.
func (s *Source) settle(ctx context.Context) error {
	t := &s.table
	byAddress := map[string][]*question{}
	now := time.Now()
	t.mu.Lock()
	t.each(func(p *partition) {
		if p.settled() || p.retryAt.After(now) {
			return
		}
		b := t.brokers[p.leader]
		if b == nil || p.topic.missing {
			p.fault(errNoLeader)
			return
		}
		byAddress[b.address] = append(byAddress[b.address], &question{p: p, state: p.state, leaderEpoch: p.leaderEpoch,
			next: p.next, nextEpoch: p.nextEpoch, checkRange: p.checkRange, diverged: -1})
	})
	t.mu.Unlock()
	var wait sync.WaitGroup
	var mu sync.Mutex
	var stop error
	for address, questions := range byAddress {
		wait.Go(func() {
			if err := s.settleAt(ctx, address, questions); source.IsStop(err) {
				mu.Lock()
				stop = err
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if stop != nil {
		return stop
	}
	return ctx.Err()
}

// settleAt settles partitions of one leader.
func (s *Source) settleAt(ctx context.Context, address string, questions []*question) error {
	var starts, checks, ranges []*question
	for _, q := range questions {
		switch {
		case q.state == stateStart:
			starts = append(starts, q)
		case q.nextEpoch >= 0:
			checks = append(checks, q)
		case q.checkRange:
			ranges = append(ranges, q)
		default:
			s.settled(q)
		}
	}
	if len(starts) > 0 {
		s.resolveStarts(ctx, address, starts)
	}
	if len(checks) > 0 {
		for _, q := range s.compareEpochs(ctx, address, checks) {
			if q.checkRange || q.diverged >= 0 {
				ranges = append(ranges, q)
			} else {
				s.settled(q)
			}
		}
	}
	if len(ranges) == 0 {
		return nil
	}
	at := func(time int64) func(*question) int64 { return func(*question) int64 { return time } }
	ranges = s.listOffsets(ctx, address, ranges, at(startEarliest), false, func(q *question, offset int64) { q.start = offset })
	if len(ranges) > 0 {
		ranges = s.listOffsets(ctx, address, ranges, at(startLatest), false, func(q *question, offset int64) { q.end = offset })
	}
	for _, q := range ranges {
		if err := s.checkRange(q); err != nil {
			return err
		}
	}
	return nil
}

// changed says whether the table's partition is no longer what was asked
// about. Then the answer is of no use.
func (q *question) changed() bool {
	return q.p.state != q.state || q.p.next != q.next || q.p.leaderEpoch != q.leaderEpoch
}

// settled gives a partition to its leader's fetch loop.
func (s *Source) settled(q *question) {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	if q.changed() {
		return
	}
	q.p.state, q.p.checkRange, q.p.given = stateFetch, false, false
	s.wakeReader(q.p)
}

// wakeReader tells the fetch loop of the broker that a partition is read from
// that there is something to do.
func (s *Source) wakeReader(p *partition) {
	if b := s.table.brokers[p.reader()]; b != nil && s.running != nil {
		b.wakeUp()
	}
}

// failed notes that asking about a partition failed.
func (s *Source) failed(q *question, err error, doing string) {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	q.p.fault(err)
	if !errors.Is(err, context.Canceled) {
		s.report(q.p, err, doing)
	}
}

// configuredStart returns the timestamp that asks a broker for the configured
// start.
func (s *Source) configuredStart() int64 {
	if at, ok := s.config.StartTime(); ok {
		return at.UnixMilli()
	}
	if s.config.Start == "latest" {
		return startLatest
	}
	return startEarliest
}

// resolveStarts finds out where partitions begin.
func (s *Source) resolveStarts(ctx context.Context, address string, questions []*question) {
	var none []*question
	begin := func(q *question, offset int64) {
		s.table.mu.Lock()
		defer s.table.mu.Unlock()
		p := q.p
		if q.changed() {
			return
		}
		p.setPlace(mark{Next: p.begin(), Epoch: -1})
		p.pass(offset, -1)
		p.state, p.begun = stateAnnounce, true
		p.consumed.Store(offset)
		p.highWatermark.Store(offset)
	}
	committed := s.config.Isolation == "read_committed"
	found := s.listOffsets(ctx, address, questions, func(q *question) int64 { return q.p.startTime }, committed,
		func(q *question, offset int64) { q.start = offset })
	for _, q := range found {
		if q.start < 0 { // no record is as late as the start time
			none = append(none, q)
		} else {
			begin(q, q.start)
		}
	}
	if len(none) > 0 {
		end := func(*question) int64 { return startLatest }
		for _, q := range s.listOffsets(ctx, address, none, end, committed, func(q *question, offset int64) { q.start = offset }) {
			begin(q, q.start)
		}
	}
}
