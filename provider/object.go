// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"
)

// managed is a resource's model, by pointer, and what is done with it. The
// model has an attribute "id", which is the text of its identity.
//
// An operation that adds an error to o.diags leaves the state as it was. So
// that nothing is ever replaced for an error after its creation, create does
// nothing that can fail once the object is there.
type managed[M any] interface {
	*M
	create(o *operation) bool            // whether it is there
	read(o *operation) bool              // whether it is there still
	update(o *operation, before *M) bool // whether it is as the model says
	delete(o *operation)
}

// What a model may have, too.
type (
	// withTimeouts is a model with the attribute timeouts.
	withTimeouts interface{ limits() types.Object }
	// validated is a model that is checked beyond what its schema says. Values may be unknown.
	validated interface {
		validate(ctx context.Context, diags *diag.Diagnostics)
	}
	// planned is a model that decides more than what objectResource does: it
	// may change itself, the plan. state is nil for what is to be created or
	// replaced.
	planned[M any] interface {
		plan(ctx context.Context, c *connection, config, state *M, diags *diag.Diagnostics)
	}
	// completed is a model whose identity the provider completes, beyond the
	// project. It changes itself, the plan. state is nil for what is to be created.
	completed[M any] interface {
		complete(c *connection, config, state *M, diags *diag.Diagnostics)
	}
	// holder is a model of what may hold data: it refuses while planning what
	// delete would refuse because of them.
	holder interface{ planDelete(o *operation) }
	// secretive is a model with write-only attributes: before create and
	// update it takes them out of the configuration, the only place that has them.
	secretive[M any] interface {
		take(ctx context.Context, config *M) diag.Diagnostics
	}
)

// objectResource is what small resources have in common. A change of what
// identifies an object replaces it; a project that is left out is the
// provider's default_project.
type objectResource[M any, P managed[M]] struct {
	kind       string // of the type pachyderm_<kind>
	schema     func(context.Context) schema.Schema
	identity   identity
	connection *connection
}

// Metadata names the resource.
func (r *objectResource[M, P]) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_" + r.kind
}

// Schema describes the resource.
func (r *objectResource[M, P]) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = r.schema(ctx)
}

// IdentitySchema describes what identifies it.
func (r *objectResource[M, P]) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = r.identity.schema()
}

// Configure takes over the provider's connection.
func (r *objectResource[M, P]) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.connection = configured(req.ProviderData, &resp.Diagnostics)
}

// ValidateConfig checks what needs no server.
func (r *objectResource[M, P]) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m M
	v, ok := any(&m).(validated)
	if !ok {
		return
	}
	if resp.Diagnostics.Append(req.Config.Get(ctx, &m)...); !resp.Diagnostics.HasError() {
		v.validate(ctx, &resp.Diagnostics)
	}
}

// ModifyPlan fills in what the provider decides.
func (r *objectResource[M, P]) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		r.planDestroy(ctx, req, resp)
		return
	}
	exists := !req.State.Raw.IsNull()
	if _, ok := req.Plan.Schema.GetAttributes()["project"]; ok {
		r.planProject(ctx, exists, req, resp)
	}
	r.planIdentity(ctx, exists, req, resp)
	values, diags := r.identity.values(ctx, &resp.Plan)
	resp.Diagnostics.Append(diags...)
	replaced := false
	if exists {
		before, diags := r.identity.values(ctx, &req.State)
		resp.Diagnostics.Append(diags...)
		for _, part := range r.identity.docs {
			if !values[part.name].Equal(before[part.name]) {
				resp.RequiresReplace.Append(r.identity.path(part.name))
				replaced = true
			}
		}
	}
	if replaced {
		r.planDestroy(ctx, req, resp)
	}
	resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("id"), r.identity.id(values))...)
	var config, plan, state M
	p, ok := any(&plan).(planned[M])
	if !ok || resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(resp.Plan.Get(ctx, &plan)...)
	before := (*M)(nil)
	if exists && !replaced {
		resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
		before = &state
	}
	if resp.Diagnostics.HasError() {
		return
	}
	p.plan(ctx, r.connection, &config, before, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
}

// planDestroy refuses to destroy data that nobody has given up. What keeps it
// from looking is left to destroy.
func (r *objectResource[M, P]) planDestroy(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	var m M
	h, ok := any(&m).(holder)
	if !ok || req.State.Get(ctx, &m).HasError() {
		return
	}
	o, cancel := r.operation(ctx, &m, &req.State, "", &diag.Diagnostics{})
	defer cancel()
	if o != nil {
		o.diags = &resp.Diagnostics
		defer o.boundByRequest()()
		h.planDelete(o)
	}
}

