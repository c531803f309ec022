// SPDX-License-Identifier: Apache-2.0

// Package ingest is the runner's loop: it reads a source and writes it into a
// spout's output branch, exactly once.
//
// # Model
//
// The position of the source is kept in the commits themselves: a commit's
// description ([Description]) says which position the source had after the
// commit's data. It is set by the call that finishes the commit, so data and
// position appear together or not at all, and nothing else is ever consulted
// to find out where to go on.
//
// An open commit is the lock of the branch: while the head is open nobody can
// start another. A writer that has the lock checks that the commit's parent is
// the commit whose position it goes on from; if it is not, somebody else has
// written, and it starts again from what is there now. A commit is finished
// only when its parent is FINISHED without error, so a commit that counts
// never stands on one that does not.
//
// Writers are numbered by rising epochs. One that finds a newer epoch on the
// branch has been superseded and ends; one that finds an open commit of an
// older epoch rolls it back.
//
// # Flow
//
//	source → batcher → segments → uploader → file set → committer → FINISHED → acknowledge
//
// Each arrow is a goroutine of a session. Any error ends the session, and the
// next one recovers from the branch: there is one way to start, and it is the
// way to recover.
package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutlog"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/record"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Config is all that an Ingester needs.
type Config struct {
	Settings  settings.Settings
	NewSource func() (source.Source, error) // makes a fresh one for each session
	Client    *pachyderm.Client             // of the sidecar in the spout's own pod
	Branch    *pachyderm.Branch             // the output branch, of that client
	Writer    string                        // names this process in descriptions and logs
	Version   string                        // of the program
	Log       hclog.Logger
	State     hclog.Logger // is told whether records are ingested, whatever the level of Log; nil for Log
	Metrics   *Metrics
	Random    *rand.Rand // draws the pauses between sessions; nil for the process's own source
}

// Ingester moves records from a source into a branch.
type Ingester struct {
	Config
	encoder  *encode.Encoder
	registry *schema.Registry // nil if there is none
	epoch    atomic.Int64     // 0 until the branch has been seen
	health   health
	started  time.Time
}

// New checks the configuration.
func New(c Config) (*Ingester, error) {
	encoder, err := encode.NewEncoder(c.Settings)
	if err != nil {
		return nil, err
	}
	registry, err := schema.NewRegistry(c.Settings, c.Log.Named("schemas"))
	if err != nil {
		return nil, err
	}
	if c.State == nil {
		c.State = c.Log
	}
	in := &Ingester{Config: c, encoder: encoder, registry: registry, started: time.Now()}
	c.Metrics.belongTo(in)
	return in, nil
}

// SupersededError says that a newer writer has taken the branch over.
type SupersededError struct{ By string }

func (e *SupersededError) Error() string {
	return "a newer runner (" + e.By + ") has taken over this branch; exiting"
}

// errLostLock says that the branch is not as this writer left it.
var errLostLock = errors.New("another writer has changed the branch")

// Pauses between sessions, doubled up to the second while nothing succeeds.
const (
	minPause = 100 * time.Millisecond
	maxPause = 15 * time.Second
)

