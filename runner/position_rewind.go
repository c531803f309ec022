// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

type rewindCommand struct {
	target
	To      string        `xor:"to" required:"" placeholder:"COMMIT" help:"Go back to this commit: its files and its position. \"position show\" lists commits."`
	Time    time.Time     `xor:"to" required:"" placeholder:"TIME" help:"Go back to the newest commit that was FINISHED by this time, for example 2026-11-30T12:00:00Z."`
	Apply   bool          `help:"Do it. Without this flag, only say what would be done."`
	Timeout time.Duration `default:"30s" help:"How long the source is asked whether it still has the records (default: ${default})."`
}

// Help adds to --help what the flags do not say.
func (rewindCommand) Help() string {
	return "It makes a commit on top of the output branch that has the files and the position of the older commit: the runner then reads all that came\n" +
		"after it again. Nothing is deleted from history, and a second rewind can undo the first. A running spout takes it up when it commits next."
}

// Run says what a rewind changes, and does it if it is told to.
func (c rewindCommand) Run(ctx context.Context) error {
	s, err := readSettings()
	if err != nil {
		return err
	}
	if err := replayable(s); err != nil {
		return err
	}
	client, err := c.connect()
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // the process ends
	log := newLogger("warn", os.Stderr)
	in, err := c.ingester(s, client, log, nil)
	if err != nil {
		return err
	}
	plan, err := in.PlanRewind(ctx, "", c.chosen)
	if err != nil {
		return err
	}
	if err := c.canBeRead(ctx, s, plan); err != nil {
		return err
	}
	if !c.Apply {
		return printRewind(os.Stdout, plan, "would go back to", "Nothing was changed. To do it, add --apply.")
	}
	if plan, err = in.Rewind(ctx, plan.To.ID); err != nil {
		return err
	}
	return printRewind(os.Stdout, plan, "went back to", "A running spout takes it up when it commits next; delete its pod to have it at once.")
}

// replayable says why a source cannot be read again from an older position.
func replayable(s settings.Settings) error {
	src, err := newSource(s, newLogger("off", os.Stderr))
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // nothing was begun
	if kind := src.Traits().Kind; kind != source.Replay {
		return fmt.Errorf("what was acknowledged to the source %s does not come again: nothing can be read once more", s.Source)
	}
	return nil
}

// chosen says whether a commit is the one to go back to, or the newest of those
// by the time.
func (c rewindCommand) chosen(commit *pachyderm.Commit) bool {
	if c.To != "" {
		return commit.ID == c.To
	}
	return !commit.Finished.After(c.Time)
}

// canBeRead asks the source whether it can be read from the older position on.
func (c rewindCommand) canBeRead(ctx context.Context, s settings.Settings, plan *ingest.Rewind) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if _, err := checkSource(ctx, s, plan.Position); err != nil {
		return fmt.Errorf("the source %s cannot be read from commit %s on: %w", s.Source, plan.To.ID, err)
	}
	return nil
}

func printRewind(out io.Writer, r *ingest.Rewind, verb, next string) error {
	var bytes int64
	for _, file := range r.Leave {
		bytes += file.Size
	}
	_, err := fmt.Fprintf(out, "The branch %s commit %s of %s.\n"+
		"%d newer commits with %d records no longer count, and what they read is read again.\n"+
		"%d files of %d bytes leave the head, and %d return to it. The newer commits keep theirs.\n%s\n",
		verb, r.To.ID, r.To.Finished.UTC().Format(time.RFC3339), r.Commits, r.Records, len(r.Leave), bytes, len(r.Return), next)
	return err
}
