// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/json"

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
			out[source.Stream{Topic: name, Partition: partition, Generation: t.Generation}] = m.next
		}
	}
	return out, nil
}
