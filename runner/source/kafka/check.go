// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Check connects to every configured broker and to every leader, and returns
// lines that say what was found: versions, the cluster, the topics with their
// partitions, and where each would be read from without a position. It writes
// nothing and waits for nothing. The error, if any, says what keeps the source
// from working; the lines hold what was found before.
//
// A source that was checked is not to be opened.
func (s *Source) Check(ctx context.Context) (lines []string, err error) {
	if s.invalid != nil {
		return nil, s.invalid
	}
	if s.opened {
		return nil, fmt.Errorf("kafka: the source is in use")
	}
	s.opened = true
	defer s.control.close()
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	security := "no TLS"
	if s.config.TLS {
		security = "TLS"
	}
	if s.config.SASLMechanism != "" {
		security += ", SASL " + s.config.SASLMechanism
	}
	var failure error
	reached := 0
	for _, address := range s.config.Brokers {
		c, err := s.dialer.open(ctx, address)
		if err != nil {
			say("broker %s: %v", address, err)
			failure = err
			continue
		}
		reached++
		say("broker %s: connected (%s), Fetch up to version %d", address, security, c.versions[kmsg.Fetch.Int16()][1])
		s.control.put(c)
	}
	if reached == 0 {
		return lines, fmt.Errorf("no broker can be reached: %w", failure)
	}
	if err := s.refreshMetadata(ctx); err != nil {
		return lines, err
	}
	say("cluster %s with %d brokers", s.table.clusterID, len(s.table.brokers))
	if err := s.settle(ctx); err != nil {
		return lines, err
	}
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	var missing []string
	names := s.config.Topics
	if s.config.Pattern != "" {
		names = slices.Sorted(maps.Keys(s.table.topics))
		say("%d topics match %s", len(names), s.config.Pattern)
	}
	for _, name := range names {
		t := s.table.topics[name]
		if t == nil {
			say("topic %s: does not exist, or this user may not see it", name)
			missing = append(missing, name)
			continue
		}
		if shard := s.shard(); shard != "" {
			say("topic %s (id %s): %d partitions in shard %s", name, topicID(t.id), len(t.partitions), shard)
		} else {
			say("topic %s (id %s): %d partitions", name, topicID(t.id), len(t.partitions))
		}
		for _, number := range slices.Sorted(maps.Keys(t.partitions)) {
			p := t.partitions[number]
			if !p.settled() {
				say("topic %s partition %d: its leader, broker %d, does not tell its offsets", name, number, p.leader)
				missing = append(missing, fmt.Sprintf("%s/%d", name, number))
				continue
			}
			say("topic %s partition %d: led by broker %d, would be read from offset %d", name, number, p.leader, p.next)
		}
	}
	if len(missing) > 0 {
		return lines, &source.Stop{Err: fmt.Errorf("cannot be read now: %s", strings.Join(missing, ", "))}
	}
	return lines, nil
}
