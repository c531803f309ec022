// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutlog"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

type releaseCommand struct {
	Commit bool `help:"In a spout's pod: say so in a last commit of the output branch, and stay until Pachyderm ends the pod."`

	// Only with --commit. They are not those of target, which must be there.
	Project  string `env:"PPS_PROJECT_NAME" help:"Project of the pipeline."`
	Pipeline string `env:"PPS_PIPELINE_NAME" help:"Name of the pipeline, and of its output repo."`
	Sidecar  string `placeholder:"ADDRESS" help:"Address of the pod's sidecar pachd (default: 127.0.0.1:$$PEER_PORT)."`
	Config   string `default:"${podConfig}" placeholder:"FILE" help:"pachctl configuration with the pipeline's token (default: ${default})."`
}

// Run releases.
func (c releaseCommand) Run(ctx context.Context) error {
	s, err := readSettings()
	if err != nil {
		return err
	}
	level := "warn"
	if c.Commit {
		level = s.LogLevel
	}
	log := newLogger(level, os.Stderr)
	src, err := newSource(s, log)
	if err != nil {
		return err
	}
	releaser, ok := src.(source.Releaser)
	if !ok {
		return fmt.Errorf("the source %s makes nothing at the other side that outlives the spout: there is nothing to release", s.Source)
	}
	if !c.Commit {
		if err := releaser.Release(ctx); err != nil {
			return err
		}
		if left, ok := s.Left(); ok {
			fmt.Printf("gone: %s\n", left.What)
		}
		return nil
	}
	if c.Project == "" || c.Pipeline == "" {
		return fmt.Errorf("--commit is for a spout's pod, where PPS_PROJECT_NAME and PPS_PIPELINE_NAME are set: leave it out, or give --project and --pipeline")
	}
	to := target{c.Project, c.Pipeline, c.Sidecar, c.Config}
	client, err := to.connect()
	if err != nil {
		return logged(log, err)
	}
	defer client.Close() //nolint:errcheck // the process ends
	in, err := to.ingester(s, client, log, nil)
	if err != nil {
		return logged(log, err)
	}
	if err := in.Release(ctx, releaser); err != nil {
		return logged(log, err)
	}
	log.Info(spoutlog.Released, "branch", in.Branch.String())
	<-ctx.Done() // Pachyderm would not start it again after exit code 0, and starts it again after another one
	return errLogged
}
