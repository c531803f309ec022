// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

var (
	_ resource.ResourceWithConfigure      = (*spoutResource)(nil)
	_ resource.ResourceWithValidateConfig = (*spoutResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*spoutResource)(nil)
	_ resource.ResourceWithImportState    = (*spoutResource)(nil)
	_ resource.ResourceWithIdentity       = (*spoutResource)(nil)
)

func newSpoutResource(runnerImage string) resource.Resource {
	return &spoutResource{runnerImage: runnerImage}
}

// spoutResource is pachyderm_spout.
type spoutResource struct {
	runnerImage string
	connection  *connection
}

// Metadata names the resource.
func (r *spoutResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_spout"
}

// Schema describes the resource.
func (r *spoutResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = spoutSchema(ctx)
}

// IdentitySchema describes what identifies a spout.
func (r *spoutResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = identityschema.Schema{Attributes: map[string]identityschema.Attribute{
		"project": identityschema.StringAttribute{OptionalForImport: true, Description: "Project; the provider's default_project if left out."},
		"name":    identityschema.StringAttribute{RequiredForImport: true, Description: "Name of the pipeline."},
	}}
}

// Configure takes over the provider's connection.
func (r *spoutResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.connection = configured(req.ProviderData, &resp.Diagnostics)
}

// Create makes the pipeline. From then on its state is saved whatever happens,
// and what goes wrong is a warning: Terraform would destroy a spout whose
// creation ended with an error, and its data with it. Only a spout whose pod
// never starts is an error: it has no data, and is deleted here and now.
func (r *spoutResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m spoutModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	if !resp.Diagnostics.HasError() {
		_, diags := m.expand(ctx) // again, with what was not known while planning
		resp.Diagnostics.Append(diags...)
	}
	o, cancel := r.operation(ctx, &m, timeout(m.Timeouts, "create"), &resp.Diagnostics)
	defer cancel()
	if o == nil {
		return
	}
	p := o.create()
	if p == nil {
		return
	}
	m.observe(p)
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, m.identity())...)
	p, gone := o.settle(p.Version)
	if gone {
		resp.State.RemoveResource(ctx)
		return
	}
	if p != nil {
		m.observe(p)
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}

// Read brings the state to what the server has. A spout is gone only if the
// server says that it does not exist.
func (r *spoutResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var m spoutModel
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	o, cancel := r.operation(ctx, &m, 0, &resp.Diagnostics)
	defer cancel()
	if o == nil {
		return
	}
	// Also before a removal: without it, Terraform rejects the removal of what
	// was created by a Terraform that knew no identities.
	resp.Diagnostics.Append(resp.Identity.Set(ctx, m.identity())...)
	imported := m.Version.IsNull()
	p, err := o.inspect()
	switch {
	case pachyderm.IsNotFound(err):
		tflog.Warn(o.ctx, "the pipeline does not exist any more; it is removed from the state")
		resp.State.RemoveResource(ctx)
		return
	case err != nil:
		o.fail("read", err)
		return
	case !p.IsSpout:
		o.diags.AddError("Not a spout", fmt.Sprintf("The pipeline %[1]s exists, but is not a spout: its specification has no \"spout\". Manage it with the resource pachyderm_pipeline: terraform import <address of a pachyderm_pipeline> %[1]s", o.id))
		return
	}
	if imported && len(p.LeftOut) > 0 {
		o.diags.AddWarning("Settings without an attribute", fmt.Sprintf("The specification of %s has %s, which pachyderm_spout has no attribute for. The next update drops them.",
			o.id, strings.Join(p.LeftOut, ", ")))
	}
	o.diags.Append(m.refresh(ctx, p)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}

// Update sends the specification, if it is new or the spout is to be restarted,
// and stops or starts the spout. If that fails, the state stays as it was.
func (r *spoutResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var m, before spoutModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &before)...)
	o, cancel := r.operation(ctx, &m, timeout(m.Timeouts, "update"), &resp.Diagnostics)
	defer cancel()
	if o == nil {
		return
	}
	spec, diags := m.expand(ctx)
	resp.Diagnostics.Append(diags...)
	if diags.HasError() {
		return
	}
	was := &pachyderm.Pipeline{Version: uint64(before.Version.ValueInt64()), Stopped: before.Paused.ValueBool()}
	p := o.update(was, !before.means(ctx, spec) || !sameElements(m.RestartTriggers, before.RestartTriggers))
	switch p {
	case nil:
		return
	case was:
		m.copyObserved(&before)
	default:
		m.observe(p)
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, m.identity())...)
}

// Delete deletes the pipeline and, unless it is kept, its output repo.
func (r *spoutResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var m spoutModel
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	o, cancel := r.operation(ctx, &m, timeout(m.Timeouts, "delete"), &resp.Diagnostics)
	defer cancel()
	if o != nil {
		o.delete()
	}
}

// ImportState takes project/name, the name alone, or an identity.
func (r *spoutResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	var identity spoutIdentity
	if req.ID == "" && req.Identity != nil && !req.Identity.Raw.IsNull() {
		resp.Diagnostics.Append(req.Identity.Get(ctx, &identity)...)
	} else {
		project, name, ok := strings.Cut(req.ID, "/")
		if !ok {
			project, name = "", req.ID
		}
		identity = spoutIdentity{textOrNull(project), types.StringValue(name)}
		if name == "" || strings.Contains(name, "/") || ok && project == "" {
			resp.Diagnostics.AddError("Invalid import id", fmt.Sprintf("%q must be project/name, or the name of a spout in the provider's default_project.", req.ID))
		}
	}
	if identity.Project.IsNull() && r.connection != nil {
		identity.Project = r.connection.defaultProject
	}
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("project"), identity.Project)...)
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("name"), identity.Name)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, identity)...)
}

// operation prepares one of the functions above. It is nil after an error.
func (r *spoutResource) operation(ctx context.Context, m *spoutModel, limit time.Duration, diags *diag.Diagnostics) (*pipelineOperation, context.CancelFunc) {
	o, cancel := r.connection.begin(ctx, "spout", m.pipelineID().String(), limit, diags)
	if o == nil {
		return nil, cancel
	}
	return &pipelineOperation{o, m.pipelineID(), m.wanted(r.connection)}, cancel
}

// wanted is what an operation is to bring about.
func (m *spoutModel) wanted(c *connection) wantedPipeline {
	return wantedPipeline{
		outputBranch: cmp.Or(m.OutputBranch.ValueString(), pachyderm.DefaultOutputBranch), paused: m.Paused.ValueBool(), waitFor: cmp.Or(m.WaitFor.ValueString(), m.defaultWaitFor()),
		forceDestroy: m.ForceDestroy.ValueBool(), keepOutputRepo: m.KeepOutputRepo.ValueBool(),
		ownHead: func(ctx context.Context) bool {
			spec, _ := m.expand(ctx) // create and update have looked for problems before
			return !isBundledRunner(spec)
		},
		means: func(ctx context.Context, p *pachyderm.Pipeline) bool { return m.means(ctx, m.withoutDefaults(p.Spec)) },
		send: func(ctx context.Context, client *pachyderm.Client, id pachyderm.PipelineID, update bool) error {
			spec, problems := m.expand(ctx)
			if problems.HasError() { // create and update have looked before
				return errors.New(problems.Errors()[0].Detail())
			}
			if update {
				return client.UpdatePipeline(ctx, id, spec)
			}
			return client.CreatePipeline(ctx, id, spec, c.mark.salt(id))
		},
	}
}
