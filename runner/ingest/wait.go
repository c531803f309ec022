// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"fmt"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// awaitFinished blocks until a commit is FINISHED, which Pachyderm does in its
// own time.
func (in *Ingester) awaitFinished(ctx context.Context, id string) (*pachyderm.Commit, error) {
	defer in.health.waiting("commit %s to be FINISHED by Pachyderm", id)()
	return in.Branch.WaitFinished(ctx, id)
}

// awaitCounting blocks until a commit is FINISHED; that its validation has
// failed is a *rejectedError.
func (in *Ingester) awaitCounting(ctx context.Context, id string) (*pachyderm.Commit, error) {
	commit, err := in.awaitFinished(ctx, id)
	if err == nil && commit.Error != "" {
		in.Metrics.update(func(c *tally) { c.rejected++ })
		err = &rejectedError{commit: id, reason: commit.Error}
	}
	return commit, err
}

// rejectedError says that a commit of this writer does not count.
type rejectedError struct{ commit, reason string }

func (e *rejectedError) Error() string {
	return fmt.Sprintf("commit %s was rejected by Pachyderm: %s", e.commit, e.reason)
}

// watch tells the log of waits that last and whether the runner is ready, and
// keeps the history for the status page, until ctx ends.
func (in *Ingester) watch(ctx context.Context) {
	var told readiness
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		in.Metrics.sample()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if w, ok := in.health.untold(); ok {
			in.Log.Warn("waiting for "+w.what, "since", time.Since(w.since).Round(time.Second).String())
		}
		told.tell(in.State, in.Health())
	}
}
