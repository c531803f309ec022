// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
)

// Records reads those of a file; see [encode.ReadFile].
func Records(layout settings.Layout, path string, content []byte) ([]Entry, error) {
	records, err := encode.ReadFile(layout, path, content)
	return entriesOf(records), err //nolint:wrapcheck // it says what is wrong
}

// RecordsOf is Records of a file that was written with those settings.
func RecordsOf(s settings.Settings, path string, content []byte) ([]Entry, error) {
	records, err := encode.ReadFileOf(s, path, content)
	return entriesOf(records), err //nolint:wrapcheck // it says what is wrong
}

func entriesOf(records []encode.Read) []Entry {
	entries := make([]Entry, len(records))
	for i, r := range records {
		entries[i] = Entry{Stream: r.Stream, Offset: r.Offset, Value: r.Value}
		if r.Refused {
			entries[i].Fate = DeadLettered
		}
	}
	return entries
}
