// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka"
)

type checkCommand struct {
	target
	Timeout time.Duration `default:"30s" help:"How long each connection is tried (default: ${default})."`
}

// Run checks everything that a run needs, and reports each step.
func (c checkCommand) Run(ctx context.Context) error {
	failed := false
	step := func(name string, check func(context.Context) ([]string, error)) {
		ctx, cancel := context.WithTimeout(ctx, c.Timeout)
		defer cancel()
		lines, err := check(ctx)
		if err != nil {
			failed = true
			fmt.Printf("FAILED  %s: %v\n", name, err)
			return
		}
		fmt.Printf("ok      %s\n", name)
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
	step("pachyderm", func(ctx context.Context) ([]string, error) { return c.checkBranch(ctx, s) })
	step("kafka", func(ctx context.Context) ([]string, error) {
		source := kafka.New(s.Kafka, ingest.SourceShare(s), newLogger("off", os.Stderr))
		defer source.Close() //nolint:errcheck // nothing was begun
		return source.Check(ctx)
	})
	if failed {
		return errors.New("the spout would not run")
	}
	return nil
}

// checkBranch reads the output branch.
func (c checkCommand) checkBranch(ctx context.Context, s settings.Settings) ([]string, error) {
	client, err := c.connect()
	if err != nil {
		return nil, err
	}
	defer client.Close() //nolint:errcheck // only read
	branch := client.Branch(c.Project, c.Pipeline, s.OutputBranch)
	head, err := branch.Head(ctx)
	switch {
	case pachyderm.IsNotFound(err):
		return nil, fmt.Errorf("%w; is SPOUT_OUTPUT_BRANCH=%s the pipeline's output branch?", err, s.OutputBranch)
	case err != nil:
		return nil, err
	case head == nil:
		return []string{branch.String() + " has no commit yet"}, nil
	}
	return []string{fmt.Sprintf("%s is at commit %s: %s", branch, head.ID, head.Description)}, nil
}
