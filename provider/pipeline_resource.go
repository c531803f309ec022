// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// pipelineModel is the resource pachyderm_pipeline: any pipeline but a spout,
// as pachctl's JSON.
type pipelineModel struct {
	ID      types.String `tfsdk:"id"`
	Project types.String `tfsdk:"project"`
	Name    types.String `tfsdk:"name"`
	Spec    types.String `tfsdk:"spec"`

	Paused            types.Bool   `tfsdk:"paused"`
	WaitFor           types.String `tfsdk:"wait_for"`
	ReprocessOnUpdate types.Bool   `tfsdk:"reprocess_on_update"`
	ForceDestroy      types.Bool   `tfsdk:"force_destroy"`
	KeepOutputRepo    types.Bool   `tfsdk:"keep_output_repo"`
	Timeouts          types.Object `tfsdk:"timeouts"`

	Version          types.Int64  `tfsdk:"version"`
	Type             types.String `tfsdk:"type"`
	State            types.String `tfsdk:"state"`
	Reason           types.String `tfsdk:"reason"`
	WorkersAvailable types.Int64  `tfsdk:"workers_available"`
	WorkersRequested types.Int64  `tfsdk:"workers_requested"`
	OutputRepo       types.String `tfsdk:"output_repo"`
	OutputBranch     types.String `tfsdk:"output_branch"`
}

func newPipelineResource() resource.Resource {
	return &objectResource[pipelineModel, *pipelineModel]{kind: "pipeline", schema: pipelineSchema, identity: inProject("Name of the pipeline.")}
}

func (m *pipelineModel) limits() types.Object { return m.Timeouts }

func (m *pipelineModel) pipelineID() pachyderm.PipelineID {
	return pachyderm.PipelineID{Project: m.Project.ValueString(), Name: m.Name.ValueString()}
}

// document returns the specification, or nil if it is not known or not one.
func (m *pipelineModel) document() *pachyderm.Document {
	if m.Spec.IsNull() || m.Spec.IsUnknown() {
		return nil
	}
	d, err := pachyderm.ParseDocument(m.Spec.ValueString())
	if err != nil {
		return nil // validate has said so
	}
	return d
}

// validate checks what needs no server.
func (m *pipelineModel) validate(_ context.Context, diags *diag.Diagnostics) {
	if m.Spec.IsNull() || m.Spec.IsUnknown() {
		return
	}
	at := path.Root("spec")
	d, err := pachyderm.ParseDocument(m.Spec.ValueString())
	if err != nil {
		diags.AddAttributeError(at, "Invalid specification", documentProblem(err))
		return
	}
	if d.Kind() == pachyderm.KindSpout {
		diags.AddAttributeError(at, "Spout in pachyderm_pipeline", "The specification has \"spout\". Use the resource pachyderm_spout, which knows what spouts need: its transform takes the specification's transform.")
		return
	}
	for _, problem := range d.Problems() {
		diags.AddAttributeError(at, "Invalid specification", "spec."+problem.Field+" "+problem.Text)
	}
	m.validateName(d, diags)
}

// validateName compares the attributes with what the specification says.
func (m *pipelineModel) validateName(d *pachyderm.Document, diags *diag.Diagnostics) {
	if m.Name.IsNull() && d.ID.Name == "" {
		diags.AddAttributeError(path.Root("name"), "No name", "Neither name nor the specification's pipeline.name is set. Set name.")
	}
	for _, c := range []struct {
		attribute, field, inSpec string
		value                    types.String
	}{{"name", "pipeline.name", d.ID.Name, m.Name}, {"project", "pipeline.project.name", d.ID.Project, m.Project}} {
		if known(c.value) && c.inSpec != "" && c.inSpec != c.value.ValueString() {
			diags.AddAttributeError(path.Root(c.attribute), "Two names for a pipeline",
				fmt.Sprintf("%s = %q, but %s in spec is %q. Leave one of them out.", c.attribute, c.value.ValueString(), c.field, c.inSpec))
		}
	}
}

