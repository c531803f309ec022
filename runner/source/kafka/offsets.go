// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/json"
	"fmt"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Offsets reads a position as Position renders it: the next offset of each
// partition.
func Offsets(raw json.RawMessage) (map[source.Stream]int64, error) {
	p, err := parsePosition(raw)
	if err != nil {
		return nil, err
	}
	out := map[source.Stream]int64{}
	for name, t := range p.Topics {
		for partition, m := range t.Partitions {
			out[source.Stream{Name: name, Partition: partition, Generation: t.Generation}] = m.next
		}
	}
	return out, nil
}

// ShardOf reads from a position which shard of the partitions it is about.
func ShardOf(raw json.RawMessage) (settings.Shard, error) {
	p, err := parsePosition(raw)
	if err != nil || p.Shard == "" {
		return settings.Shard{}, err
	}
	shard, err := settings.ParseShard(p.Shard)
	if err != nil {
		return shard, fmt.Errorf("its shard %q %w", p.Shard, err)
	}
	return shard, nil
}
