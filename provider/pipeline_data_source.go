// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// pipelineFacts is what is shown of a pipeline of any kind, in lists too.
type pipelineFacts struct {
	Project      types.String `tfsdk:"project"`
	Name         types.String `tfsdk:"name"`
	Description  types.String `tfsdk:"description"`
	Type         types.String `tfsdk:"type"`
	State        types.String `tfsdk:"state"`
	Reason       types.String `tfsdk:"reason"`
	Paused       types.Bool   `tfsdk:"paused"`
	Version      types.Int64  `tfsdk:"version"`
	Image        types.String `tfsdk:"image"`
	OutputRepo   types.String `tfsdk:"output_repo"`
	OutputBranch types.String `tfsdk:"output_branch"`
	CreatedAt    types.String `tfsdk:"created_at"`
	LastJobState types.String `tfsdk:"last_job_state"`
}

func pipelineFactsOf(p *pachyderm.Pipeline) pipelineFacts {
	return pipelineFacts{Project: types.StringValue(p.ID.Project), Name: types.StringValue(p.ID.Name), Description: textOrNull(p.Description),
		Type: types.StringValue(p.Kind), State: types.StringValue(p.State), Reason: textOrNull(p.Reason), Paused: types.BoolValue(p.Stopped),
		Version: types.Int64Value(int64(p.Version)), Image: textOrNull(p.Image), OutputRepo: types.StringValue(p.ID.Name),
		OutputBranch: types.StringValue(p.OutputBranch), CreatedAt: timeOrNull(p.Created), LastJobState: textOrNull(p.LastJob)}
}

func pipelineFactAttributes(kind string) map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"project":        computedText("Project of the " + kind + "."),
		"name":           computedText("Name of the " + kind + "."),
		"description":    computedText("What the " + kind + " is for."),
		"type":           computedText("Kind of pipeline: `transform`, `spout` or `service`."),
		"state":          computedText("State: `starting`, `running`, `restarting`, `failure`, `paused`, `standby` or `crashing`. Pachyderm says `running` whatever the pipeline's own code does."),
		"reason":         computedText("Why it is in that state, if Pachyderm says so."),
		"paused":         schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether it is stopped."},
		"version":        computedNumber("Version. Each update makes a new one."),
		"image":          computedText("Image that its code runs in."),
		"output_repo":    computedText("Name of the output repo."),
		"output_branch":  computedText("Branch of the output repo that it writes."),
		"created_at":     computedText("When it was created, in RFC 3339; before Pachyderm 2.11, when it was last updated."),
		"last_job_state": computedText("State of the newest job, as `running`, `success` or `failure`; null for spouts, and before the first job."),
	}
}

// pipelineHealth is what is shown of one pipeline besides.
type pipelineHealth struct {
	ID               types.String `tfsdk:"id"`
	Healthy          types.Bool   `tfsdk:"healthy"`
	WorkersAvailable types.Int64  `tfsdk:"workers_available"`
	WorkersRequested types.Int64  `tfsdk:"workers_requested"`
	RecentError      types.String `tfsdk:"recent_error"`
	Spec             types.String `tfsdk:"spec"`
	LastCommit       *commitFacts `tfsdk:"last_commit"`
}

func pipelineHealthAttributes(kind, commit string) map[string]schema.Attribute {
	attributes := pipelineFactAttributes(kind)
	maps.Copy(attributes, map[string]schema.Attribute{
		"id":                computedText("`project/name`."),
		"project":           projectOfData(kind),
		"name":              requiredText("Name of the " + kind + "."),
		"healthy":           schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether it is running with all its workers, or in standby. Its own code may fail all the same: see `last_commit` and the data source `pachyderm_logs`."},
		"workers_available": computedNumber("Pods that are ready."),
		"workers_requested": computedNumber("Pods that there should be."),
		"recent_error":      computedText("Newest error of its workers, if Pachyderm has one."),
		"spec":              computedText("Its specification, as JSON, without what Pachyderm fills in: what `pachyderm_pipeline` would be given as `spec`."),
		"last_commit":       schema.SingleNestedAttribute{Computed: true, MarkdownDescription: commit, Attributes: commitFactAttributes()},
	})
	return attributes
}

// pipelineData is the data source pachyderm_pipeline.
type pipelineData struct {
	pipelineFacts
	pipelineHealth
}

