// SPDX-License-Identifier: Apache-2.0

//go:build linux

package provider

import (
	"testing"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// What Terraform's own arguments in a block lifecycle do to a spout.
func TestLifecycleArguments(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	const arguments = "lifecycle {\n"
	p := newProcess(t, s, "", nil)
	apply := func(code int, lines ...string) string {
		t.Helper()
		p.write("spout.tf", spoutConfig(lines...))
		return p.run(code, "apply", "-auto-approve")
	}
	says := func(said string, parts ...string) {
		t.Helper()
		if err := contains(said, parts...); err != nil {
			t.Error(err)
		}
	}

	protected := arguments + "prevent_destroy = true\n}"
	apply(0, protected)
	says(p.run(1, "destroy", "-auto-approve"), "prevent_destroy")
	says(apply(1, `name = "payments"`, protected), "prevent_destroy")

	// What others change, and what the configuration says of it, is let be.
	ignoring := arguments + "ignore_changes = [description, kafka]\n}"
	apply(0, `description = "ours"`, kafkaLines, ignoring)
	describedByOthers(t, s, "theirs")
	writes := s.Writes()
	says(apply(0, `description = "ours again"`, `kafka = { brokers = ["other:9092"], topics = ["payments"] }`, ignoring), "0 added, 0 changed, 0 destroyed")
	if got := inspect(t, s, orders); s.Writes() != writes || got.Description != "theirs" {
		t.Errorf("it was changed: %q", got.Description)
	}

	// The new one is there before the old one goes; if that may not go, nothing is done.
	first := arguments + "create_before_destroy = true\n}"
	apply(0, first)
	apply(0, `name = "payments"`, first)
	if got := s.Pipelines("default"); len(got) != 1 || got[0] != "payments" {
		t.Errorf("there are %v", got)
	}
	payments := pachyderm.PipelineID{Project: "default", Name: "payments"}
	writeData(t, s, payments)
	writes = s.Writes()
	says(apply(1, first), "holds data", "force_destroy")
	// One of the same name cannot be there twice: what is just as the new one
	// would be takes its place, and is not destroyed.
	apply(0, `name = "payments"`, `force_destroy = true`, first)
	says(p.run(0, "apply", "-auto-approve", "-replace="+spoutAddress), "is taken over", "is not destroyed")
	p.run(0, "plan", "-detailed-exitcode")
	if got := s.Pipelines("default"); len(got) != 1 || s.Writes() != writes {
		t.Errorf("there are %v", got)
	}
	apply(0, `name = "payments"`, `force_destroy = true`)
	p.run(0, "apply", "-auto-approve", "-replace="+spoutAddress)
	p.run(0, "destroy", "-auto-approve")
}

// describedByOthers changes the description of orders, as another tool would.
func describedByOthers(t *testing.T, s *pachtest.Server, description string) {
	t.Helper()
	id := &pps.Pipeline{Project: &pfs.Project{Name: orders.Project}, Name: orders.Name}
	info, err := client(t, s).PPS.InspectPipeline(t.Context(), &pps.InspectPipelineRequest{Pipeline: id, Details: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client(t, s).PPS.CreatePipeline(t.Context(), &pps.CreatePipelineRequest{Pipeline: id, Update: true,
		Transform: info.Details.Transform, Spout: info.Details.Spout, Metadata: info.Details.Metadata, Description: description}); err != nil {
		t.Fatal(err)
	}
}
