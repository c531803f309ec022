// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

const (
	// refreshSpacing is the least time between two metadata requests.
	refreshSpacing = 50 * time.Millisecond
	// checkPatience is how long Open waits for topics that the position knows
	// and that are missing, and for their partitions that cannot be settled
	// now, as when they have no leader.
	checkPatience = 10 * time.Second
)

// prepare asks for metadata and offsets until it is known where to begin. It
// runs before the source's goroutines do.
func (s *Source) prepare(ctx context.Context) error {
	s.seed()
	impatient := time.Now().Add(s.patience)
	for failures := 1; ; failures++ {
		err := s.refreshMetadata(ctx)
		if err == nil {
			err = s.settle(ctx)
		}
		switch {
		case source.IsStop(err):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			s.troubles.note("metadata", "cannot reach Kafka at %s: %v", strings.Join(s.config.Brokers, ", "), err)
			s.complain.trouble(ctx, "metadata", err, "cannot reach Kafka; trying again", "brokers", s.config.Brokers)
		default:
			s.troubles.over("metadata")
			if s.prepared(time.Now().After(impatient) && !s.resharded) {
				s.notePosition()
				return nil
			}
		}
		if err := sleep(ctx, delayAfter(failures, err)); err != nil {
			return err
		}
	}
}

// prepared says whether every topic exists, the start of every partition is
// known and every position was checked. Topics that the position knows do not
// count once there is no more patience, so that they do not hold up others.
func (s *Source) prepared(impatient bool) bool {
	t := &s.table
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range s.config.Topics {
		if topic := t.topics[name]; topic == nil || (topic.missing || !topic.found) && !(topic.known && impatient) {
			return false
		}
	}
	ready := true
	t.each(func(p *partition) {
		gone := p.topic.missing && s.config.Pattern != "" // all others were told
		ready = ready && (p.settled() || p.topic.known && (impatient || gone))
	})
	return ready
}

// notePosition makes the first position out of the table.
func (s *Source) notePosition() {
	t := &s.table
	t.mu.Lock()
	defer t.mu.Unlock()
	s.position.Cluster = t.clusterID
	if len(t.topics) == 0 {
		s.log.Warn("no topic matches the pattern, or this user may describe none that does; waiting for one", "pattern", s.config.Pattern)
	}
	for name, topic := range t.topics {
		known := s.position.Topics[name]
		if known == nil || known.Generation != topic.generation {
			known = &topicPosition{Generation: topic.generation, Partitions: map[int32]*mark{}}
			s.position.Topics[name] = known
		}
		if id := topicID(topic.id); id != "" {
			known.ID = id
		}
		var later []int32
		for number, p := range topic.partitions {
			if !p.settled() {
				later = append(later, number)
			} else if _, ok := known.Partitions[number]; !ok {
				at := p.place()
				known.Partitions[number] = &at
				if p.gap != nil { // which has to be announced
					known.Partitions[number] = &mark{Next: p.gap.From, Epoch: -1}
					continue
				}
				p.consumed.Store(p.next)
				p.state = stateFetch // the position tells; no need to announce
			}
		}
		if topic.missing || !topic.found {
			s.log.Warn("topic is missing; continuing without it until it is back", "topic", name)
			continue
		}
		if len(later) > 0 {
			slices.Sort(later)
			s.log.Warn("partitions cannot be read now; continuing without them until they can", "topic", name, "partitions", later)
		}
		if len(topic.partitions) == 0 {
			s.log.Warn("this shard has no partition of the topic", "topic", name, "shard", s.config.Shard)
		}
		s.log.Info("reading topic", "topic", name, "topic_id", topicID(topic.id), "partitions", len(topic.partitions), "shard", s.shard(), "cluster", t.clusterID)
	}
}

// supervise keeps the table in accord with the cluster until ctx ends.
func (s *Source) supervise(ctx context.Context) error {
	s.table.mu.Lock()
	s.assign()
	s.table.mu.Unlock()
	refreshed := time.Now()
	failures := 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := s.announce(ctx); err != nil {
			return err
		}
		due := refreshed.Add(jitter(s.config.MetadataInterval.Std()))
		if at, ok := s.unsettled(); ok && at.Before(due) {
			due = at
		}
		if soonest := refreshed.Add(refreshSpacing); due.Before(soonest) {
			due = soonest
		}
		if failures > 0 {
			due = refreshed.Add(delayAfter(failures, nil))
		}
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.kicked:
			continue
		case <-timer.C:
		}
		s.table.mu.Lock()
		s.table.refresh = false
		s.table.mu.Unlock()
		err := s.refreshMetadata(ctx)
		if err == nil {
			err = s.settle(ctx)
		}
		refreshed = time.Now()
		switch {
		case source.IsStop(err):
			s.fail(err)
			return err
		case err != nil:
			failures++
			s.troubles.note("metadata", "cannot ask Kafka at %s for metadata: %v", strings.Join(s.config.Brokers, ", "), err)
			s.complain.trouble(ctx, "metadata", err, "cannot ask Kafka for metadata; trying again", "brokers", s.config.Brokers)
		default:
			failures = 0
			s.troubles.over("metadata")
		}
	}
}

// unsettled returns when the next partition needs to be seen to, if one does.
func (s *Source) unsettled() (at time.Time, ok bool) {
	t := &s.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refresh {
		return time.Time{}, true
	}
	t.each(func(p *partition) {
		if p.settled() || p.topic.missing && s.config.Pattern != "" {
			return
		}
		retry := p.retryAt
		if p.leader < 0 && retry.IsZero() {
			retry = time.Now().Add(lastDelay / 4)
		}
		if !ok || retry.Before(at) {
			at, ok = retry, true
		}
	})
	return at, ok
}

// wantMetadata makes the supervisor ask for metadata soon.
func (s *Source) wantMetadata() {
	s.table.mu.Lock()
	s.table.refresh = true
	s.table.mu.Unlock()
	s.kick()
}

// announce hands out chunks that tell where partitions go on.
func (s *Source) announce(ctx context.Context) error {
	t := &s.table
	var ready []*partition
	t.mu.Lock()
	t.each(func(p *partition) {
		if p.state == stateAnnounce && p.drained() {
			ready = append(ready, p)
		}
	})
	t.mu.Unlock()
	for _, p := range ready {
		chunk := p.chunk(nil)
		chunk.Next, chunk.Epoch, chunk.Gap = p.next, p.nextEpoch, p.gap
		if err := s.push(ctx, chunk); err != nil {
			return err
		}
		t.mu.Lock()
		p.gap, p.state, p.topic.former = nil, stateFetch, nil // they are drained
		b := t.brokers[p.reader()]
		t.mu.Unlock()
		if b != nil {
			b.wakeUp()
		}
	}
	return nil
}

// report logs that a partition cannot be read now.
func (s *Source) report(p *partition, err error, doing string) {
	level := hclog.Debug
	if p.failures > 2 {
		level = hclog.Warn
	}
	if isDenied(err) {
		level = hclog.Error
	}
	if level == hclog.Debug {
		s.log.Debug("partition cannot be read now; asking for metadata", "topic", p.stream.Name, "partition", p.stream.Partition, "doing", doing, "error", err)
		return
	}
	s.complain.about("partition "+p.stream.Name+err.Error(), level, "partition cannot be read now; trying again",
		"topic", p.stream.Name, "partition", p.stream.Partition, "doing", doing, "error", err, "fix", remedy(err))
}
