// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
)

// Records reads those of a file; see [encode.ReadFile].
func Records(layout settings.Layout, path string, content []byte) ([]Entry, error) {
	records, err := encode.ReadFile(layout, path, content)
	entries := make([]Entry, len(records))
	for i, r := range records {
		entries[i] = Entry{Stream: r.Stream, Offset: r.Offset, Value: r.Value}
		if r.Refused {
			entries[i].Fate = DeadLettered
		}
	}
	return entries, err
}
