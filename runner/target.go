// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// target says which pipeline is written, and through which sidecar. In a pod
// Pachyderm sets all of it.
type target struct {
	Project  string `env:"PPS_PROJECT_NAME" required:"" help:"Project of the pipeline."`
	Pipeline string `env:"PPS_PIPELINE_NAME" required:"" help:"Name of the pipeline, and of its output repo."`
	Sidecar  string `placeholder:"ADDRESS" help:"Address of the pod's sidecar pachd, the only one through which the output branch can be written (default: 127.0.0.1:$$PEER_PORT)."`
	Config   string `default:"${podConfig}" placeholder:"FILE" help:"pachctl configuration with the pipeline's token (default: ${default})."`
}

func podConfigDefault() string {
	if path := os.Getenv("PACH_CONFIG"); path != "" {
		return path
	}
	return pachyderm.PodConfigPath
}

// connect prepares the connection to the sidecar.
func (t target) connect() (*pachyderm.Client, error) {
	text := t.Sidecar
	if text == "" {
		port := os.Getenv("PEER_PORT")
		if port == "" {
			return nil, fmt.Errorf("PEER_PORT is not set, so this is not a pod of a pipeline: give --sidecar")
		}
		text = "127.0.0.1:" + port
	}
	address, err := pachyderm.ParseAddress(text)
	if err != nil {
		return nil, fmt.Errorf("--sidecar: %w", err)
	}
	token, err := pachyderm.PodToken(t.Config)
	if err != nil {
		return nil, err
	}
	return pachyderm.Connect(pachyderm.Options{Address: address, Token: token, UserAgent: "spout-runner/" + version, CallTimeout: callTimeout})
}

// ingester makes a writer of the pipeline's output branch. What it does goes to
// log, and what Terraform waits for to state, which may be nil.
func (t target) ingester(s settings.Settings, client *pachyderm.Client, log, state hclog.Logger) (*ingest.Ingester, error) {
	return ingest.New(ingest.Config{
		Settings: s, Client: client, Branch: client.Branch(t.Project, t.Pipeline, s.OutputBranch),
		NewSource: func() (source.Source, error) { return newSource(s, log) },
		Writer:    writerName(), Version: version, Log: log.Named("ingest"), State: state, Metrics: ingest.NewMetrics(),
	})
}

// callTimeout is how long the sidecar may take for an answer that waits for
// nothing.
const callTimeout = 5 * time.Minute

// readSettings reads and checks the SPOUT_* variables.
func readSettings() (settings.Settings, error) {
	s, err := settings.ParseEnvironment()
	if err == nil {
		err = s.ValidateSecrets()
	}
	if err != nil {
		return s, fmt.Errorf("settings:\n%w", err)
	}
	return s, nil
}
