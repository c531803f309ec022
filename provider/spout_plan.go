// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// ModifyPlan fills in what the provider decides, and says of the values that
// the server decides which of them the change can touch.
func (r *spoutResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		var state spoutModel
		resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
		r.planDestroy(ctx, &state, &resp.Diagnostics)
		return
	}
	var config, plan, state spoutModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	exists := !req.State.Raw.IsNull()
	if exists {
		resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	r.planProject(&plan, &config, &state, exists)
	r.planImage(&plan, &config)
	planWaitFor(&plan, &config)
	plan.ID, plan.OutputRepo = types.StringUnknown(), plan.Name
	if !plan.Project.IsUnknown() && !plan.Name.IsUnknown() {
		plan.ID = types.StringValue(plan.pipelineID().String())
		if problem := nameProblem(plan.pipelineID()); problem != "" {
			resp.Diagnostics.AddAttributeError(path.Root("name"), "Invalid name", problem)
		}
	}
	switch {
	case !exists:
		plan.unobserved(true)
	case !plan.Project.Equal(state.Project) || !plan.Name.Equal(state.Name):
		r.planReplace(&plan, &state, resp)
		r.planDestroy(ctx, &state, &resp.Diagnostics)
		plan.unobserved(true)
	default:
		planSource(&plan, &state, &resp.Diagnostics)
		spec := !plan.unchanged(ctx, &state) || !sameElements(plan.RestartTriggers, state.RestartTriggers)
		plan.copyObserved(&state)
		if spec || !plan.Paused.Equal(state.Paused) {
			plan.unobserved(spec)
		}
	}
	resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
}

// planProject fills in the provider's default_project.
func (r *spoutResource) planProject(plan, config, state *spoutModel, exists bool) {
	if !config.Project.IsNull() {
		return
	}
	switch {
	case r.connection != nil && !r.connection.defaultProject.IsUnknown():
		plan.Project = r.connection.defaultProject
	case exists:
		plan.Project = state.Project // a default that is not known yet is no reason to replace
	default:
		plan.Project = types.StringUnknown()
	}
}

// planImage fills in the image of the bundled runner.
func (r *spoutResource) planImage(plan, config *spoutModel) {
	if !config.Image.IsNull() {
		return
	}
	switch set, unknown := config.anySource(); {
	case unknown || config.Transform.IsUnknown():
		plan.Image = types.StringUnknown()
	case !set:
		plan.Image = types.StringNull()
	default:
		plan.Image = types.StringValue(r.runnerImage)
	}
}

// planWaitFor fills in what is waited for.
func planWaitFor(plan, config *spoutModel) {
	switch _, unknown := config.anySource(); {
	case !config.WaitFor.IsNull():
	case unknown || config.Transform.IsUnknown():
		plan.WaitFor = types.StringUnknown()
	default:
		plan.WaitFor = types.StringValue(plan.defaultWaitFor())
	}
}

func (m *spoutModel) defaultWaitFor() string { return defaultWaitFor(m.Transform.IsNull()) }

// planReplace plans another spout in place of this one, and says what that
// means.
func (r *spoutResource) planReplace(plan, state *spoutModel, resp *resource.ModifyPlanResponse) {
	attribute := path.Root("name")
	if plan.Name.Equal(state.Name) {
		attribute = path.Root("project")
	}
	resp.RequiresReplace.Append(attribute)
	warnOfReplace(&resp.Diagnostics, attribute, "spout", state.pipelineID(), state.ForceDestroy, state.KeepOutputRepo,
		"The new spout begins with an empty repo, and reads its source from where it is configured to start.")
}

// planSource warns of what a change means to the source, if it stays the same.
func planSource(plan, state *spoutModel, diags *diag.Diagnostics) {
	was, _, ok := state.source()
	is, _, ok2 := plan.source()
	if ok && ok2 && was.name == is.name && is.warn != nil {
		is.warn(state, plan, diags)
	}
}

// nestedText is an attribute of an object, null if there is none.
func nestedText(o types.Object, name string) types.String {
	text, ok := o.Attributes()[name].(types.String)
	if !ok {
		return types.StringNull()
	}
	return text
}

// planDestroy refuses to destroy data that nobody has given up. What keeps it
// from looking is left to destroy.
func (r *spoutResource) planDestroy(ctx context.Context, state *spoutModel, diags *diag.Diagnostics) {
	o, cancel := r.operation(ctx, state, 0, &diag.Diagnostics{})
	defer cancel()
	if o != nil {
		o.diags = diags
		defer o.boundByRequest()()
		o.planDelete()
	}
}

// warnOfReplace says what it means that a pipeline is replaced. Destroy asks
// about the data once more, before it deletes anything.
func warnOfReplace(diags *diag.Diagnostics, attribute path.Path, kind string, old pachyderm.PipelineID, forceDestroy, keepOutputRepo types.Bool, what string) {
	fate := "and fails while the repo holds data, unless force_destroy or keep_output_repo was applied before"
	switch {
	case keepOutputRepo.ValueBool():
		fate = "keeps it as a plain repo, as keep_output_repo says"
	case forceDestroy.ValueBool():
		fate = "deletes it with all data, as force_destroy says"
	}
	diags.AddAttributeWarning(attribute, capital(kind)+" "+old.String()+" is replaced",
		fmt.Sprintf("A pipeline and its output repo cannot be renamed. %s Destroying the old %s deletes its output repo, %s.", what, kind, fate))
}

// unchanged says whether the plan asks for the specification that the state has.
func (m *spoutModel) unchanged(ctx context.Context, state *spoutModel) bool {
	if !m.known() {
		return false
	}
	spec, diags := m.expand(ctx)
	return !diags.HasError() && state.means(ctx, spec)
}

// unobserved marks what the server is going to change.
func (m *spoutModel) unobserved(version bool) {
	if version {
		m.Version = types.Int64Unknown()
	}
	m.State, m.Reason = types.StringUnknown(), types.StringUnknown()
	m.WorkersAvailable, m.WorkersRequested = types.Int64Unknown(), types.Int64Unknown()
}
