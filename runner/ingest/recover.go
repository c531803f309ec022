// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// recovered is where a session begins.
type recovered struct {
	head     string          // the commit that the next one's parent must be; "" if there is none
	position json.RawMessage // nil if the branch holds none yet
}

// recover makes the branch ready to be written and finds the position in it.
func (in *Ingester) recover(ctx context.Context) (recovered, error) {
	head, err := in.closedHead(ctx)
	if err != nil {
		return recovered{}, err
	}
	if head == nil {
		return recovered{}, in.claim(spoutcommit.Description{})
	}
	last, err := in.lastPosition(ctx, head.ID)
	if err != nil {
		return recovered{}, err
	}
	if err := in.claim(last.newest); err != nil {
		return recovered{}, err
	}
	if last.commit == nil {
		return recovered{head: head.ID}, nil
	}
	if was := last.description.Source; was != in.Settings.Source {
		return recovered{}, &source.Stop{Err: fmt.Errorf("commit %s of %s holds a position of the source %s, but SPOUT_SOURCE is %s; use another output branch or another spout",
			last.commit.ID, in.Branch, was, in.Settings.Source)}
	}
	from := recovered{head: head.ID, position: last.description.Position}
	if last.emptied {
		from.head, err = in.restore(ctx, head.ID, last)
	}
	return from, err
}

// closedHead returns the branch's head once it is FINISHED. An open one of
// another writer is rolled back; an open one of Pachyderm's own, which 2.8 and
// newer leave after a start, is finished, since nobody else would.
func (in *Ingester) closedHead(ctx context.Context) (*pachyderm.Commit, error) {
	head, err := call(ctx, in.Branch.Head)
	if err != nil || head == nil {
		return nil, err
	}
	if head.Open() {
		if err := in.closeHead(ctx, head); err != nil && !pachyderm.IsCommitFinished(err) {
			return nil, err
		}
	}
	in.status.set("waiting until commit %s is finished", head.ID)
	return in.Branch.WaitFinished(ctx, head.ID)
}

func (in *Ingester) closeHead(ctx context.Context, head *pachyderm.Commit) error {
	if head.Auto {
		in.Log.Info("finishing the open commit that Pachyderm left", "commit", head.ID)
		return do(ctx, func(ctx context.Context) error { return in.Branch.Finish(ctx, head.ID, "") })
	}
	d, _, err := spoutcommit.ParseDescription(head.Description)
	if err != nil {
		return err
	}
	if err := in.supersededBy(d); err != nil {
		return err
	}
	in.Log.Info("rolling back the open commit of another writer", "commit", head.ID, "writer", d.Writer)
	in.Metrics.rollbacks.Inc()
	return do(ctx, func(ctx context.Context) error {
		return in.Branch.RollBack(ctx, head.ID, "superseded by "+in.Writer)
	})
}

// lastPosition is what the history of the branch says.
type lastPosition struct {
	commit      *pachyderm.Commit       // the newest one that counts and carries a position; nil if none does
	description spoutcommit.Description // of that commit
	newest      spoutcommit.Description // of the newest writer since then, in commits that were rolled back too
	emptied     bool                    // the head has lost the files of commit
}

// lastPosition walks from the head back to the newest commit that counts.
func (in *Ingester) lastPosition(ctx context.Context, head string) (last lastPosition, err error) {
	var problem error
	restarted := false
	err = in.Branch.Ancestry(ctx, head, func(c *pachyderm.Commit) bool {
		d, ours, err := spoutcommit.ParseDescription(c.Description)
		if err != nil {
			problem = fmt.Errorf("commit %s of %s: %w", c.ID, in.Branch, err)
			return false
		}
		if ours && d.NewerThan(last.newest) {
			last.newest = d
		}
		if c.Error == "" && ours && d.Position != nil {
			last.commit, last.description = c, d
			return false
		}
		restarted = restarted || c.Auto && c.Error == ""
		return true
	})
	if err == nil {
		err = problem
	}
	if err != nil || last.commit == nil || !restarted {
		return last, err
	}
	// Only a commit of Pachyderm's own can have emptied the head: 2.0 to 2.7
	// make such a one when a stopped spout is started.
	last.emptied, err = in.Branch.IsEmpty(ctx, head)
	if err == nil && last.emptied {
		var before bool
		before, err = in.Branch.IsEmpty(ctx, last.commit.ID)
		last.emptied = !before
	}
	return last, err
}

// claim takes an epoch above all that were seen, or finds out that this writer
// has been superseded.
func (in *Ingester) claim(newest spoutcommit.Description) error {
	if in.epoch == 0 {
		in.epoch = newest.Epoch + 1
	}
	return in.supersededBy(newest)
}

// supersededBy says whether the writer of a description is newer than this
// one. Two that have started at the same moment may have taken the same epoch;
// their names decide then, so that exactly one of them goes on.
func (in *Ingester) supersededBy(d spoutcommit.Description) error {
	if in.epoch != 0 && d.NewerThan(spoutcommit.Description{Epoch: in.epoch, Writer: in.Writer}) {
		return &SupersededError{By: d.Writer}
	}
	return nil
}

// restore brings the files of the last good commit back to the head.
func (in *Ingester) restore(ctx context.Context, head string, last lastPosition) (newHead string, err error) {
	in.Log.Warn("the head has lost its files, as after stop and start of a spout; bringing them back",
		"head", head, "from_commit", last.commit.ID)
	files, err := in.Branch.NewFileSet(ctx)
	if err != nil {
		return "", err
	}
	if err := files.CopyTree(last.commit.ID); err != nil {
		return "", err
	}
	fileSet, err := files.Close()
	if err != nil {
		return "", err
	}
	d := in.describe(spoutcommit.ReasonRepair, last.description.Position)
	d.Restored = last.commit.ID
	c := &committer{Ingester: in, head: head}
	if err := c.commit(ctx, &upload{fileSet: fileSet, description: d}); err != nil {
		return "", err
	}
	return c.head, c.confirm(ctx, c.head, nil)
}