// planIdentity has the model complete what identifies it.
func (r *objectResource[M, P]) planIdentity(ctx context.Context, exists bool, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	var config, plan, state M
	p, ok := any(&plan).(completed[M])
	if !ok {
		return
	}
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(resp.Plan.Get(ctx, &plan)...)
	before := (*M)(nil)
	if exists {
		resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
		before = &state
	}
	if resp.Diagnostics.HasError() {
		return
	}
	p.complete(r.connection, &config, before, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
}

// planProject fills in the provider's default_project.
func (r *objectResource[M, P]) planProject(ctx context.Context, exists bool, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	var project types.String
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("project"), &project)...)
	if !project.IsNull() || resp.Diagnostics.HasError() {
		return
	}
	switch {
	case r.connection != nil && !r.connection.defaultProject.IsUnknown():
		project = r.connection.defaultProject
	case exists: // a default that is not known yet is no reason to replace
		resp.Diagnostics.Append(req.State.GetAttribute(ctx, path.Root("project"), &project)...)
	default:
		project = types.StringUnknown()
	}
	resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("project"), project)...)
}

// Create makes the object.
func (r *objectResource[M, P]) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m M
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(r.takeSecrets(ctx, &m, &req.Config)...)
	o, cancel := r.operation(ctx, &m, &req.Plan, "create", &resp.Diagnostics)
	defer cancel()
	if o != nil && P(&m).create(o) {
		resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
		resp.Diagnostics.Append(r.identity.save(ctx, &resp.State, resp.Identity)...)
	}
}

// Read brings the state to what the server has. An object is gone only if the
// server says that it does not exist.
func (r *objectResource[M, P]) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var m M
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	o, cancel := r.operation(ctx, &m, &req.State, "", &resp.Diagnostics)
	defer cancel()
	if o == nil {
		return
	}
	// Also before a removal: without it, Terraform rejects the removal of what
	// was created by a Terraform that knew no identities.
	resp.Diagnostics.Append(r.identity.save(ctx, &req.State, resp.Identity)...)
	there := P(&m).read(o)
	switch {
	case o.diags.HasError():
	case !there:
		tflog.Warn(o.ctx, "the "+o.kind+" does not exist any more; it is removed from the state")
		resp.State.RemoveResource(ctx)
	default:
		resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
		resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("id"), o.name)...)
	}
}

// Update changes the object. If that fails, the state stays as it was.
func (r *objectResource[M, P]) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var m, before M
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &before)...)
	resp.Diagnostics.Append(r.takeSecrets(ctx, &m, &req.Config)...)
	o, cancel := r.operation(ctx, &m, &req.Plan, "update", &resp.Diagnostics)
	defer cancel()
	if o != nil && P(&m).update(o, &before) {
		resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
		resp.Diagnostics.Append(r.identity.save(ctx, &resp.State, resp.Identity)...)
	}
}

// Delete deletes the object, or says why not.
func (r *objectResource[M, P]) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var m M
	resp.Diagnostics.Append(req.State.Get(ctx, &m)...)
	o, cancel := r.operation(ctx, &m, &req.State, "delete", &resp.Diagnostics)
	defer cancel()
	if o != nil {
		P(&m).delete(o)
	}
}

// ImportState takes an id or an identity.
func (r *objectResource[M, P]) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	r.identity.importState(ctx, r.connection, req, resp)
}

func (r *objectResource[M, P]) takeSecrets(ctx context.Context, m *M, config *tfsdk.Config) diag.Diagnostics {
	s, ok := any(m).(secretive[M])
	if !ok {
		return nil
	}
	var c M
	diags := config.Get(ctx, &c)
	if diags.HasError() {
		return diags
	}
	return append(diags, s.take(ctx, &c)...)
}

// operation prepares one of the functions above. It is nil after an error.
func (r *objectResource[M, P]) operation(ctx context.Context, m *M, from attributes, verb string, diags *diag.Diagnostics) (*operation, context.CancelFunc) {
	values, d := r.identity.values(ctx, from)
	diags.Append(d...)
	var limit time.Duration
	if t, ok := any(m).(withTimeouts); ok && verb != "" {
		limit = timeout(t.limits(), verb)
	}
	kind := strings.ReplaceAll(r.kind, "_", " ")
	return r.connection.begin(ctx, kind, r.identity.id(values).ValueString(), limit, diags)
}
