// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// recovered is where a session begins.
type recovered struct {
	head     string             // the commit that the next one's parent must be; "" if there is none
	position json.RawMessage    // nil if the branch holds none yet
	lost     string             // the commit whose files the head has lost; "" if none
	silent   bool               // the head counts, and does not say the position
	total    *spoutcommit.Total // of the commits up to it; nil if they do not say
}

// recover makes the branch ready to be written and finds the position in it.
func (in *Ingester) recover(ctx context.Context) (recovered, error) {
	head, err := in.settleBranch(ctx)
	if err != nil {
		return recovered{}, err
	}
	if head == nil {
		return recovered{total: &spoutcommit.Total{}}, in.claim(spoutcommit.Description{})
	}
	h, err := in.readHistory(ctx, head.ID)
	if err != nil {
		return recovered{}, err
	}
	if err := in.claim(h.newest); err != nil {
		return recovered{}, err
	}
	from := recovered{head: head.ID, position: h.description.Position, silent: h.top != h.last, total: h.description.Total}
	if lost, err := in.hasLostFiles(ctx, h); err != nil {
		return recovered{}, err
	} else if lost {
		from.lost = h.written.ID
	}
	if h.last == nil {
		from.total = &spoutcommit.Total{}
		return from, nil
	}
	if was := h.description.Source; was != in.Settings.Source {
		return recovered{}, &source.Stop{Err: fmt.Errorf("commit %s of %s holds a position of the source %s, but SPOUT_SOURCE is %s; use another output branch or another spout",
			h.last.ID, in.Branch, was, in.Settings.Source)}
	}
	return from, nil
}

// settleBranch closes every open commit and returns the head once all are
// FINISHED.
func (in *Ingester) settleBranch(ctx context.Context) (head *pachyderm.Commit, err error) {
	if head, err = in.Branch.Head(ctx); err != nil || head == nil {
		return nil, err
	}
	unfinished, err := in.Branch.Unfinished(ctx, head.ID, saysPosition)
	if err != nil {
		return nil, err
	}
	for _, c := range unfinished {
		if !c.Open() {
			continue
		}
		if err := in.closeCommit(ctx, c); err != nil && !pachyderm.IsCommitFinished(err) {
			return nil, err
		}
	}
	for _, c := range unfinished {
		if _, err := in.awaitFinished(ctx, c.ID); err != nil {
			return nil, err
		}
	}
	return head, nil
}

// saysPosition says whether a commit carries a position. Its writer has seen
// everything below FINISHED.
func saysPosition(c *pachyderm.Commit) bool {
	d, ours, err := spoutcommit.ParseDescription(c.Description)
	return err != nil || ours && d.Position != nil
}

// closeCommit ends an open commit: one of Pachyderm's own is finished, since
// nobody else would, and one of a writer is rolled back.
func (in *Ingester) closeCommit(ctx context.Context, c *pachyderm.Commit) error {
	if c.Auto {
		in.Log.Info("finishing the open commit that Pachyderm has left", "commit", c.ID)
		return in.Branch.Finish(ctx, c.ID, "")
	}
	// What cannot be read was written by a newer release, or by hand. Being
	// open, it has no position that could count.
	d, _, _ := spoutcommit.ParseDescription(c.Description) //nolint:errcheck // see above
	if err := in.supersededBy(d); err != nil {
		return err
	}
	in.Log.Info("rolling back an open commit", "commit", c.ID, "writer", d.Writer)
	in.Metrics.update(func(c *tally) { c.rollbacks++ })
	return in.Branch.RollBack(ctx, c.ID, "superseded by "+in.Writer)
}

// history is what the commits of the branch say, all of them FINISHED.
type history struct {
	last        *pachyderm.Commit       // the newest that counts and carries a position; nil if none does
	description spoutcommit.Description // of last
	newest      spoutcommit.Description // of the newest writer since then, in commits that were rolled back too
	top         *pachyderm.Commit       // the newest that counts, whoever made it
	written     *pachyderm.Commit       // the newest that counts and is not Pachyderm's own
}

// readHistory walks from the head back to the newest commit with a position.
func (in *Ingester) readHistory(ctx context.Context, head string) (h history, err error) {
	var problem error
	err = in.Branch.Ancestry(ctx, head, func(c *pachyderm.Commit) bool {
		d, ours, err := spoutcommit.ParseDescription(c.Description)
		if err != nil && c.Error == "" {
			problem = &source.Stop{Err: fmt.Errorf("commit %s of %s: %w; run the release that wrote it or a newer one, or use another output branch", c.ID, in.Branch, err)}
			return false
		}
		if ours && d.NewerThan(h.newest) {
			h.newest = d
		}
		if c.Error != "" {
			return true
		}
		if h.top == nil {
			h.top = c
		}
		if h.written == nil && !c.Auto {
			h.written = c
		}
		if ours && d.Position != nil {
			h.last, h.description = c, d
		}
		return h.last == nil
	})
	return h, errors.Join(err, problem)
}

// hasLostFiles says whether Pachyderm has emptied the head: 2.0 to 2.7 put an
// empty commit of their own on top when a stopped spout is started. What
// users did to the branch meanwhile stands.
func (in *Ingester) hasLostFiles(ctx context.Context, h history) (bool, error) {
	if h.top == nil || !h.top.Auto || h.written == nil {
		return false, nil
	}
	empty, err := in.Branch.IsEmpty(ctx, h.top.ID)
	if err != nil || !empty {
		return false, err
	}
	empty, err = in.Branch.IsEmpty(ctx, h.written.ID)
	return !empty, err
}

// claim takes an epoch above all that were seen, or finds out that this writer
// has been superseded.
func (in *Ingester) claim(newest spoutcommit.Description) error {
	if in.epoch.Load() == 0 {
		in.epoch.Store(newest.Epoch + 1)
	}
	return in.supersededBy(newest)
}

// supersededBy says whether the writer of a description is newer than this
// one. Two that have started at the same moment may have taken the same epoch;
// their names decide then, so that exactly one of them goes on.
func (in *Ingester) supersededBy(d spoutcommit.Description) error {
	if own := in.epoch.Load(); own != 0 && d.NewerThan(spoutcommit.Description{Epoch: own, Writer: in.Writer}) {
		return &SupersededError{By: d.Writer}
	}
	return nil
}

// restore makes a file set of the files that the head has lost.
func (in *Ingester) restore(ctx context.Context, from recovered) (fileSet string, err error) {
	in.Log.Warn("the head has lost its files, for example by stopping and starting the spout; bringing them back",
		"head", from.head, "from_commit", from.lost)
	files, err := in.Branch.NewFileSet(ctx)
	if err != nil {
		return "", err
	}
	if err := files.CopyTree(from.lost); err != nil {
		return "", err
	}
	return files.Close()
}
