// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"context"
	"encoding/json"

	"github.com/pachyderm/pachyderm/v2/src/pfs"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
)

// model is what a runner may do to a branch, whatever it believes. Each write
// is held against it when the server does it:
//
//	start     nothing else: the server lets nobody start while the head is open
//	add       only to a commit of one's own
//	finish    one's own, on a parent that is FINISHED, with a position that is
//	          as many records beyond the one before as the commit says it read,
//	          and with an epoch that is not older
//	          one of Pachyderm's own, without saying anything
//	roll back an open commit
type model struct {
	branch *pachyderm.Branch // as nobody disturbs it
	owners map[string]string // of commits, by id
	parse  func(json.RawMessage) (offsets, error)
}

// refuses returns what is wrong with a write that the server is about to do,
// "" if nothing is.
func (m *model) refuses(e *event) string {
	switch request := e.requests[0].(type) {
	case *pfs.AddFileSetRequest:
		if owner := m.owners[request.Commit.ID]; owner != e.link.owner {
			return "adds files to a commit of " + owner
		}
	case *pfs.FinishCommitRequest:
		c, err := m.branch.Inspect(context.Background(), request.Commit.ID)
		if err != nil || !c.Open() || request.Error != "" {
			return ""
		}
		return m.refusesFinish(e.link.owner, c, request.Description)
	}
	return ""
}

func (m *model) refusesFinish(writer string, c *pachyderm.Commit, text string) string {
	if c.Auto {
		if text != "" {
			return "describes a commit of Pachyderm's own"
		}
		return ""
	}
	if owner := m.owners[c.ID]; owner != writer {
		return "finishes a commit of " + owner
	}
	d, ours, err := spoutcommit.ParseDescription(text)
	if err != nil || !ours || d.Position == nil {
		return "finishes a commit without a position"
	}
	to, err := m.parse(d.Position)
	if err != nil {
		return err.Error()
	}
	from, epoch, problem := m.below(c)
	if problem != "" {
		return problem
	}
	for p, next := range to {
		if next < from[p] {
			return "I2: goes back"
		}
	}
	switch {
	case from.between(to) != d.Read || d.Read != d.Written+d.Filtered+d.DeadLettered:
		return "I1: does not hold what is between its parent's position and its own"
	case d.Epoch < epoch:
		return "I4: has an older epoch than the commit below"
	}
	return ""
}

// below returns the position and the epoch that a commit stands on.
func (m *model) below(c *pachyderm.Commit) (at offsets, epoch int64, problem string) {
	at = offsets{}
	err := m.branch.Ancestry(context.Background(), c.ID, func(ancestor *pachyderm.Commit) bool {
		switch {
		case ancestor.ID == c.ID:
			return true
		case ancestor.ID == c.ParentID && ancestor.Finished.IsZero():
			problem = "stands on a commit that is not FINISHED"
			return false
		case ancestor.Error != "":
			return true
		}
		d, ours, err := spoutcommit.ParseDescription(ancestor.Description)
		if err != nil || !ours || d.Position == nil {
			return true
		}
		epoch = d.Epoch
		if at, err = m.parse(d.Position); err != nil {
			problem = err.Error()
		}
		return false
	})
	if err != nil {
		problem = err.Error()
	}
	return at, epoch, problem
}

// did notes a write that the server has done.
func (m *model) did(e *event) {
	if _, ok := e.requests[0].(*pfs.StartCommitRequest); ok && len(e.replies) == 1 {
		m.owners[e.replies[0].(*pfs.Commit).ID] = e.link.owner
	}
}
