// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// branchData is the data source pachyderm_branch.
type branchData struct {
	ID         types.String   `tfsdk:"id"`
	Project    types.String   `tfsdk:"project"`
	Repo       types.String   `tfsdk:"repo"`
	Name       types.String   `tfsdk:"name"`
	Head       types.String   `tfsdk:"head"`
	HeadCommit *commitFacts   `tfsdk:"head_commit"`
	Provenance []branchRef    `tfsdk:"provenance"`
	Trigger    *triggerFacts  `tfsdk:"trigger"`
	Readers    []types.String `tfsdk:"readers"`
}

type branchRef struct {
	Project types.String `tfsdk:"project"`
	Repo    types.String `tfsdk:"repo"`
	Branch  types.String `tfsdk:"branch"`
}

type triggerFacts struct {
	Branch        types.String `tfsdk:"branch"`
	All           types.Bool   `tfsdk:"all"`
	Commits       types.Int64  `tfsdk:"commits"`
	Size          types.String `tfsdk:"size"`
	RateLimitSpec types.String `tfsdk:"rate_limit_spec"`
	CronSpec      types.String `tfsdk:"cron_spec"`
}

func newBranchDataSource() datasource.DataSource {
	return &dataSource[branchData, *branchData]{kind: "branch", schema: func(context.Context) schema.Schema {
		return schema.Schema{MarkdownDescription: "One branch of a repo, and the commit that it is at. The output branch of a spout is `master`, unless the spout says otherwise.",
			Attributes: map[string]schema.Attribute{
				"id":          computedText("`project/repo@name`."),
				"project":     projectOfData("repo"),
				"repo":        requiredText("Repo that the branch is in."),
				"name":        requiredText("Name of the branch."),
				"head":        computedText("Id of the newest commit."),
				"head_commit": schema.SingleNestedAttribute{Computed: true, MarkdownDescription: "The newest commit.", Attributes: commitFactAttributes()},
				"provenance": schema.ListNestedAttribute{Computed: true, MarkdownDescription: "Branches whose commits lead to commits here, such as the inputs of the pipeline whose output branch it is.",
					NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
						"project": computedText("Project of the repo."), "repo": computedText("Repo of the branch."), "branch": computedText("Name of the branch."),
					}}},
				"trigger": schema.SingleNestedAttribute{Computed: true, MarkdownDescription: "What moves the branch to the head of another one. Null if nothing does.", Attributes: map[string]schema.Attribute{
					"branch":          computedText("Branch of the same repo that is followed."),
					"all":             schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether all conditions must hold."},
					"commits":         computedNumber("Condition: so many new commits."),
					"size":            computedText("Condition: so much more data."),
					"rate_limit_spec": computedText("Condition: a new commit after a time of this schedule."),
					"cron_spec":       computedText("The schedule by which it moves, from Pachyderm 2.7 on."),
				}},
				"readers": schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Repos whose data comes from the branch, as `project/name`: mostly those of the pipelines that read it."},
			}}
	}}
}

func (m *branchData) branchID() pachyderm.BranchID {
	return pachyderm.BranchID{Project: m.Project.ValueString(), Repo: m.Repo.ValueString(), Name: m.Name.ValueString()}
}

func (m *branchData) label() string { return m.branchID().String() }

func (m *branchData) read(o *operation) {
	b, err := o.client.InspectBranch(o.ctx, m.branchID())
	if err != nil {
		o.missing(err)
		return
	}
	m.ID, m.Head = types.StringValue(b.ID.String()), textOrNull(b.Head)
	if b.Head != "" {
		c, err := o.client.Branch(b.ID.Project, b.ID.Repo, b.ID.Name).Inspect(o.ctx, b.Head)
		if err != nil {
			o.fail("read the head of", err)
			return
		}
		facts := commitFactsOf(o, c)
		m.HeadCommit = &facts
	}
	m.Provenance, m.Readers = []branchRef{}, []types.String{}
	for _, p := range b.Provenance {
		m.Provenance = append(m.Provenance, branchRef{types.StringValue(p.Project), types.StringValue(p.Repo), types.StringValue(p.Name)})
	}
	for _, r := range b.Readers {
		m.Readers = append(m.Readers, types.StringValue(r.String()))
	}
	if t := b.Trigger; t != nil {
		m.Trigger = &triggerFacts{Branch: types.StringValue(t.Branch), All: types.BoolValue(t.All), Size: textOrNull(t.Size),
			RateLimitSpec: textOrNull(t.RateLimit), CronSpec: textOrNull(t.Cron)}
		if t.Commits != 0 {
			m.Trigger.Commits = types.Int64Value(t.Commits)
		}
	}
}
