// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"fmt"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
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

// InCommit reads the records of all files of a commit, in the order of the paths.
func InCommit(ctx context.Context, branch *pachyderm.Branch, commit string, layout settings.Layout) ([]Entry, error) {
	files, err := branch.Files(ctx, commit)
	if err != nil {
		return nil, err
	}
	var all []Entry
	for _, file := range files {
		content, err := branch.ReadFile(ctx, commit, file.Path)
		if err != nil {
			return nil, err
		}
		entries, err := Records(layout, file.Path, content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Path, err)
		}
		all = append(all, entries...)
	}
	return all, nil
}
