// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"regexp"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// projectModel is the resource pachyderm_project.
type projectModel struct {
	ID           types.String `tfsdk:"id"`
	Name         types.String `tfsdk:"name"`
	Description  types.String `tfsdk:"description"`
	ForceDestroy types.Bool   `tfsdk:"force_destroy"`
	Timeouts     types.Object `tfsdk:"timeouts"`
}

func newProjectResource() resource.Resource {
	return &objectResource[projectModel, *projectModel]{kind: "project", schema: projectSchema, identity: byName("Name of the project.")}
}

const projectDoc = `A project: a namespace for pipelines and repos, on which roles can be granted.

Destroying a project is refused while there are pipelines or repos in it, unless ` + "`force_destroy`" + ` is set, which deletes them with it, and all data in them. The project ` + "`default`" + `, which every Pachyderm has, can be imported to describe it, and is never deleted.`

func projectSchema(ctx context.Context) schema.Schema {
	return schema.Schema{MarkdownDescription: projectDoc, Attributes: map[string]schema.Attribute{
		"id": schema.StringAttribute{Computed: true, MarkdownDescription: "The name."},
		"name": schema.StringAttribute{Required: true, Validators: []validator.String{projectForms, stringvalidator.LengthBetween(1, maxProject)},
			MarkdownDescription: "Name of the project: letters, digits, `-` and `_`, with a letter or digit first, at most 51. Projects with upper-case letters or `_` cannot hold spouts. A change replaces the project."},
		"description": descriptionAttribute("What the project is for."),
		"force_destroy": schema.BoolAttribute{Optional: true, Computed: true, Default: booldefault.StaticBool(false),
			MarkdownDescription: "Whether destroy deletes all pipelines and repos in the project, whoever made them, with all their data. The data cannot be brought back. It must be applied before the destroy. Default: `false`."},
		"timeouts": timeoutsAttribute(""),
	}}
}

// maxProject leaves room for a pipeline's name in the names of Kubernetes' objects.
const maxProject = 51

var projectForms = stringvalidator.RegexMatches(regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]*$`),
	"must have letters, digits, '-' and '_' only, and begin with a letter or digit")

func descriptionAttribute(doc string) schema.Attribute {
	return schema.StringAttribute{Optional: true, MarkdownDescription: doc}
}

func (m *projectModel) limits() types.Object { return m.Timeouts }

func (m *projectModel) plan(_ context.Context, _ *connection, _, state *projectModel, diags *diag.Diagnostics) {
	if state == nil && known(m.Name) {
		if problem := projectProblem(m.Name.ValueString()); problem != "" {
			diags.AddAttributeWarning(path.Root("name"), "No spouts in this project", problem)
		}
	}
}

func (m *projectModel) create(o *operation) bool {
	name, description := m.Name.ValueString(), m.Description.ValueString()
	return o.make(creation{
		look: lookFor(func(ctx context.Context) (*pachyderm.Project, error) { return o.client.InspectProject(ctx, name) },
			func(p *pachyderm.Project) bool { return p.Description == description }),
		create: func(ctx context.Context) error { return o.client.CreateProject(ctx, name, description) },
	})
}

func (m *projectModel) read(o *operation) bool {
	p, err := o.client.InspectProject(o.ctx, m.Name.ValueString())
	if pachyderm.IsNotFound(err) {
		return false
	}
	if err != nil {
		o.fail("read", err)
		return false
	}
	m.Description = sameText(m.Description, p.Description)
	m.ForceDestroy = types.BoolValue(m.ForceDestroy.ValueBool())
	return true
}

func (m *projectModel) update(o *operation, before *projectModel) bool {
	if m.Description.ValueString() == before.Description.ValueString() {
		return true
	}
	err := o.client.DescribeProject(o.ctx, m.Name.ValueString(), m.Description.ValueString())
	switch {
	case pachyderm.IsNotFound(err):
		o.gone()
	case err != nil:
		o.fail("update", err)
	}
	return err == nil
}

func (m *projectModel) delete(o *operation) {
	name := m.Name.ValueString()
	if name == pachyderm.DefaultProject {
		o.refuse("is not deleted", "Every Pachyderm has the project %s, and much relies on it. To stop managing it, use a removed block with destroy = false, or: terraform state rm <address of this resource>", name)
		return
	}
	if _, err := o.client.InspectProject(o.ctx, name); err != nil {
		if !pachyderm.IsNotFound(err) {
			o.fail("destroy", err)
		}
		return
	}
	repos, err := o.client.ListRepos(o.ctx, name)
	if err != nil {
		o.fail("destroy", err)
		return
	}
	if len(repos) > 0 && !m.ForceDestroy.ValueBool() {
		o.refuse("is not empty", "Destroying it would delete %s with all data. Nothing was deleted. Destroy those first; that Terraform does so by itself, "+
			"write project = pachyderm_project.<name>.name where they are configured. Or apply force_destroy = true first, which deletes them with the project.", some(repos))
		return
	}
	if len(repos) > 0 && !m.empty(o, name, repos) {
		return
	}
	switch err := o.client.DeleteProject(o.ctx, name); {
	case err == nil || pachyderm.IsNotFound(err):
	case pachyderm.IsNotEmpty(err):
		o.refuse("is not empty", "Something was created in it meanwhile, or is not shown to the token's owner, and was not deleted: %s", sentence(pachyderm.Reason(err)))
	default:
		o.fail("destroy", err)
	}
}

// empty deletes what is in the project, unless other projects need it.
func (m *projectModel) empty(o *operation, name string, repos []*pachyderm.Repo) bool {
	for _, repo := range repos {
		readers, err := o.client.Readers(o.ctx, repo)
		if err != nil {
			o.fail("destroy", err)
			return false
		}
		for _, reader := range readers {
			if reader.Project != name {
				o.refuse("is read by another project", "The repo %s is read by %s. Nothing was deleted. Destroy or change that first.", repo.ID, reader)
				return false
			}
		}
	}
	tflog.Warn(o.ctx, "deleting all pipelines and repos of the project", map[string]any{"repos": len(repos)})
	if err := o.client.EmptyProject(o.ctx, name); err != nil {
		o.fail("empty", err)
		return false
	}
	return true
}

// some names the first of many repos.
func some(repos []*pachyderm.Repo) string {
	var names []string
	for n, repo := range repos {
		if n == 5 {
			names = append(names, fmt.Sprintf("%d more repos", len(repos)-n))
			break
		}
		names = append(names, "the repo "+repo.ID.Name)
	}
	return inWords(names)
}

// sameText keeps "" apart from null, which are one to the server.
func sameText(before types.String, now string) types.String {
	if before.ValueString() == now && !before.IsUnknown() {
		return before
	}
	return textOrNull(now)
}