func newPipelineDataSource() datasource.DataSource {
	return &dataSource[pipelineData, *pipelineData]{kind: "pipeline", schema: func(context.Context) schema.Schema {
		return schema.Schema{MarkdownDescription: "One pipeline of any kind, and how it is at the moment. It is read whenever Terraform refreshes, so that values of it in a `check` block are fresh, and in a resource's arguments change with each plan.",
			Attributes: pipelineHealthAttributes("pipeline", "The newest commit of the output branch that can be read: finished, and without an error. Null before the first one.")}
	}}
}

func (m *pipelineData) label() string {
	return pachyderm.PipelineID{Project: m.Project.ValueString(), Name: m.Name.ValueString()}.String()
}

func (m *pipelineData) read(o *operation) {
	p, err := o.client.InspectPipeline(o.ctx, pachyderm.PipelineID{Project: m.Project.ValueString(), Name: m.Name.ValueString()})
	if err != nil {
		o.missing(err)
		return
	}
	m.pipelineFacts = pipelineFactsOf(p)
	m.pipelineHealth = pipelineHealth{ID: types.StringValue(p.ID.String()), Healthy: types.BoolValue(p.Ready()),
		WorkersAvailable: types.Int64Value(p.WorkersAvailable), WorkersRequested: types.Int64Value(p.WorkersRequested), RecentError: textOrNull(p.RecentError)}
	text, err := p.Document().JSON(p.ID)
	if err != nil {
		o.fail("read", err)
		return
	}
	m.Spec = types.StringValue(text)
	commit, err := o.client.Branch(p.ID.Project, p.ID.Name, p.OutputBranch).NewestReadable(o.ctx)
	switch {
	case err == nil && commit != nil:
		facts := commitFactsOf(o, commit)
		m.LastCommit = &facts
	case err != nil && !pachyderm.IsNotFound(err):
		o.fail("read the output branch of", err)
	}
}

// spoutData is the data source pachyderm_spout.
type spoutData struct{ pipelineData }

func newSpoutDataSource() datasource.DataSource {
	return &dataSource[spoutData, *spoutData]{kind: "spout", schema: func(context.Context) schema.Schema {
		return schema.Schema{MarkdownDescription: "One spout, and how it is at the moment: whether its pod is there, and how far it has read. With the bundled runner, `last_commit.spout` says which part of the stream is in the output repo; " +
			"the difference to the newest offset of the source is the lag. `last_commit.finished_at` says when data came in last.",
			Attributes: pipelineHealthAttributes("spout", "The newest commit of the output branch that can be read: finished, and without an error. Null before the first one.")}
	}}
}

func (m *spoutData) read(o *operation) {
	if m.pipelineData.read(o); o.diags.HasError() {
		return
	}
	if m.Type.ValueString() != pachyderm.KindSpout {
		o.refuse("is no spout", "It is a pipeline of the kind %s. Use the data source pachyderm_pipeline.", m.Type.ValueString())
	}
}

// spoutsData is the data source pachyderm_spouts.
type spoutsData struct {
	Project types.String `tfsdk:"project"`
	nameFilter
	IDs    []types.String  `tfsdk:"ids"`
	Spouts []pipelineFacts `tfsdk:"spouts"`
}

func newSpoutsDataSource() datasource.DataSource {
	return &dataSource[spoutsData, *spoutsData]{kind: "spouts", schema: func(context.Context) schema.Schema {
		return schema.Schema{MarkdownDescription: "The spouts that the token's owner may see. It is no error if there are none of those that are asked for.",
			Attributes: projectListAttributes("spouts", "The spouts, by id. Their workers and commits are not looked at: see the data source `pachyderm_spout`.", pipelineFactAttributes("spout"))}
	}}
}

func (m *spoutsData) label() string { return "" }

func (m *spoutsData) read(o *operation) {
	pipelines, err := o.client.ListPipelines(o.ctx, onlyProject(m.Project)...)
	if err != nil {
		o.fail("read", err)
		return
	}
	spouts := slices.DeleteFunc(pipelines, func(p *pachyderm.Pipeline) bool { return !p.IsSpout })
	m.IDs, m.Spouts = listed(m.nameFilter, spouts, func(p *pachyderm.Pipeline) (string, string) { return p.ID.String(), p.ID.Name }, pipelineFactsOf)
}
