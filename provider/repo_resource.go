// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"regexp"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// repoModel is the resource pachyderm_repo.
type repoModel struct {
	ID           types.String `tfsdk:"id"`
	Project      types.String `tfsdk:"project"`
	Name         types.String `tfsdk:"name"`
	Description  types.String `tfsdk:"description"`
	ForceDestroy types.Bool   `tfsdk:"force_destroy"`
	Timeouts     types.Object `tfsdk:"timeouts"`
}

func newRepoResource() resource.Resource {
	return &objectResource[repoModel, *repoModel]{kind: "repo", schema: repoSchema, identity: inProject("Name of the repo.")}
}

const repoDoc = `A repo: versioned data that pipelines read. It is for repos that no pipeline writes: the output repo of a pipeline or spout is made and deleted with it.

While a repo holds data, a plan to destroy it is refused, unless ` + "`force_destroy`" + ` is set. It is never destroyed while a pipeline reads it.`

func repoSchema(ctx context.Context) schema.Schema {
	return schema.Schema{MarkdownDescription: repoDoc, Attributes: map[string]schema.Attribute{
		"id":      schema.StringAttribute{Computed: true, MarkdownDescription: "`project/name`."},
		"project": projectAttribute("repo"),
		"name": schema.StringAttribute{Required: true, Validators: []validator.String{pfsName},
			MarkdownDescription: "Name of the repo: letters, digits, `-` and `_`. It must be unique in the project, among pipelines too. A change replaces the repo."},
		"description": descriptionAttribute("What the repo holds."),
		"force_destroy": schema.BoolAttribute{Optional: true, Computed: true, Default: booldefault.StaticBool(false),
			MarkdownDescription: "Whether destroy deletes the repo although it holds data. The data cannot be brought back. It must be applied before the destroy. Default: `false`."},
		"timeouts": timeoutsAttribute(""),
	}}
}

// pfsName is the form of names of repos and branches.
var pfsName = stringvalidator.RegexMatches(regexp.MustCompile(`^[a-zA-Z0-9_-]+$`), "must have letters, digits, '-' and '_' only")

// projectAttribute is the project of an object, which objectResource fills in.
func projectAttribute(kind string) schema.Attribute {
	return schema.StringAttribute{Optional: true, Computed: true, Validators: []validator.String{projectForms, stringvalidator.LengthBetween(1, maxProject)},
		MarkdownDescription: "Project of the " + kind + ". Default: the provider's `default_project`. A change replaces the " + kind + "."}
}

func (m *repoModel) limits() types.Object { return m.Timeouts }

func (m *repoModel) repoID() pachyderm.RepoID {
	return pachyderm.RepoID{Project: m.Project.ValueString(), Name: m.Name.ValueString()}
}

func (m *repoModel) create(o *operation) bool {
	description := m.Description.ValueString()
	return o.make(creation{
		look: lookFor(func(ctx context.Context) (*pachyderm.Repo, error) { return o.client.InspectRepo(ctx, m.repoID()) },
			func(r *pachyderm.Repo) bool { return r.Description == description }),
		create: func(ctx context.Context) error { return o.client.CreateRepo(ctx, m.repoID(), description) },
		more:   " The output repo of a pipeline cannot be imported; it belongs to the pipeline.",
	})
}

func (m *repoModel) read(o *operation) bool {
	r, err := o.client.InspectRepo(o.ctx, m.repoID())
	switch {
	case pachyderm.IsNotFound(err):
		return false
	case err != nil:
		o.fail("read", err)
		return false
	case m.ID.IsNull() && !m.plain(o, "read"): // imported
		return false
	}
	m.Description = sameText(m.Description, r.Description)
	m.ForceDestroy = types.BoolValue(m.ForceDestroy.ValueBool())
	return true
}

