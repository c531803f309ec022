// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"fmt"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Release has a source give up what it has made at the other side, and says so
// in a commit without records. Outages are waited for.
func (in *Ingester) Release(ctx context.Context, releaser source.Releaser) error {
	return in.untilDone(ctx, "release", func() error { return in.releaseOnce(ctx, releaser) })
}

// untilDone tries to do something until it succeeds, or only an operator can
// help.
func (in *Ingester) untilDone(ctx context.Context, what string, do func() error) error {
	pause := minPause
	for {
		err := do()
		if err == nil || needsOperator(err) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("stopped: %w", context.Cause(ctx))
		}
		in.Log.Warn("trying to "+what+" again", "reason", err, "in", pause.String())
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

func (in *Ingester) releaseOnce(ctx context.Context, releaser source.Releaser) error {
	// The branch first: whoever writes it now finds out that it is superseded,
	// and does not make again what is given up.
	from, err := in.recover(ctx)
	if err != nil {
		return err
	}
	if err := releaser.Release(ctx); err != nil {
		return fmt.Errorf("release: %w", &sourceError{err})
	}
	c := &committer{Ingester: in, head: from.head, total: from.total}
	if from.lost != "" {
		if err := c.commitPosition(ctx, from.position, &from); err != nil {
			return err
		}
	}
	u := &upload{description: in.describe(spoutcommit.ReasonReleased, from.position)}
	if err := c.commit(ctx, u); err != nil {
		return err
	}
	return c.confirm(ctx, c.head, c.started, u)
}