// documentProblem says what is wrong with a text, and what may have been meant.
func documentProblem(err error) string {
	var problem *pachyderm.DocumentError
	switch {
	case !errors.As(err, &problem):
		return sentence(err.Error())
	case problem.Field == "":
		return "spec " + problem.What + "."
	case len(problem.Known) == 0:
		return "spec." + problem.Field + " " + problem.What + "."
	}
	name := problem.Field[strings.LastIndexByte(problem.Field, '.')+1:]
	if nearest, ok := settings.Nearest(name, problem.Known); ok {
		return fmt.Sprintf("spec.%s %s. Did you mean %s?", problem.Field, problem.What, nearest)
	}
	fields := slices.DeleteFunc(slices.Clone(problem.Known), func(name string) bool { return strings.Contains(name, "_") })
	return fmt.Sprintf("spec.%s %s. There are: %s.", problem.Field, problem.What, strings.Join(fields, ", "))
}

// complete fills in what the specification says of the pipeline's name.
func (m *pipelineModel) complete(_ *connection, config, state *pipelineModel, diags *diag.Diagnostics) {
	d := config.document()
	switch {
	case !config.Name.IsNull():
	case d != nil:
		m.Name = types.StringValue(d.ID.Name)
	case state != nil: // a specification that is not known yet is no reason to replace
		m.Name = state.Name
	default:
		m.Name = types.StringUnknown()
	}
	if config.Project.IsNull() {
		switch {
		case d != nil && d.ID.Project != "":
			m.Project = types.StringValue(d.ID.Project)
		case d == nil && state != nil:
			m.Project = state.Project
		case d == nil:
			m.Project = types.StringUnknown()
		}
	}
	if state != nil && known(m.Name) && known(m.Project) && m.pipelineID() != state.pipelineID() {
		attribute := "name"
		if m.Name.Equal(state.Name) {
			attribute = "project"
		}
		warnOfReplace(diags, path.Root(attribute), "pipeline", state.pipelineID(), state.ForceDestroy, state.KeepOutputRepo,
			"The new pipeline begins with an empty repo, and processes its inputs again.")
	}
}

// plan says which values the change can touch.
func (m *pipelineModel) plan(_ context.Context, _ *connection, _, state *pipelineModel, diags *diag.Diagnostics) {
	d := m.document()
	m.OutputRepo, m.OutputBranch, m.Type = m.Name, types.StringUnknown(), types.StringUnknown()
	if d != nil {
		m.OutputBranch, m.Type = types.StringValue(d.OutputBranch()), types.StringValue(d.Kind())
	}
	if known(m.Project) && known(m.Name) {
		if problem := pipelineNameProblem(m.pipelineID()); problem != "" {
			diags.AddAttributeError(path.Root("name"), "Invalid name", problem)
		}
		if d != nil && d.Reads(m.pipelineID()) {
			diags.AddAttributeError(path.Root("spec"), "Invalid specification", "The input reads "+m.pipelineID().String()+", the pipeline's own output repo. Read another repo.")
		}
	}
	if state == nil {
		m.unobserved(true)
		return
	}
	before := state.document()
	if d != nil && before != nil && d.Kind() != before.Kind() {
		diags.AddAttributeError(path.Root("spec"), "Another kind of pipeline", fmt.Sprintf("%s is a %s, and would become a %s. Pachyderm mixes up the two. Give the new pipeline another name, or destroy this one first.",
			m.pipelineID(), before.Kind(), d.Kind()))
	}
	changed := d == nil || before == nil || !d.Means(before, m.pipelineID())
	if !changed && d.ID == before.ID {
		m.Spec = state.Spec // said in other words
	}
	m.copyObserved(state)
	if changed || !m.Paused.Equal(state.Paused) {
		m.unobserved(changed)
	}
}

func (m *pipelineModel) unobserved(version bool) {
	if version {
		m.Version = types.Int64Unknown()
	}
	m.State, m.Reason = types.StringUnknown(), types.StringUnknown()
	m.WorkersAvailable, m.WorkersRequested = types.Int64Unknown(), types.Int64Unknown()
}

func (m *pipelineModel) copyObserved(from *pipelineModel) {
	m.Version, m.State, m.Reason = from.Version, from.State, from.Reason
	m.WorkersAvailable, m.WorkersRequested = from.WorkersAvailable, from.WorkersRequested
}