// plain says whether the repo is not a pipeline's.
func (m *repoModel) plain(o *operation, verb string) bool {
	_, err := o.client.InspectPipeline(o.ctx, pachyderm.PipelineID(m.repoID()))
	switch {
	case err == nil:
		o.refuse("belongs to a pipeline", "It is the output repo of the pipeline %s, and is made, described and deleted with it. "+
			"Manage the pipeline instead: with pachyderm_spout if it is a spout. To read the repo only, use the data source pachyderm_repo.", o.name)
	case !pachyderm.IsNotFound(err):
		o.fail(verb, err)
	}
	return pachyderm.IsNotFound(err)
}

func (m *repoModel) update(o *operation, before *repoModel) bool {
	if m.Description.ValueString() == before.Description.ValueString() {
		return true
	}
	_, err := o.client.InspectRepo(o.ctx, m.repoID()) // an update would make a new repo
	if err == nil {
		err = o.client.DescribeRepo(o.ctx, m.repoID(), m.Description.ValueString())
	}
	switch {
	case pachyderm.IsNotFound(err):
		o.gone()
	case err != nil:
		o.fail("update", err)
	}
	return err == nil
}

func (m *repoModel) delete(o *operation) {
	r, err := o.client.InspectRepo(o.ctx, m.repoID())
	if err != nil {
		if !pachyderm.IsNotFound(err) {
			o.fail("destroy", err)
		}
		return
	}
	if !m.plain(o, "destroy") || !m.unread(o, r) || !m.ForceDestroy.ValueBool() && !m.empty(o) {
		return
	}
	if err := o.client.DeleteRepo(o.ctx, r.ID); err != nil {
		o.fail("destroy", err)
		return
	}
	// The server says OK, too, to those who may not delete it.
	switch _, err := o.client.InspectRepo(o.ctx, r.ID); {
	case err == nil:
		o.refuse("is still there", "Pachyderm took the request and deleted nothing, as it does when the token's owner lacks the role repoOwner on the repo, or a role on the project that includes it. "+
			"Give that role to the token's owner, or use another token.")
	case !pachyderm.IsNotFound(err):
		o.fail("make sure of the end of", err)
	}
}

// unread says whether no pipeline reads the repo.
func (m *repoModel) unread(o *operation, r *pachyderm.Repo) bool {
	readers, err := o.client.Readers(o.ctx, r)
	if err != nil {
		o.fail("destroy", err)
		return false
	}
	if len(readers) > 0 {
		o.refuse("is read by pipelines", "It cannot be deleted while it is an input of %s. Destroy or change those first. Nothing was deleted."+createFirst, inWords(readers))
	}
	return len(readers) == 0
}

// empty says whether the repo holds no data.
func (m *repoModel) empty(o *operation) bool {
	holds, err := o.client.HoldsData(o.ctx, pachyderm.PipelineID(m.repoID()), pachyderm.DefaultOutputBranch)
	if err != nil {
		o.fail("destroy", err)
		return false
	}
	if holds {
		m.refuseData(o)
	}
	return !holds
}

// planDelete says while planning what delete would refuse.
func (m *repoModel) planDelete(o *operation) {
	if m.ForceDestroy.ValueBool() {
		return
	}
	if holds, err := o.client.HoldsData(o.ctx, pachyderm.PipelineID(m.repoID()), pachyderm.DefaultOutputBranch); err == nil && holds {
		m.refuseData(o)
	}
}

func (m *repoModel) refuseData(o *operation) {
	o.refuse("holds data", "Destroying it would delete everything in it, also in older commits. Nothing was deleted. To delete the data with it, apply force_destroy = true first. "+
		"To keep the repo and stop managing it, use a removed block with destroy = false, or: terraform state rm <address of this resource>\n\n"+
		"For an object that the plan calls deposed, see the guide to troubleshooting.")
}

// inWords writes what has names into a sentence.
func inWords[T any](things []T) string {
	text := ""
	for n, thing := range things {
		switch {
		case n > 0 && n == len(things)-1:
			text += " and "
		case n > 0:
			text += ", "
		}
		text += fmt.Sprint(thing)
	}
	return text
}
