// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"fmt"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// A wait that takes longer than this is told, in the log and by /readyz, and
// again after each such time.
const patience = 15 * time.Second

// awaitFinished blocks until a commit is FINISHED, which Pachyderm does in its
// own time, and says so if it takes long.
func (in *Ingester) awaitFinished(ctx context.Context, id string) (*pachyderm.Commit, error) {
	defer in.waiting("for commit " + id + " to be FINISHED by Pachyderm")()
	return in.Branch.WaitFinished(ctx, id)
}

// awaitCounting blocks until a commit is FINISHED; that its validation has
// failed is a *rejectedError.
func (in *Ingester) awaitCounting(ctx context.Context, id string) (*pachyderm.Commit, error) {
	commit, err := in.awaitFinished(ctx, id)
	if err == nil && commit.Error != "" {
		in.Metrics.rejected.Inc()
		err = &rejectedError{commit: id, reason: commit.Error}
	}
	return commit, err
}

// rejectedError says that a commit of this writer does not count.
type rejectedError struct{ commit, reason string }

func (e *rejectedError) Error() string {
	return fmt.Sprintf("commit %s was rejected by Pachyderm: %s", e.commit, e.reason)
}

// waiting tells of a wait that takes long, until the returned function is called.
func (in *Ingester) waiting(what string) (done func()) {
	began := time.Now()
	stop := make(chan struct{})
	go func() {
		ticker := time.NewTicker(patience)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				in.status.delay("")
				return
			case <-ticker.C:
				in.status.delay(what)
				in.Log.Warn("waiting "+what, "since", time.Since(began).Round(time.Second).String())
			}
		}
	}()
	return func() { close(stop) }
}
