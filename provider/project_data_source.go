// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// projectData is the data source pachyderm_project.
type projectData struct {
	ID types.String `tfsdk:"id"`
	projectFacts
}

// projectFacts is what is shown of a project.
type projectFacts struct {
	Name        types.String `tfsdk:"name"`
	Description types.String `tfsdk:"description"`
	CreatedAt   types.String `tfsdk:"created_at"`
}

func projectFactsOf(p *pachyderm.Project) projectFacts {
	return projectFacts{Name: types.StringValue(p.Name), Description: textOrNull(p.Description), CreatedAt: timeOrNull(p.Created)}
}

func projectFactAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"name":        computedText("Name of the project."),
		"description": computedText("What the project is for."),
		"created_at":  computedText("When it was created, in RFC 3339."),
	}
}

func newProjectDataSource() datasource.DataSource {
	return &dataSource[projectData, *projectData]{kind: "project", schema: func(context.Context) schema.Schema {
		attributes := projectFactAttributes()
		attributes["id"] = computedText("The name.")
		attributes["name"] = requiredText("Name of the project.")
		return schema.Schema{MarkdownDescription: "One project.", Attributes: attributes}
	}}
}

func (m *projectData) label() string { return m.Name.ValueString() }

func (m *projectData) read(o *operation) {
	p, err := o.client.InspectProject(o.ctx, m.Name.ValueString())
	if err != nil {
		o.missing(err)
		return
	}
	m.ID, m.projectFacts = m.Name, projectFactsOf(p)
}

// projectsData is the data source pachyderm_projects.
type projectsData struct {
	nameFilter
	Names    []types.String `tfsdk:"names"`
	Projects []projectFacts `tfsdk:"projects"`
}

func newProjectsDataSource() datasource.DataSource {
	return &dataSource[projectsData, *projectsData]{kind: "projects", schema: func(context.Context) schema.Schema {
		return schema.Schema{MarkdownDescription: "The projects of the cluster. No match is not an error.",
			Attributes: listAttributes("projects", "names", "Their names, sorted.", "The projects, by name.", projectFactAttributes())}
	}}
}

func (m *projectsData) label() string { return "" }

func (m *projectsData) read(o *operation) {
	projects, err := o.client.ListProjects(o.ctx)
	if err != nil {
		o.fail("read", err)
		return
	}
	m.Names, m.Projects = listed(m.nameFilter, projects, func(p *pachyderm.Project) (string, string) { return p.Name, p.Name }, projectFactsOf)
}
