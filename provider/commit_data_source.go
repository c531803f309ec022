// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// commitData is the data source pachyderm_commit.
type commitData struct {
	Project  types.String `tfsdk:"project"`
	Repo     types.String `tfsdk:"repo"`
	Branch   types.String `tfsdk:"branch"`
	Finished types.Bool   `tfsdk:"finished"`
	commitFacts
}

const commitDoc = `One commit of a repo: the one of an id, or the newest of a branch. For a commit of a spout with the bundled runner, ` + "`spout`" + ` says which part of the stream it holds.`

func newCommitDataSource() datasource.DataSource {
	return &dataSource[commitData, *commitData]{kind: "commit", schema: func(context.Context) schema.Schema {
		attributes := commitFactAttributes()
		attributes["project"] = projectOfData("repo")
		attributes["repo"] = requiredText("Repo that the commit is in.")
		attributes["id"] = schema.StringAttribute{Optional: true, Computed: true, Validators: []validator.String{commitForm},
			MarkdownDescription: "Id of the commit. Set it, or `branch`."}
		attributes["branch"] = schema.StringAttribute{Optional: true,
			MarkdownDescription: "Branch whose newest commit is meant. Set it, or `id`."}
		attributes["finished"] = schema.BoolAttribute{Optional: true,
			MarkdownDescription: "With `branch`: whether to pass over commits that are not finished yet or have an error, so that it is the newest commit which can be read. While a spout is writing, its newest commit says nothing yet. Default: `false`."}
		return schema.Schema{MarkdownDescription: commitDoc, Attributes: attributes}
	}}
}

func (m *commitData) label() string {
	return m.Project.ValueString() + "/" + m.Repo.ValueString() + "@" + m.ID.ValueString() + m.Branch.ValueString()
}

func (m *commitData) read(o *operation) {
	if (m.ID.ValueString() == "") == (m.Branch.ValueString() == "") {
		o.diags.AddAttributeError(path.Root("id"), "Invalid id", "Exactly one of id and branch must be set: id for one commit, branch for its newest one.")
		return
	}
	c, err := m.find(o)
	switch {
	case err != nil:
		o.missing(err)
	case c == nil:
		o.refuse("does not exist", "The branch %s has no commit that is finished without an error.", m.Branch.ValueString())
	default:
		m.commitFacts = commitFactsOf(o, c)
	}
}

// find returns the commit that is meant, or nil.
func (m *commitData) find(o *operation) (*pachyderm.Commit, error) {
	if m.Branch.ValueString() == "" { // any branch's name will do with an id
		return o.client.Branch(m.Project.ValueString(), m.Repo.ValueString(), pachyderm.DefaultOutputBranch).Inspect(o.ctx, m.ID.ValueString())
	}
	b := o.client.Branch(m.Project.ValueString(), m.Repo.ValueString(), m.Branch.ValueString())
	if m.Finished.ValueBool() {
		return b.NewestReadable(o.ctx)
	}
	return b.Head(o.ctx)
}
