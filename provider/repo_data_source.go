// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// repoData is the data source pachyderm_repo.
type repoData struct {
	ID types.String `tfsdk:"id"`
	repoFacts
}

// repoFacts is what is shown of a repo.
type repoFacts struct {
	Project     types.String   `tfsdk:"project"`
	Name        types.String   `tfsdk:"name"`
	Description types.String   `tfsdk:"description"`
	CreatedAt   types.String   `tfsdk:"created_at"`
	SizeBytes   types.Int64    `tfsdk:"size_bytes"`
	Branches    []types.String `tfsdk:"branches"`
}

func repoFactsOf(r *pachyderm.Repo) repoFacts {
	facts := repoFacts{Project: types.StringValue(r.ID.Project), Name: types.StringValue(r.ID.Name), Description: textOrNull(r.Description),
		CreatedAt: timeOrNull(r.Created), SizeBytes: types.Int64Value(r.SizeBytes), Branches: []types.String{}}
	for _, name := range r.Branches {
		facts.Branches = append(facts.Branches, types.StringValue(name))
	}
	return facts
}

func repoFactAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"project":     computedText("Project of the repo."),
		"name":        computedText("Name of the repo."),
		"description": computedText("What the repo holds."),
		"created_at":  computedText("When it was created, in RFC 3339."),
		"size_bytes":  computedNumber("Size of what is at the head of the branch `master`, in bytes, as far as Pachyderm has computed it."),
		"branches":    schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Names of its branches, sorted."},
	}
}

func newRepoDataSource() datasource.DataSource {
	return &dataSource[repoData, *repoData]{kind: "repo", schema: func(context.Context) schema.Schema {
		attributes := repoFactAttributes()
		attributes["id"] = computedText("`project/name`.")
		attributes["project"] = projectOfData("repo")
		attributes["name"] = requiredText("Name of the repo.")
		return schema.Schema{MarkdownDescription: "One repo. The output repo of a pipeline or spout has the name of that.", Attributes: attributes}
	}}
}

func (m *repoData) repoID() pachyderm.RepoID {
	return pachyderm.RepoID{Project: m.Project.ValueString(), Name: m.Name.ValueString()}
}

func (m *repoData) label() string { return m.repoID().String() }

func (m *repoData) read(o *operation) {
	r, err := o.client.InspectRepo(o.ctx, m.repoID())
	if err != nil {
		o.missing(err)
		return
	}
	m.ID, m.repoFacts = types.StringValue(r.ID.String()), repoFactsOf(r)
}

// reposData is the data source pachyderm_repos.
type reposData struct {
	Project types.String `tfsdk:"project"`
	nameFilter
	IDs   []types.String `tfsdk:"ids"`
	Repos []repoFacts    `tfsdk:"repos"`
}

func newReposDataSource() datasource.DataSource {
	return &dataSource[reposData, *reposData]{kind: "repos", schema: func(context.Context) schema.Schema {
		return schema.Schema{MarkdownDescription: "The repos that the token's owner may see, output repos of pipelines among them. No match is not an error.",
			Attributes: projectListAttributes("repos", "The repos, by id.", repoFactAttributes())}
	}}
}

func (m *reposData) label() string { return "" }

func (m *reposData) read(o *operation) {
	repos, err := o.client.ListRepos(o.ctx, onlyProject(m.Project)...)
	if err != nil {
		o.fail("read", err)
		return
	}
	m.IDs, m.Repos = listed(m.nameFilter, repos, func(r *pachyderm.Repo) (string, string) { return r.ID.String(), r.ID.Name }, repoFactsOf)
}