// Run ingests until ctx ends or an operator is needed; it never returns nil.
// Outages of the source and of Pachyderm are waited for.
func (in *Ingester) Run(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { in.watch(watching) })
	defer watcher.Wait()
	defer stop()

	pause := minPause
	var rejections rejections
	for {
		commits := in.Metrics.commits()
		err := in.session(ctx)
		if in.Metrics.commits() > commits {
			pause, rejections.count = minPause, 0
		}
		err = rejections.judge(err)
		if ctx.Err() != nil {
			return fmt.Errorf("stopped: %w", context.Cause(ctx))
		}
		if needsOperator(err) {
			in.health.fail(phaseStopped, err)
			return err
		}
		wait := pause/2 + in.jitter(pause)
		pause = min(2*pause, maxPause)
		in.health.fail(phaseRestarting, err)
		in.Log.Warn("starting again from the last commit", "reason", err, "in", wait.Round(time.Millisecond).String())
		in.Metrics.restarted(cause(err))
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// jitter returns a random time below limit.
func (in *Ingester) jitter(limit time.Duration) time.Duration {
	if in.Random == nil {
		return rand.N(limit)
	}
	return time.Duration(in.Random.Int64N(int64(limit)))
}

// rejections counts how often in a row Pachyderm has rejected what a session
// wanted to commit, for the same reason.
type rejections struct {
	reason string
	count  int
}

// maxRejections is how often a commit is tried that Pachyderm rejects.
const maxRejections = 5

// judge makes a rejection that does not go away an error for the operator.
func (r *rejections) judge(err error) error {
	var rejected *rejectedError
	if !errors.As(err, &rejected) {
		return err
	}
	if rejected.reason != r.reason {
		*r = rejections{reason: rejected.reason}
	}
	if r.count++; r.count < maxRejections {
		return err
	}
	return &source.Stop{Err: fmt.Errorf("%w; it was tried %d times. A file that somebody else has put into the output branch may be in the way: delete it while the spout is stopped, or change SPOUT_FILE_PATH", err, r.count)}
}

// needsOperator says whether starting again cannot help.
func needsOperator(err error) bool {
	var superseded *SupersededError
	return source.IsStop(err) || errors.As(err, &superseded) || pachyderm.IsOutputBranch(err)
}

// session recovers, and then ingests until something fails.
func (in *Ingester) session(ctx context.Context) error {
	in.health.enter(phaseRecovering)
	from, err := in.recover(ctx)
	if err != nil {
		return err
	}
	c := &committer{Ingester: in, head: from.head, total: from.total}
	// A head that is somebody else's must not be what a position hangs on:
	// whoever squashes the commit below would squash the position with it.
	if from.position != nil && (from.silent || from.lost != "") {
		if err := c.commitPosition(ctx, from.position, &from); err != nil {
			return err
		}
	}
	src, err := in.NewSource()
	if err != nil {
		return fmt.Errorf("make the source: %w", &sourceError{err})
	}
	defer src.Close() //nolint:errcheck // the position is what counts, and it is in the branch
	in.Metrics.watch(src)
	defer in.Metrics.watch(nil)
	in.health.enter(phaseOpening)
	if err := src.Open(ctx, from.position); err != nil {
		return fmt.Errorf("open the source: %w", &sourceError{err})
	}

	c.source = src
	// What the source has decided on where to begin, at first or with a topic
	// that is new to it, must not depend on when that happens to be asked.
	if !bytes.Equal(src.Position(), from.position) {
		if err := c.commitPosition(ctx, src.Position(), &from); err != nil {
			return err
		}
	}
	in.health.enter(phaseIngesting)
	in.State.Info(spoutlog.Ingesting, "branch", in.Branch.String(), "after_commit", c.head, "epoch", in.epoch.Load())
	return in.stream(ctx, src, c)
}

// stream runs the goroutines of a session until one of them fails.
func (in *Ingester) stream(ctx context.Context, src source.Source, c *committer) error {
	group, ctx := errgroup.WithContext(ctx)
	segments, uploads := make(chan *segment), make(chan *upload)
	batcher := &batcher{source: src, encoder: in.encoder, rules: record.NewRules(in.Settings), ends: ends{limits: in.Settings.Batch, traits: src.Traits()}, layout: in.Settings.Layout(),
		paths: newPaths(in.Settings), refused: in.Settings.Record.OnRefused, share: fileShare(in.Settings), out: segments, metrics: in.Metrics, health: &in.health}
	if in.registry != nil {
		in.registry.Making = in.health.makes
		batcher.schemas = newSchemas(in.Settings, in.registry, in.encoder, in.health.waiting)
	}
	uploader := &uploader{client: in.Client, branch: in.Branch, in: segments, out: uploads, group: group,
		metrics: in.Metrics, health: &in.health}
	in.Metrics.filesMemory.Store(0) // of an earlier session
	c.group = group
	group.Go(func() error { return batcher.run(ctx) })
	group.Go(func() error { return uploader.run(ctx) })
	group.Go(func() error { return c.run(ctx, uploads) })
	return group.Wait()
}

// SourceShare is the part of the memory budget that a source's buffers may
// take; the rest is for files.
func SourceShare(s settings.Settings) settings.Bytes { return s.MemoryBudget / 4 }

// fileShare is what the files being filled may take. As much again is on its
// way to the server.
func fileShare(s settings.Settings) int { return int(s.MemoryBudget-SourceShare(s)) / 2 }

// describe begins the description of a commit of this writer.
func (in *Ingester) describe(reason spoutcommit.Reason, position json.RawMessage) spoutcommit.Description {
	return in.sign(spoutcommit.Description{Reason: reason, Position: position})
}

// sign adds who writes, and from what source.
func (in *Ingester) sign(d spoutcommit.Description) spoutcommit.Description {
	d.Source, d.Writer, d.Epoch = in.Settings.Source, in.Writer, in.epoch.Load()
	return d
}
