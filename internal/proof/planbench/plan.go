// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/figures"
)

// parallelism is how many objects Terraform works on at once.
const parallelism = 10

// maxPlanRatio is how long refresh and plan may take, as a multiple of what
// Terraform needs with a provider that has the same schema and answers at once.
const maxPlanRatio = 1.15

const spoutsConfig = `terraform {
  required_providers {
    pachyderm = { source = %q }
  }
}
provider "pachyderm" {
  address = %q
}
resource "pachyderm_spout" "all" {
  count    = %d
  name     = "spout-${count.index}"
  wait_for = %q
  kafka    = { brokers = ["kafka-0:9092", "kafka-1:9092"], topics = ["topic-${count.index}"] }
}
`

const builtin = `resource "terraform_data" "all" {
  count = %d
  input = %s
}
`

// given is what the configuration says of a spout.
const given = `{ brokers = ["kafka-0:9092", "kafka-1:9092"], topics = ["topic-${count.index}"] }`

// slowServer takes the benchmark's latency for each call.
func (b *bench) slowServer() (*pachtest.Server, error) {
	server, err := pachtest.Start(pachtest.WithEnterprise())
	if err == nil {
		server.Inject(pachtest.Fault{Count: -1, Delay: b.latency})
	}
	return server, err
}

// workspace prepares a folder with a configuration.
func (b *bench) workspace(ctx context.Context, name, provider, config string) (*terraformcli.Workspace, error) {
	return b.workspaceWith(ctx, name, provider, config, nil)
}

// workspaceWith is workspace, with variables of the environment.
func (b *bench) workspaceWith(ctx context.Context, name, provider, config string, env map[string]string) (*terraformcli.Workspace, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	w, err := b.cli.NewWorkspace(dir, provider, providerVersion, env)
	if err != nil {
		return nil, err
	}
	return w, errors.Join(w.Write("main.tf", config), w.Init(ctx))
}

// plan measures refresh and plan without a change.
func (b *bench) plan(ctx context.Context) ([]figures.Figure, error) {
	server, err := b.slowServer()
	if err != nil {
		return nil, err
	}
	defer server.Close()
	config := fmt.Sprintf(spoutsConfig, terraformcli.ProviderSource, server.Address(), b.spouts, "created")
	ours, err := b.workspace(ctx, "plan", b.provider, config)
	if err != nil {
		return nil, err
	}
	if err := ours.Apply(ctx, tfexec.Parallelism(100)); err != nil {
		return nil, err
	}
	idle, err := b.workspace(ctx, "idle", b.idle, config)
	if err != nil {
		return nil, err
	}
	if err := copyState(ours, idle); err != nil {
		return nil, err
	}
	own, err := b.terraformData(ctx, "builtin", given)
	if err != nil {
		return nil, err
	}
	values, err := firstValues(ctx, ours)
	if err != nil {
		return nil, err
	}
	same, err := b.terraformData(ctx, "same", values)
	if err != nil {
		return nil, err
	}
	writes, calls := server.Writes(), len(server.Calls(""))
	roundTrips := float64(b.spouts) / parallelism * b.latency.Seconds()
	var idleRatios, idleProcessors, ratios, sameRatios, ourTimes, ownTimes []float64
	for round := range b.rounds {
		began := processor()
		ourTime, ourErr := timed(func() error { return noChange(ours.Plan(ctx)) })
		between := processor()
		idleTime, idleErr := timed(func() error { return noChange(idle.Plan(ctx)) })
		ourProcessor, idleProcessor := between-began, processor()-between
		ownTime, ownErr := timed(func() error { return noChange(own.Plan(ctx)) })
		sameTime, sameErr := timed(func() error { return noChange(same.Plan(ctx)) })
		if err := errors.Join(ourErr, idleErr, ownErr, sameErr); err != nil {
			return nil, err
		}
		fmt.Printf("plan of %d spouts, round %d: %.2f s (%.2f s of the processors); with a provider that answers at once: %.2f s (%.2f s); as many terraform_data: %.2f s, with all values of a spout: %.2f s, and round trips: %.2f s\n",
			b.spouts, round+1, ourTime, ourProcessor, idleTime, idleProcessor, ownTime, sameTime, roundTrips)
		ourTimes, ownTimes = append(ourTimes, ourTime), append(ownTimes, ownTime)
		idleRatios, idleProcessors = append(idleRatios, ourTime/idleTime), append(idleProcessors, ourProcessor/idleProcessor)
		ratios, sameRatios = append(ratios, ourTime/(ownTime+roundTrips)), append(sameRatios, ourTime/(sameTime+roundTrips))
	}
	return []figures.Figure{
		{Name: "plan_seconds", Value: figures.Median(ourTimes), Better: figures.Lower, Unit: "s"},
		{Name: "plan_terraform_data_seconds", Value: figures.Median(ownTimes), Better: figures.Lower, Unit: "s"},
		{Name: "plan_to_idle_provider", Value: figures.Median(idleRatios), Target: figures.Target(maxPlanRatio), Better: figures.Lower, Unit: "ratio"},
		{Name: "plan_processor_to_idle_provider", Value: figures.Median(idleProcessors), Better: figures.Lower, Unit: "ratio"},
		{Name: "plan_to_terraform_data", Value: figures.Median(ratios), Better: figures.Lower, Unit: "ratio"},
		{Name: "plan_to_terraform_data_same_values", Value: figures.Median(sameRatios), Better: figures.Lower, Unit: "ratio"},
		{Name: "plan_calls_per_spout", Value: float64(len(server.Calls(""))-calls) / float64(b.rounds*b.spouts), Target: figures.Target(1), Better: figures.Lower, Unit: "calls"},
		{Name: "plan_writes", Value: float64(server.Writes() - writes), Target: figures.Target(0), Better: figures.Lower, Unit: "calls"},
	}, nil
}

// copyState gives one workspace the state of another.
func copyState(from, to *terraformcli.Workspace) error {
	state, err := os.ReadFile(filepath.Join(from.Dir, "terraform.tfstate"))
	if err != nil {
		return err
	}
	return to.Write("terraform.tfstate", string(state))
}

// terraformData applies as many terraform_data objects as there are spouts.
func (b *bench) terraformData(ctx context.Context, name, input string) (*terraformcli.Workspace, error) {
	w, err := b.workspace(ctx, name, b.provider, fmt.Sprintf(builtin, b.spouts, input))
	if err != nil {
		return nil, err
	}
	return w, w.Apply(ctx)
}

// firstValues is all that the state holds of the first object, nulls too, as
// an expression: JSON is one.
func firstValues(ctx context.Context, w *terraformcli.Workspace) (string, error) {
	state, err := w.Show(ctx)
	if err != nil {
		return "", err
	}
	values, err := json.Marshal(state.Values.RootModule.Resources[0].AttributeValues)
	return string(values), err
}

func noChange(changes bool, err error) error {
	if err == nil && changes {
		return errors.New("the plan is not empty")
	}
	return err
}
