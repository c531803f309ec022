// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// shard names the share of the partitions that is read, "" for all.
func (s *Source) shard() string {
	if s.config.Shard.All() {
		return ""
	}
	return s.config.Shard.String()
}

// checkShard compares the shard with that of the position, and applies the
// policy if it is another: some partitions would be read by two spouts and
// others by none.
func (s *Source) checkShard() error {
	was, is := s.position.Shard, s.shard()
	if was == is {
		return nil
	}
	name := func(shard string) string {
		if shard == "" {
			return "all partitions"
		}
		return "shard " + shard + " of the partitions"
	}
	if s.config.OnShardChanged != "continue" {
		return stopf("what was read so far is %s, and SPOUT_KAFKA_SHARD now calls for %s: records would be read by two spouts or by none. Set SPOUT_KAFKA_SHARD back to %q. Or stop all spouts of these topics, set SPOUT_KAFKA_START_OFFSETS of all to the offsets up to which they have read, and SPOUT_KAFKA_ON_SHARD_CHANGED=continue",
			name(was), name(is), was)
	}
	s.log.Warn("continuing with another shard", "was", name(was), "is", name(is))
	s.resharded = true
	for topic, known := range s.position.Topics {
		maps.DeleteFunc(known.Partitions, func(partition int32, _ *mark) bool { return !s.config.Shard.Owns(topic, partition) })
	}
	return nil
}

// mayBegin says whether SPOUT_KAFKA_START_OFFSETS is about this topic, and not
// about one that bore its name before.
func (s *Source) mayBegin(t *topic) bool {
	if t.generation == 0 {
		return true
	}
	if !s.resharded || s.running != nil {
		return false
	}
	known := s.position.Topics[t.name]
	return known != nil && known.Generation == t.generation
}

// checkStarts says whether a topic's partitions begin where they should: those
// whose start is set exist, and those that another shard had have one. The
// topic has so many partitions in all shards.
func (s *Source) checkStarts(t *topic, partitions int) error {
	var unknown, open []string
	for number := range s.config.StartOffsets[t.name] {
		if int(number) >= partitions {
			unknown = append(unknown, fmt.Sprint(number))
		}
	}
	if len(unknown) > 0 && (!t.known || s.resharded) {
		slices.Sort(unknown)
		return stopf("SPOUT_KAFKA_START_OFFSETS has the partition %s of topic %s, which has the partitions 0 to %d; take it out",
			strings.Join(unknown, ", "), t.name, partitions-1)
	}
	if known := s.position.Topics[t.name]; !s.resharded || known != nil && known.Generation != t.generation {
		return nil // one that was made again begins anew for every shard
	}
	for _, number := range slices.Sorted(maps.Keys(t.partitions)) {
		if t.partitions[number].state == stateStart {
			open = append(open, fmt.Sprint(number))
		}
	}
	if len(open) > 0 {
		return stopf("SPOUT_KAFKA_SHARD has changed, and of topic %s the partitions %s are new to this spout: SPOUT_KAFKA_START_OFFSETS must say up to where the spouts that had them have read, or 0 if they were never read",
			t.name, strings.Join(open, ", "))
	}
	return nil
}
