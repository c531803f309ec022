// SPDX-License-Identifier: Apache-2.0

package spoutcommit

import (
	"encoding/json"
	"fmt"
)

// SourceKafka is the source whose positions have offsets.
const SourceKafka = "kafka"

// Offsets are the next offsets to be read, by topic and partition.
type Offsets map[string]map[string]int64

// Offsets returns what the position says per topic and partition: all records
// before those offsets are in the commit or its ancestors. It is nil for
// sources whose positions are something else, and for commits without one.
func (d Description) Offsets() (Offsets, error) {
	if d.Source != SourceKafka || d.Position == nil {
		return nil, nil
	}
	var position struct {
		Topics map[string]struct {
			Partitions map[string][]int64 `json:"partitions"` // next offset, leader epoch
		} `json:"topics"`
	}
	if err := json.Unmarshal(d.Position, &position); err != nil {
		return nil, fmt.Errorf("the position %.40q… is damaged: %w", d.Position, err)
	}
	offsets := Offsets{}
	for topic, t := range position.Topics {
		offsets[topic] = map[string]int64{}
		for partition, mark := range t.Partitions {
			if len(mark) == 0 {
				return nil, fmt.Errorf("the position of topic %s, partition %s, is damaged", topic, partition)
			}
			offsets[topic][partition] = mark[0]
		}
	}
	return offsets, nil
}
