// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// committer turns uploads into commits, in order. It is the only writer of
// the branch in this process.
type committer struct {
	*Ingester
	source source.Source // nil before it is opened
	group  *errgroup.Group

	head      string             // the last commit of the branch as far as we know
	started   time.Time          // when it was started, if it is ours
	total     *spoutcommit.Total // up to it; nil if that is not known, as it was written by a release that did not say
	confirmed chan struct{}      // closed once head is FINISHED and counts; nil if it does already
}

// run commits what the uploader hands over.
func (c *committer) run(ctx context.Context, uploads <-chan *upload) error {
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("commit: %w", ctx.Err())
		case u := <-uploads:
			u.description = c.sign(u.description)
			if err := c.commit(ctx, u); err != nil {
				return err
			}
			id, started, done := c.head, c.started, make(chan struct{})
			c.confirmed = done
			c.group.Go(func() error {
				if err := c.confirm(ctx, id, started, u); err != nil {
					return err
				}
				close(done)
				return nil
			})
		}
	}
}

// commitPosition makes a commit that holds no records, but says the position:
// before anything is read, since a crash before the first batch would else
// move a start at "latest", and on top of what others have made. It brings
// files back that the head has lost.
func (c *committer) commitPosition(ctx context.Context, position json.RawMessage, from *recovered) error {
	u := &upload{description: c.describe(spoutcommit.ReasonStart, position)}
	if from.lost != "" {
		fileSet, err := c.restore(ctx, *from)
		if err != nil {
			return err
		}
		u.fileSet, u.description.Reason, u.description.Restored = fileSet, spoutcommit.ReasonRepair, from.lost
		from.lost = ""
	}
	if err := c.commit(ctx, u); err != nil {
		return err
	}
	return c.confirm(ctx, c.head, c.started, u)
}

// commit makes one commit, up to FinishCommit.
func (c *committer) commit(ctx context.Context, u *upload) error {
	defer u.done()
	defer c.health.waiting("Pachyderm to make a commit")()
	began := time.Now()
	id, err := c.Branch.Start(ctx, c.describe("", nil).String())
	if err != nil {
		return err
	}
	if err := c.fill(ctx, id, u); err != nil {
		return err
	}
	// A commit must not count if its parent turns out not to.
	if c.confirmed != nil {
		select {
		case <-c.confirmed:
		case <-ctx.Done():
			return fmt.Errorf("commit: %w", ctx.Err())
		}
	}
	if c.total != nil {
		total := c.total.Add(u.description)
		u.description.Total = &total
	}
	if err := c.Branch.Finish(ctx, id, u.description.String()); err != nil {
		return err
	}
	c.head, c.started, c.confirmed, c.total = id, began, nil, u.description.Total
	return nil
}

// fill checks that the commit continues the one we know, and puts the files in.
// If it does not, the commit is left open for the recovery to roll back.
func (c *committer) fill(ctx context.Context, id string, u *upload) error {
	started, err := c.Branch.Inspect(ctx, id)
	if err != nil {
		return err
	}
	if started.ParentID != c.head {
		return fmt.Errorf("%w: the parent of commit %s is %s, not %s", errLostLock, id, started.ParentID, c.head)
	}
	if u.fileSet == "" {
		return nil
	}
	return c.Branch.AddFileSet(ctx, id, u.fileSet)
}

// confirm waits until a commit counts, and acknowledges it to the source.
func (c *committer) confirm(ctx context.Context, id string, started time.Time, u *upload) error {
	c.Metrics.unfinished.Add(1)
	defer c.Metrics.unfinished.Add(-1)
	if _, err := c.awaitCounting(ctx, id); err != nil {
		return err
	}
	if c.source != nil {
		c.source.Acknowledge(ctx, u.description.Position)
	}
	c.health.overcome()
	c.report(commitStatus(id, started, u))
	return nil
}

// report tells metrics, status page and log of a commit that is FINISHED.
func (c *committer) report(s CommitStatus) {
	c.Metrics.committed(s)
	c.Log.Info(logCommitted, s.logFields()...)
}
