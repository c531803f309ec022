// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"encoding/json"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Reread is a [source.Reread]: it reads the stream from a position on as it was
// read. Nothing of a queue is there to be read again.
func Reread(s settings.Settings, _ json.RawMessage, _ []string, o source.Options) (source.Source, error) {
	config := s.NATS
	if config.Acknowledges() {
		return nil, stopf("what was acknowledged of a stream with the retention policy %s is not kept, and cannot be compared", config.Retention)
	}
	config.Start, config.OnGap = "earliest", "skip" // what is gone is told by a gap
	return New(config, o.Memory, o.Log), nil
}
