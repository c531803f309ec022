// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

type checkCommand struct {
	target
	Timeout time.Duration `default:"30s" help:"How long each connection is tried (default: ${default})."`
}

// Run checks everything that a run needs, and reports each step.
func (c checkCommand) Run(ctx context.Context) error {
	failed := false
	var position json.RawMessage
	step := func(name string, check func(context.Context) ([]string, error)) {
		ctx, cancel := context.WithTimeout(ctx, c.Timeout)
		defer cancel()
		lines, err := check(ctx)
		if err != nil {
			failed = true
			fmt.Printf("FAILED  %s: %v\n", name, err)
		} else {
			fmt.Printf("ok      %s\n", name)
		}
		for _, line := range lines {
			fmt.Printf("        %s\n", line)
		}
	}
	var s settings.Settings
	step("settings", func(context.Context) (warnings []string, err error) {
		s, err = readSettings()
		for _, warning := range s.Warnings() {
			warnings = append(warnings, "not encrypted: "+warning.Error())
		}
		return warnings, err
	})
	if failed {
		return errors.New("nothing else was tried")
	}
	step("pachyderm", func(ctx context.Context) (lines []string, err error) {
		lines, position, err = c.checkBranch(ctx, s)
		return lines, err
	})
	step(s.Source, func(ctx context.Context) ([]string, error) { return checkSource(ctx, s, position) })
	if failed {
		return errors.New("the spout would not run")
	}
	return nil
}

// checkSource has the source look at the other side, and tells of what is well
// in lines and of all that is not in one error.
func checkSource(ctx context.Context, s settings.Settings, position json.RawMessage) (lines []string, err error) {
	src, err := newSource(s, newLogger("off", os.Stderr))
	if err != nil {
		return nil, err
	}
	defer src.Close() //nolint:errcheck // nothing was begun
	checker, ok := src.(source.Checker)
	if !ok {
		return []string{"this source cannot be checked before it is read"}, nil
	}
	var missing []error
	for _, found := range checker.Check(ctx, position) {
		if found.OK {
			lines = append(lines, found.Text)
		} else {
			missing = append(missing, errors.New(found.Text))
		}
	}
	return lines, errors.Join(missing...)
}

// checkBranch reads the output branch, and the position that it holds.
func (c checkCommand) checkBranch(ctx context.Context, s settings.Settings) ([]string, json.RawMessage, error) {
	client, err := c.connect()
	if err != nil {
		return nil, nil, err
	}
	defer client.Close() //nolint:errcheck // only read
	branch := client.Branch(c.Project, c.Pipeline, s.OutputBranch)
	head, err := branch.Head(ctx)
	switch {
	case pachyderm.IsNotFound(err):
		return nil, nil, fmt.Errorf("%w. Is SPOUT_OUTPUT_BRANCH=%s the pipeline's output branch?", err, s.OutputBranch)
	case err != nil:
		return nil, nil, err
	case head == nil:
		return []string{fmt.Sprintf("%s has no commit yet", branch)}, nil, nil
	}
	lines := []string{fmt.Sprintf("%s is at commit %s", branch, head.ID)}
	last, d, err := ingest.LastCommit(ctx, branch)
	switch {
	case err != nil:
		return lines, nil, err
	case last == nil:
		return append(lines, "no commit carries a position of a runner"), nil, nil
	case d.Source != s.Source:
		return lines, nil, fmt.Errorf("commit %s holds a position of the source %s, but SPOUT_SOURCE is %s. Use another output branch or another spout", last.ID, d.Source, s.Source)
	}
	return append(lines, newestPosition(last, d)), d.Position, nil
}

// newestPosition tells of the commit whose position reading continues from.
func newestPosition(c *pachyderm.Commit, d spoutcommit.Description) string {
	text := fmt.Sprintf("the newest position is that of commit %s, FINISHED at %s: %d records were written", c.ID, c.Finished.Format(time.RFC3339), d.Written)
	if d.Filtered+d.DeadLettered > 0 {
		text += fmt.Sprintf(", %d filtered and %d dead-lettered", d.Filtered, d.DeadLettered)
	}
	return text + ", by " + d.Writer
}
