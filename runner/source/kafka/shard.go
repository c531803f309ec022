// SPDX-License-Identifier: Apache-2.0

package kafka

// shard names the share of the partitions that is read, "" for all.
func (s *Source) shard() string {
	if s.config.Shard.All() {
		return ""
	}
	return s.config.Shard.String()
}

// checkShard compares the shard with that of the position: with another one,
// some partitions would be read by two spouts and others by none.
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
	return stopf("what was read so far is %s, and SPOUT_KAFKA_SHARD now calls for %s: records would be read by two spouts or by none. Set SPOUT_KAFKA_SHARD back to %q, or begin anew with another spout or output branch",
		name(was), name(is), was)
}
