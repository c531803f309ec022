// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/kafka"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Check implements [source.Checker].
func (s *Source) Check(ctx context.Context, position json.RawMessage) (findings []source.Finding) {
	lines, err := s.survey(ctx, position)
	for _, line := range lines {
		findings = append(findings, source.Finding{OK: true, Text: line})
	}
	if err != nil {
		findings = append(findings, source.Finding{Text: err.Error()})
	}
	return findings
}

// survey connects to every configured broker and to every leader, and returns
// lines that say what was found: versions, the cluster, the topics with their
// partitions, and where reading of each continues after a position or, where
// that is nil or does not name the partition, begins. The error, if any, says
// what keeps the source from working; the lines hold what was found before.
func (s *Source) survey(ctx context.Context, after json.RawMessage) (lines []string, err error) {
	if s.invalid != nil {
		return nil, s.invalid
	}
	if s.opened {
		return nil, fmt.Errorf("kafka: the source is in use")
	}
	s.opened = true
	defer s.control.close()
	known := positions.New()
	if after != nil {
		if known, err = positions.Parse(after); err != nil {
			return nil, fmt.Errorf("kafka: position: %w", err)
		}
	}
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	security := "no TLS"
	if s.config.TLS.Enabled {
		security = "TLS"
	}
	if s.config.SASL.Mechanism != "" {
		security += ", SASL " + s.config.SASL.Mechanism
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
	var problems []string
	names := s.config.Topics
	if s.config.Pattern != "" {
		names = slices.Sorted(maps.Keys(s.table.topics))
		say("%d topics match %s", len(names), s.config.Pattern)
	}
	for _, name := range names {
		t := s.table.topics[name]
		if t == nil {
			problems = append(problems, fmt.Sprintf("topic %s does not exist, or this user may not see it", name))
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
				problems = append(problems, fmt.Sprintf("topic %s partition %d: its leader, broker %d, does not tell its offsets", name, number, p.leader))
				continue
			}
			where := fmt.Sprintf("reading begins at offset %d", p.next)
			if topic := known.Topics[name]; topic != nil && topic.Partitions[number] != nil {
				where = fmt.Sprintf("reading continues at offset %d", topic.Partitions[number].Next)
			}
			say("topic %s partition %d: led by broker %d; %s", name, number, p.leader, where)
		}
	}
	if len(problems) > 0 {
		return lines, &source.Stop{Err: errors.New(strings.Join(problems, "; "))}
	}
	return lines, nil
}