// observe sets what only the server knows.
func (m *pipelineModel) observe(p *pachyderm.Pipeline) {
	m.ID, m.OutputRepo = types.StringValue(p.ID.String()), types.StringValue(p.ID.Name)
	m.Version = types.Int64Value(int64(p.Version))
	m.State, m.Reason = types.StringValue(p.State), types.StringValue(p.Reason)
	m.WorkersAvailable, m.WorkersRequested = types.Int64Value(p.WorkersAvailable), types.Int64Value(p.WorkersRequested)
}

// operation returns the operation on the pipeline, or nil after an error: what
// was not known while planning is looked at here.
func (m *pipelineModel) operation(o *operation) *pipelineOperation {
	d, err := pachyderm.ParseDocument(m.Spec.ValueString())
	if err != nil {
		o.diags.AddAttributeError(path.Root("spec"), "Invalid specification", documentProblem(err))
		return nil
	}
	if m.validateName(d, o.diags); o.diags.HasError() {
		return nil
	}
	m.Type, m.OutputBranch = types.StringValue(d.Kind()), types.StringValue(d.OutputBranch())
	return &pipelineOperation{o, m.pipelineID(), wantedPipeline{
		outputBranch: d.OutputBranch(), paused: m.Paused.ValueBool(), waitFor: cmp.Or(m.WaitFor.ValueString(), waitForRunning),
		forceDestroy: m.ForceDestroy.ValueBool(), keepOutputRepo: m.KeepOutputRepo.ValueBool(),
		means: func(_ context.Context, p *pachyderm.Pipeline) bool { return d.Means(p.Document(), p.ID) },
		send: func(ctx context.Context, client *pachyderm.Client, id pachyderm.PipelineID, update bool) error {
			if update {
				return client.UpdateDocument(ctx, id, d, m.ReprocessOnUpdate.ValueBool())
			}
			return client.CreateDocument(ctx, id, d, o.connection.mark.salt(id))
		},
	}}
}

func (m *pipelineModel) create(o *operation) bool {
	m.validate(o.ctx, o.diags)
	po := m.operation(o)
	if po == nil {
		return false
	}
	p := po.create()
	if p == nil {
		return false
	}
	m.observe(p)
	p, gone := po.settle(p.Version)
	if p != nil {
		m.observe(p)
	}
	return !gone
}

func (m *pipelineModel) read(o *operation) bool {
	p, err := o.client.InspectPipeline(o.ctx, m.pipelineID())
	switch {
	case pachyderm.IsNotFound(err):
		return false
	case err != nil:
		o.fail("read", err)
		return false
	case p.IsSpout:
		o.refuse("is a spout", "Manage it with pachyderm_spout.")
		return false
	}
	if m.Version.IsNull() { // imported
		m.WaitFor, m.ReprocessOnUpdate = types.StringValue(waitForRunning), types.BoolValue(false)
		m.ForceDestroy, m.KeepOutputRepo = types.BoolValue(false), types.BoolValue(false)
	}
	m.observe(p)
	m.Paused, m.Type, m.OutputBranch = types.BoolValue(p.Stopped), types.StringValue(p.Kind), types.StringValue(p.OutputBranch)
	have := p.Document()
	if asked := m.document(); asked != nil && asked.Means(have, p.ID) {
		return true
	}
	text, err := have.JSON(p.ID)
	if err != nil {
		o.fail("read the specification of", err)
		return false
	}
	m.Spec = types.StringValue(text)
	return true
}

func (m *pipelineModel) update(o *operation, before *pipelineModel) bool {
	m.validate(o.ctx, o.diags)
	po := m.operation(o)
	if po == nil {
		return false
	}
	old, now := before.document(), m.document()
	was := &pachyderm.Pipeline{Version: uint64(before.Version.ValueInt64()), Stopped: before.Paused.ValueBool()}
	p := po.update(was, old == nil || !now.Means(old, m.pipelineID()))
	switch p {
	case nil:
		return false
	case was:
		m.copyObserved(before)
	default:
		m.observe(p)
	}
	return true
}

func (m *pipelineModel) delete(o *operation) {
	if po := m.operation(o); po != nil {
		po.delete()
	}
}

func (m *pipelineModel) planDelete(o *operation) {
	if po := m.operation(o); po != nil {
		po.planDelete()
	}
}
