// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/provider"
)

// protocol speaks with the provider as a Terraform does that knows of actions
// and queries, which the installed one may be too old for.
type protocol struct {
	t       *testing.T
	server  tfprotov6.ProviderServer
	schemas *tfprotov6.GetProviderSchemaResponse
}

func newProtocol(t *testing.T, c *cluster.Cluster) *protocol {
	t.Helper()
	p := &protocol{t: t, server: providerserver.NewProtocol6(provider.New(providerVersion)())()}
	var err error
	if p.schemas, err = p.server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{}); err != nil {
		t.Fatal(err)
	}
	configured, err := p.server.ConfigureProvider(t.Context(), &tfprotov6.ConfigureProviderRequest{
		Config: p.value(p.schemas.Provider.ValueType(), map[string]any{"address": c.Address()})})
	if err != nil || len(configured.Diagnostics) > 0 {
		t.Fatal(err, configured.Diagnostics)
	}
	return p
}

// value makes an object of a type, whose attributes are texts, bools or null.
func (p *protocol) value(kind tftypes.Type, attributes map[string]any) *tfprotov6.DynamicValue {
	p.t.Helper()
	values := map[string]tftypes.Value{}
	for name, child := range kind.(tftypes.Object).AttributeTypes {
		values[name] = tftypes.NewValue(child, attributes[name])
	}
	encoded, err := tfprotov6.NewDynamicValue(kind, tftypes.NewValue(kind, values))
	if err != nil {
		p.t.Fatal(err)
	}
	return &encoded
}

// invoke invokes an action and returns what it said.
func (p *protocol) invoke(name string, config map[string]any) string {
	p.t.Helper()
	kind := p.schemas.ActionSchemas[name].Schema.ValueType()
	//nolint:staticcheck // the only way to call it
	stream, err := p.server.(tfprotov6.ProviderServerWithActions).InvokeAction(p.t.Context(), &tfprotov6.InvokeActionRequest{ActionType: name, Config: p.value(kind, config)})
	if err != nil {
		p.t.Fatal(err)
	}
	var lines []string
	for event := range stream.Events {
		switch event := event.Type.(type) {
		case tfprotov6.ProgressInvokeActionEventType:
			p.t.Log(event.Message)
			lines = append(lines, event.Message)
		case tfprotov6.CompletedInvokeActionEventType:
			for _, d := range event.Diagnostics {
				p.t.Logf("%s: %s", d.Summary, d.Detail)
				lines = append(lines, d.Summary+": "+d.Detail)
			}
		}
	}
	return strings.Join(lines, "\n")
}

// list returns what a query shows.
func (p *protocol) list(name string, config map[string]any) string {
	p.t.Helper()
	kind := p.schemas.ListResourceSchemas[name].ValueType()
	//nolint:staticcheck // the only way to call it
	stream, err := p.server.(tfprotov6.ProviderServerWithListResource).ListResource(p.t.Context(), &tfprotov6.ListResourceRequest{TypeName: name, Config: p.value(kind, config), IncludeResource: true})
	if err != nil {
		p.t.Fatal(err)
	}
	var names []string
	for result := range stream.Results {
		for _, d := range result.Diagnostics {
			p.t.Errorf("%s: %s", d.Summary, d.Detail)
		}
		names = append(names, result.DisplayName)
	}
	return strings.Join(names, " ")
}

func expect(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}

// TestRestartAction restarts a spout while records keep coming. Nothing is
// lost, no head is emptied, and Terraform has nothing to change afterwards.
func TestRestartAction(t *testing.T) {
	t.Parallel()
	s := newSpout(t, 2)
	p := newProtocol(t, s.cluster)
	s.produce(500)
	s.awaitAll()
	for version := 2; version <= 3; version++ {
		s.produce(200)
		expect(t, p.invoke("pachyderm_restart_spout", map[string]any{"project": s.project, "name": s.name}), fmt.Sprintf("runs, at version %d", version))
		s.produce(200)
		planIsEmpty(t, s.workspace)
		s.awaitAll()
	}
	if report := s.audit(); report.Repairs != 0 {
		t.Errorf("%d repairs of an emptied head", report.Repairs)
	}
	if got := p.list("pachyderm_spout", map[string]any{"project": s.project}); got != s.project+"/"+s.name {
		t.Errorf("the query lists %s", got)
	}
	if got := p.list("pachyderm_repo", map[string]any{"project": s.project}); got != "" {
		t.Errorf("the query lists the repos %s", got)
	}
}

// TestFinishCommitAction finishes a head that a writer has left open.
func TestFinishCommitAction(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	project := newProject(t, c)
	p := newProtocol(t, c)
	pachctl := func(args ...string) {
		t.Helper()
		if _, err := c.Pachctl(t.Context(), append(args, "--project", project)...); err != nil {
			t.Fatal(err)
		}
	}
	pachctl("create", "repo", "images")
	t.Cleanup(func() {
		if _, err := c.Pachctl(context.Background(), "delete", "repo", "images", "--project", project); err != nil {
			t.Error(err)
		}
	})
	config := map[string]any{"project": project, "repo": "images"}
	pachctl("start", "commit", "images@master")
	expect(t, p.invoke("pachyderm_finish_commit", config), "Finishing commit", "is finished")
	expect(t, p.invoke("pachyderm_finish_commit", config), "nothing to finish")
	pachctl("start", "commit", "images@master")
	config["discard"] = true
	expect(t, p.invoke("pachyderm_finish_commit", config), "is finished: discarded")
	if got := p.list("pachyderm_branch", map[string]any{"project": project}); got != project+"/images@master" {
		t.Errorf("the query lists %s", got)
	}
}

// TestRunPipelineAction runs a pipeline by its clock, and again as it is.
func TestRunPipelineAction(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	project := newProject(t, c)
	p := newProtocol(t, c)
	spec, err := json.Marshal(map[string]any{
		"pipeline":  map[string]any{"name": "nightly", "project": map[string]any{"name": project}},
		"transform": map[string]any{"image": "debian:12", "cmd": []string{"/bin/sh"}, "stdin": []string{"ls /pfs/tick > /pfs/out/ticks"}},
		"input":     map[string]any{"cron": map[string]any{"name": "tick", "spec": "@yearly"}}, "datum_tries": 1,
		"resource_requests": map[string]any{"cpu": 0.1, "memory": "64M"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PachctlInput(t.Context(), string(spec), "create", "pipeline", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := c.Pachctl(context.Background(), "delete", "pipeline", "nightly", "--project", project, "--force"); err != nil {
			t.Error(err)
		}
	})
	config := map[string]any{"project": project, "name": "nightly"}
	expect(t, p.invoke("pachyderm_run_pipeline", config), "a tick", `"success"`)
	config["reprocess"] = true
	expect(t, p.invoke("pachyderm_run_pipeline", config), "as version 2", `"success"`)
	if got := p.list("pachyderm_pipeline", map[string]any{"project": project}); got != project+"/nightly" {
		t.Errorf("the query lists %s", got)
	}
}
