// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"encoding/json"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/position"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// OffsetsOf returns what reads the positions of a source: the next offset of
// each stream.
func OffsetsOf(name string) func(json.RawMessage) (map[source.Stream]int64, error) {
	return func(raw json.RawMessage) (map[source.Stream]int64, error) {
		view, err := position.Parse(name, raw)
		if err != nil {
			return nil, err
		}
		offsets := make(map[source.Stream]int64, len(view.Marks))
		for _, m := range view.Marks {
			offsets[source.Stream{Name: m.Stream, Partition: m.Partition, Generation: m.Generation}] = m.Next
		}
		return offsets, nil
	}
}
