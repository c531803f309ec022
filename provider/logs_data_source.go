// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// defaultLogLines is how many lines are read unless told.
const defaultLogLines = 100

// logsData is the data source pachyderm_logs.
type logsData struct {
	Project     types.String   `tfsdk:"project"`
	Pipeline    types.String   `tfsdk:"pipeline"`
	Lines       types.Int64    `tfsdk:"lines"`
	Since       textValue      `tfsdk:"since"`
	WorkerLines types.Bool     `tfsdk:"worker_lines"`
	Messages    []types.String `tfsdk:"messages"`
	Entries     []logEntry     `tfsdk:"entries"`
}

type logEntry struct {
	Time    types.String `tfsdk:"time"`
	Worker  types.String `tfsdk:"worker"`
	Job     types.String `tfsdk:"job"`
	Message types.String `tfsdk:"message"`
}

const logsDoc = `The newest lines that a spout's or pipeline's code has written to its standard output and error.

Pachyderm reads them from the pods that are there. A pipeline that is paused, or has no workers at the moment, has none, and the data source warns of that.

~> The lines are kept in the state, whatever they hold.`

func newLogsDataSource() datasource.DataSource {
	return &dataSource[logsData, *logsData]{kind: "logs", schema: func(context.Context) schema.Schema {
		return schema.Schema{MarkdownDescription: logsDoc, Attributes: map[string]schema.Attribute{
			"project":  projectOfData("pipeline"),
			"pipeline": requiredText("Name of the spout or pipeline."),
			"lines": schema.Int64Attribute{Optional: true, Validators: []validator.Int64{int64validator.Between(1, 10000)},
				MarkdownDescription: "How many lines, at most. Default: `100`."},
			"since": schema.StringAttribute{Optional: true, CustomType: textType{kind: durationKind},
				MarkdownDescription: "How old lines may be, for example `15m`. Default: `24h`, which is Pachyderm's own."},
			"worker_lines": schema.BoolAttribute{Optional: true, MarkdownDescription: "Whether to add what Pachyderm's own worker says. Default: `false`."},
			"messages":     schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "The lines, oldest first."},
			"entries": schema.ListNestedAttribute{Computed: true, MarkdownDescription: "The same lines, with where they come from.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"time":    computedText("When it was written, in RFC 3339."),
					"worker":  computedText("Pod that wrote it."),
					"job":     computedText("Job that it was written for; null for spouts and services."),
					"message": computedText("The line."),
				}}},
		}}
	}}
}

func (m *logsData) label() string { return "of " + m.pipelineID().String() }

func (m *logsData) pipelineID() pachyderm.PipelineID {
	return pachyderm.PipelineID{Project: m.Project.ValueString(), Name: m.Pipeline.ValueString()}
}

func (m *logsData) read(o *operation) {
	options := pachyderm.LogsOptions{Lines: defaultLogLines, Own: m.WorkerLines.ValueBool()}
	if !m.Lines.IsNull() {
		options.Lines = int(m.Lines.ValueInt64())
	}
	if since := m.Since.ValueString(); since != "" {
		var err error
		if options.Since, err = time.ParseDuration(since); err != nil || options.Since <= 0 {
			o.diags.AddAttributeError(path.Root("since"), "Invalid since", "since must be more than 0, for example \"15m\".")
			return
		}
	}
	p, err := o.client.InspectPipeline(o.ctx, m.pipelineID())
	if err != nil {
		o.missing(err)
		return
	}
	options.Spout = p.IsSpout
	lines, err := o.client.Logs(o.ctx, p.ID, options)
	switch {
	case pachyderm.IsWithoutPods(err):
		o.diags.AddWarning("No logs of "+p.ID.String(), "There is no pod that they could be read from: the pipeline is "+p.State+". "+sentence(p.Reason))
	case err != nil:
		o.fail("read", err)
		return
	}
	m.Messages, m.Entries = []types.String{}, []logEntry{}
	for _, line := range lines {
		m.Messages = append(m.Messages, types.StringValue(line.Text))
		m.Entries = append(m.Entries, logEntry{timeOrNull(line.Time), textOrNull(line.Worker), textOrNull(line.Job), types.StringValue(line.Text)})
	}
}
