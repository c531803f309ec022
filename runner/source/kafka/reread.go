// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/json"
	"fmt"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/kafka"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Reread is a [source.Reread]: it reads the topics from a position on as they
// were read, with the shard of then.
func Reread(s settings.Settings, position json.RawMessage, topics []string, o source.Options) (source.Source, error) {
	shard, err := shardOf(position)
	if err != nil {
		return nil, err
	}
	config := s.Kafka
	config.Topics, config.Pattern = topics, ""
	config.Start, config.OnOutOfRange = "earliest", "earliest" // what is gone is told by a gap
	config.GroupID = ""                                        // whose offsets are the spout's to publish
	config.Shard, config.StartOffsets = shard, nil
	return New(config, o.Memory, o.Log), nil
}

// shardOf reads from a position which shard of the partitions it is about.
func shardOf(raw json.RawMessage) (settings.Shard, error) {
	p, err := positions.Parse(raw)
	if err != nil || p.Shard == "" {
		return settings.Shard{}, err
	}
	shard, err := settings.ParseShard(p.Shard)
	if err != nil {
		return shard, fmt.Errorf("its shard %q %w", p.Shard, err)
	}
	return shard, nil
}
