// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"errors"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
)

// LastCommit returns the newest commit of a branch that is FINISHED, counts
// and carries a position, with its description; nil if there is none. What
// the branch holds is what that position says.
func LastCommit(ctx context.Context, branch *pachyderm.Branch) (last *pachyderm.Commit, d spoutcommit.Description, err error) {
	head, err := branch.Head(ctx)
	if err != nil || head == nil {
		return nil, d, err
	}
	var problem error
	err = branch.Ancestry(ctx, head.ID, func(c *pachyderm.Commit) bool {
		if c.Finished.IsZero() || c.Error != "" {
			return true
		}
		description, ours, err := spoutcommit.ParseDescription(c.Description)
		if err != nil {
			problem = err
			return false
		}
		if ours && description.Position != nil {
			last, d = c, description
		}
		return last == nil
	})
	return last, d, errors.Join(err, problem)
}
