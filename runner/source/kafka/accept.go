// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// accept takes over what the last response brought: it moves the partitions on
// and appends what is to be decoded to parts. Partitions that got something go
// to the end of the next turn.
func (b *broker) accept(parts []part) []part {
	t := &b.s.table
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	moved := false
	b.doubt()
	for i := range b.parsed {
		f := &b.parsed[i]
		p := b.asked(i, f)
		if p == nil || p.claimedBy != b || p.next != p.claimed || !p.mayFetch(b) {
			continue // it was moved or set back meanwhile
		}
		if err := codeError(f.Code); err != nil {
			if p.replica == b.id {
				b.s.leaveReplica(p, err)
				moved = true
				continue
			}
			b.refused(p, err)
			continue
		}
		if b.s.followReplica(b, p, f) {
			moved = true
			continue
		}
		p.failures = 0
		p.endSeen(f.HighWatermark, now)
		got, err := b.advance(p, f)
		p.expect(b.s.readable(f), &got)
		if got.count > 0 || len(got.records) > 0 {
			p.pending++
			p.pendingOn = b
			parts = append(parts, got)
		}
		if err != nil {
			b.s.damage(p, p.next, f.Records[len(got.records):], err) // what came before it is decoded
			b.reconnect.Store(true)
		}
	}
	b.rotate()
	if moved {
		b.s.assign()
	}
	return parts
}

// asked returns the partition that f, the answer's part i, is about, nil if
// there is none. Brokers answer in the order in which they were asked: looking
// there first is half the time of looking it up. The table is locked.
func (b *broker) asked(i int, f *wire.Fetched) *partition {
	if i < len(b.turn) {
		if p := b.turn[i]; p.stream.Partition == f.Partition && p.topic.isOf(f) {
			return p
		}
	}
	topic := b.s.table.byID[f.TopicID]
	if f.TopicName != nil {
		topic = b.s.table.topics[string(f.TopicName)]
	}
	if topic == nil {
		return nil
	}
	return topic.partitions[f.Partition]
}

// refused sees to a partition that the broker does not let fetch.
func (b *broker) refused(p *partition, err error) {
	p.fault(err)
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange):
		p.checkRange = true
		if p.failures == 1 {
			p.retryAt = time.Time{}
		}
	case errors.Is(err, kerr.NotLeaderForPartition), errors.Is(err, kerr.FencedLeaderEpoch):
		if p.failures == 1 {
			p.retryAt = time.Time{}
		}
	}
	b.s.report(p, err, "fetching")
	b.s.kick()
}

// advance moves p beyond the whole batches in f.
func (b *broker) advance(p *partition, f *wire.Fetched) (part, error) {
	got := part{p: p, stream: p.stream, index: int(p.index), run: p.run, from: p.next, aborted: f.Aborted}
	at := 0
	for at < len(f.Records) {
		head, whole, err := wire.ReadHead(f.Records[at:])
		if err == nil && head.Bytes > b.s.maxBatch+wire.HeadBytes {
			err = fmt.Errorf("%w: %w", wire.ErrBatch, wire.TooLarge(b.s.maxBatch))
		}
		if err != nil {
			got.records = f.Records[:at:at]
			return got, err
		}
		if !whole {
			break
		}
		at += head.Bytes
		if last := head.LastOffset(); last >= p.next {
			if head.Records > 0 {
				p.next, p.nextEpoch, p.passed = last+1, head.LeaderEpoch, false
			} else {
				p.pass(last+1, head.LeaderEpoch)
			}
			got.count += int(min(head.Records, int32(head.Bytes)))
		}
	}
	got.records = f.Records[:at:at]
	return got, nil
}

// doubt forgets what was expected of the partitions that were asked for, if the
// answer had room for more. The table is locked.
func (b *broker) doubt() {
	bytes := 0
	for i := range b.parsed {
		bytes += len(b.parsed[i].Records)
	}
	if bytes >= b.s.fetchBytes/2 {
		return // who got nothing may have come too late
	}
	for _, p := range b.turn[:b.asking] {
		p.waiting = 0
	}
}

// readable returns the offset up to which a broker gives records.
func (s *Source) readable(f *wire.Fetched) int64 {
	if s.config.Isolation == "read_committed" && f.LastStable >= 0 {
		return min(f.HighWatermark, f.LastStable)
	}
	return f.HighWatermark
}

// expect notes about how much more there is of p, up to end, if it is like what
// p got.
func (p *partition) expect(end int64, got *part) {
	if advanced := p.next - got.from; advanced > 0 {
		each := float64(len(got.records)) / float64(advanced)
		p.waiting = int32(min(each*float64(max(end-p.next, 0)), maxFetchBytes))
	}
}

// rotate puts the partitions that got something behind those that did not.
func (b *broker) rotate() {
	keep, served := b.turn[:0], b.spare[:0]
	for _, p := range b.turn {
		if p.next != p.claimed {
			served = append(served, p)
		} else {
			keep = append(keep, p)
		}
	}
	b.turn, b.spare = append(keep, served...), served
}

// isOf says whether a part of an answer is of the topic, by what it is named there.
func (t *topic) isOf(f *wire.Fetched) bool {
	if f.TopicName != nil {
		return string(f.TopicName) == t.name
	}
	return f.TopicID == t.id
}
