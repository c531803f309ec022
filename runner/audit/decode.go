// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
)

// DecoderOf returns what reads the files of a source; see [encode.ReadFile].
func DecoderOf(source string) Decoder {
	var s settings.Settings
	s.Source = source
	layout := s.Layout()
	return func(path string, content []byte) ([]Entry, error) {
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
}
