// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
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
		"last_job_state": computedText("State of the newest job, for example `running`, `success` or `failure`. Null for spouts, and before the first job."),
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
		return schema.Schema{MarkdownDescription: "One pipeline of any kind, and how it is at the moment. Terraform reads it at each refresh: a `check` block sees fresh values, and a resource's arguments made of them change with each plan.",
			Attributes: pipelineHealthAttributes("pipeline", "The newest commit of the output branch that can be read: finished, and without an error. Null before the first one.")}
	}}
}

func (m *pipelineData) label() string {
	return pachyderm.PipelineID{Project: m.Project.ValueString(), Name: m.Name.ValueString()}.String()
}

func (m *pipelineData) read(o *operation) { m.inspect(o) }

// inspect reads the pipeline and returns it, nil after an error.
func (m *pipelineData) inspect(o *operation) *pachyderm.Pipeline {
	p, err := o.client.InspectPipeline(o.ctx, pachyderm.PipelineID{Project: m.Project.ValueString(), Name: m.Name.ValueString()})
	if err != nil {
		o.missing(err)
		return nil
	}
	m.pipelineFacts = pipelineFactsOf(p)
	m.pipelineHealth = pipelineHealth{ID: types.StringValue(p.ID.String()), Healthy: types.BoolValue(p.Ready()),
		WorkersAvailable: types.Int64Value(p.WorkersAvailable), WorkersRequested: types.Int64Value(p.WorkersRequested), RecentError: textOrNull(p.RecentError)}
	text, err := p.Document().JSON(p.ID)
	if err != nil {
		o.fail("read", err)
		return nil
	}
	m.Spec = types.StringValue(text)
	commit, err := o.client.Branch(p.ID.Project, p.ID.Name, p.OutputBranch).NewestReadable(o.ctx)
	switch {
	case err == nil && commit != nil:
		facts := commitFactsOf(o, commit)
		m.LastCommit = &facts
	case err != nil && !pachyderm.IsNotFound(err):
		o.fail("read the output branch of", err)
		return nil
	}
	return p
}

// spoutData is the data source pachyderm_spout.
type spoutData struct {
	pipelineData
	RunnerReady types.Bool                  `tfsdk:"runner_ready"`
	LastError   types.String                `tfsdk:"last_error"`
	HeadCommit  *commitFacts                `tfsdk:"head_commit"`
	Offsets     map[string]map[string]int64 `tfsdk:"offsets"`
}

const spoutDataDoc = `One spout, and how it is at the moment: whether it works, what it waits for, and how far it has read.

* ` + "`healthy` and `runner_ready`" + ` say whether it works, and ` + "`last_error`" + ` says why it does not.
* ` + "`last_commit.finished_at`" + ` says when data came in last.
* ` + "`offsets`" + ` says which part of the stream is in the output repo. The difference to the newest offset of the source is the lag.`

func newSpoutDataSource() datasource.DataSource {
	return &dataSource[spoutData, *spoutData]{kind: "spout", schema: func(context.Context) schema.Schema {
		attributes := pipelineHealthAttributes("spout", "The newest commit of the output branch with data in it: the bundled runner has written records or dead letters into it, or other code has. "+
			"Commits that only say where reading begins, and those of Pachyderm's own, are passed over. Null before the first one. `pachyderm_spout` looks at the newest 1,000 commits.")
		maps.Copy(attributes, map[string]schema.Attribute{
			"healthy": schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether the spout works: its pod is there, `runner_ready` is not `false`, and the log tells of no failure of other code."},
			"runner_ready": schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether the bundled runner ingests. A runner that has nothing to read is ready, too. " +
				"The provider finds it in the log, or if that cannot be read, in the commits. Null for spouts with `transform`, and while it is not known."},
			"last_error": computedText("What the runner waits for, or what it has failed at, as its log says. With `transform`, how the command has failed or ended. Null if the newest pod's log tells of no such thing, or cannot be read."),
			"head_commit": schema.SingleNestedAttribute{Computed: true, Attributes: commitFactAttributes(),
				MarkdownDescription: "The newest commit of the output branch that can be read: finished, and without an error. Unlike `last_commit`, it may be one without data. Null before the first one."},
			"offsets": schema.MapAttribute{Computed: true, ElementType: types.MapType{ElemType: types.Int64Type},
				MarkdownDescription: "The next offset to be read, by stream (such as a topic) and partition, for example `offsets[\"orders\"][\"0\"]`: the newest position on the output branch. Null where there is none."},
		})
		return schema.Schema{MarkdownDescription: spoutDataDoc, Attributes: attributes}
	}}
}

func (m *spoutData) read(o *operation) {
	p := m.inspect(o)
	if p == nil {
		return
	}
	if m.Type.ValueString() != pachyderm.KindSpout {
		o.refuse("is not a spout", "It is a pipeline of the kind %s. Use the data source pachyderm_pipeline.", m.Type.ValueString())
		return
	}
	if m.readCommits(o); !o.diags.HasError() {
		m.readCode(o, p)
	}
}

// commitsLookedAt bounds the search for a commit with data.
const commitsLookedAt = 1000

// readCommits finds the newest commits: the one that can be read, the one with
// a position, and the one with data.
func (m *spoutData) readCommits(o *operation) {
	m.HeadCommit, m.LastCommit = m.LastCommit, nil
	if m.HeadCommit == nil {
		return
	}
	branch := o.client.Branch(m.Project.ValueString(), m.Name.ValueString(), m.OutputBranch.ValueString())
	looked := 0
	err := branch.Ancestry(o.ctx, m.HeadCommit.ID.ValueString(), func(c *pachyderm.Commit) bool {
		looked++
		if c.Finished.IsZero() || c.Error != "" || c.Auto {
			return looked < commitsLookedAt
		}
		d, ours, err := spoutcommit.ParseDescription(c.Description)
		if ours && err == nil && m.Offsets == nil {
			m.Offsets, _, _ = positionFacts(d) // what cannot be read, head_commit has warned of
		}
		if m.LastCommit == nil && (!ours || err != nil || d.Written+d.DeadLettered > 0) {
			facts := commitFactsOf(o, c)
			m.LastCommit = &facts
		}
		return looked < commitsLookedAt && (m.LastCommit == nil || ours && m.Offsets == nil)
	})
	if err != nil {
		o.fail("read the output branch of", err)
	}
}

// readCode says what the log tells of the spout's code.
func (m *spoutData) readCode(o *operation, p *pachyderm.Pipeline) {
	report, err := reportOf(o.ctx, o.client, p, nil)
	if err != nil {
		tflog.Debug(o.ctx, "cannot read the log", map[string]any{"error": pachyderm.Reason(err)})
	}
	m.LastError = textOrNull(report.Problem)
	if isBundledRunner(p.Spec) {
		m.RunnerReady = types.BoolNull()
		switch {
		case !p.Ready():
			m.RunnerReady = types.BoolValue(false)
		case report.Ready || report.Problem != "":
			m.RunnerReady = types.BoolValue(report.Ready)
		case m.Offsets != nil: // its log is silent for as long as all is well
			m.RunnerReady = types.BoolValue(true)
		}
	}
	m.Healthy = types.BoolValue(p.Ready() && report.Problem == "" && !m.RunnerReady.Equal(types.BoolValue(false)))
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
		return schema.Schema{MarkdownDescription: "The spouts that the token's owner may see. No match is not an error.",
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
