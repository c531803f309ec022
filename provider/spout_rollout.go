// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// logLines is how much of a spout's log goes into a message.
const logLines = 10

// afterwards bounds what is still done when an operation's own time is over.
const afterwards = 20 * time.Second

// spoutOperation is one create, read, update or delete of one spout.
type spoutOperation struct {
	ctx        context.Context
	client     *pachyderm.Client
	connection *connection
	id         pachyderm.PipelineID
	diags      *diag.Diagnostics
}

func (o *spoutOperation) fail(summary string, err error) {
	o.diags.AddError(summary+" "+o.id.String(), o.connection.explain(err))
}

// create makes the pipeline and says whether it is there now.
func (o *spoutOperation) create(m *spoutModel) bool {
	spec, diags := m.expand(o.ctx)
	o.diags.Append(diags...)
	if diags.HasError() {
		return false
	}
	// A look before: what is there already is not ours, whatever it looks like.
	if _, err := o.client.InspectPipeline(o.ctx, o.id); err == nil {
		o.exists()
		return false
	} else if !pachyderm.IsNotFound(err) {
		o.fail("Cannot create spout", err)
		return false
	}
	tflog.Info(o.ctx, "creating pipeline")
	err := o.client.CreatePipeline(o.ctx, o.id, spec)
	switch {
	case err == nil:
	case pachyderm.IsUnavailable(err) || pachyderm.IsTimeout(err):
		if !o.arrived(m, 1, err) {
			return false
		}
	case pachyderm.IsAlreadyExists(err):
		o.exists()
		return false
	default:
		o.fail("Cannot create spout", err)
		return false
	}
	m.observe(&pachyderm.Pipeline{ID: o.id, Version: 1, State: pachyderm.StateStarting})
	return true
}

func (o *spoutOperation) exists() {
	o.diags.AddError("Spout "+o.id.String()+" exists already", fmt.Sprintf("There is a pipeline %s, or a repo of that name, which this configuration did not create. "+
		"To manage the pipeline from here, import it:\n\n  terraform import <address of this resource> %s\n\nElse choose another name. "+
		"A repo that is left of a deleted pipeline must be deleted first.", o.id, o.id))
}

// arrived finds out what became of a create or update that got no answer: it
// says whether the pipeline is at that version, with that specification.
func (o *spoutOperation) arrived(m *spoutModel, version uint64, cause error) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.ctx), afterwards)
	defer cancel()
	tflog.Warn(ctx, "no answer; looking whether the request has arrived", map[string]any{"error": pachyderm.Reason(cause)})
	unclear := fmt.Sprintf("Pachyderm gave no answer (%s), ", pachyderm.Reason(cause))
	var p *pachyderm.Pipeline
	var err error
	for range 3 {
		if p, err = o.client.InspectPipeline(ctx, o.id); err == nil && p.Version >= version {
			break
		}
		select {
		case <-time.After(o.connection.wait.Poll):
		case <-ctx.Done():
		}
	}
	switch {
	case pachyderm.IsNotFound(err):
		o.diags.AddError("Spout "+o.id.String()+" was probably not created", unclear+"and there is no such pipeline. Apply again. If the pipeline has appeared by then, import it:\n\n"+
			"  terraform import <address of this resource> "+o.id.String())
	case err != nil:
		o.diags.AddError("It is not known whether spout "+o.id.String()+" was created or updated", unclear+"and cannot be asked now: "+pachyderm.Reason(err)+
			". Look with: pachctl inspect pipeline --project "+o.id.Project+" "+o.id.Name+". If a new spout is there, import it:\n\n  terraform import <address of this resource> "+o.id.String())
	case p.Version < version:
		o.diags.AddError("Spout "+o.id.String()+" was probably not updated", unclear+"and the pipeline is still at version "+fmt.Sprint(p.Version)+". Apply again.")
	case p.Version > version || !m.means(ctx, m.withoutDefaults(p.Spec)):
		o.diags.AddError("Spout "+o.id.String()+" is not what was asked for", unclear+"and the pipeline that is there has another specification: somebody else was faster. "+
			"If it is the one that you want to manage, import it:\n\n  terraform import <address of this resource> "+o.id.String())
	default:
		return true
	}
	return false
}

// settle brings a new spout to the state that it should be in, as far as that
// is possible, and reads what it came to. Nothing here may be an error.
func (o *spoutOperation) settle(m *spoutModel) {
	if m.Paused.ValueBool() {
		if err := o.client.StopPipeline(o.ctx, o.id); err != nil {
			o.diags.AddWarning("Spout "+o.id.String()+" is not paused", "It was created, but not stopped: "+o.connection.explain(err)+" The next apply tries again.")
		}
	}
	p, err := o.await(m, uint64(m.Version.ValueInt64()))
	if err != nil {
		summary, detail := o.notThere(m, p, err)
		o.diags.AddWarning(summary, detail+"\n\nThe spout was created and is in the state. It is not replaced: correct the configuration and apply again, which updates it in place.")
	}
	if p != nil {
		m.observe(p)
	}
}

// await waits as wait_for says, and returns what it saw last.
func (o *spoutOperation) await(m *spoutModel, version uint64) (*pachyderm.Pipeline, error) {
	wait := o.connection.wait
	inspect := func(ctx context.Context) (*pachyderm.Pipeline, error) { return o.client.InspectPipeline(ctx, o.id) }
	wait.Progress = func(p *pachyderm.Pipeline) {
		tflog.Info(o.ctx, "waiting for the pipeline", map[string]any{"version": p.Version, "state": p.State, "reason": p.Reason,
			"workers_available": p.WorkersAvailable, "workers_requested": p.WorkersRequested})
	}
	switch {
	case m.WaitFor.ValueString() != waitForRunning:
		p, err := inspect(o.ctx)
		if err != nil {
			return nil, &pachyderm.NotThereError{Why: pachyderm.Reason(err), Err: err}
		}
		return p, nil
	case m.Paused.ValueBool():
		return wait.Paused(o.ctx, inspect)
	default:
		return wait.Running(o.ctx, version, inspect)
	}
}

// notThere describes a wait that failed, with the spout's own last words.
func (o *spoutOperation) notThere(m *spoutModel, p *pachyderm.Pipeline, err error) (summary, detail string) {
	summary = "Spout " + o.id.String() + " does not run"
	if m.Paused.ValueBool() {
		summary = "Spout " + o.id.String() + " has not stopped"
	}
	var notThere *pachyderm.NotThereError
	if !errors.As(err, &notThere) {
		return summary, o.connection.explain(err)
	}
	detail = sentence(notThere.Why)
	if p == nil {
		return summary, detail
	}
	if p.State == pachyderm.StateFailure {
		detail += " Pachyderm does not try again before the specification changes; an annotation in metadata is enough."
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.ctx), afterwards)
	defer cancel()
	lines, err := o.client.Logs(ctx, o.id, logLines)
	if err != nil {
		tflog.Debug(ctx, "cannot read the spout's log", map[string]any{"error": pachyderm.Reason(err)})
	}
	if len(lines) > 0 {
		detail += "\n\nThe newest lines of its log:\n\n  " + strings.Join(lines, "\n  ")
	}
	return summary, detail
}

// update brings a spout from before to m, and says whether it got there.
func (o *spoutOperation) update(m, before *spoutModel) bool {
	spec, diags := m.expand(o.ctx)
	o.diags.Append(diags...)
	if diags.HasError() {
		return false
	}
	version := uint64(before.Version.ValueInt64())
	changed := !before.means(o.ctx, spec)
	pause := m.Paused.ValueBool() && !before.Paused.ValueBool()
	resume := !m.Paused.ValueBool() && before.Paused.ValueBool()

	if pause { // before an update, so that the new version does not run
		tflog.Info(o.ctx, "stopping pipeline")
		if err := o.client.StopPipeline(o.ctx, o.id); err != nil {
			o.fail("Cannot pause spout", err)
			return false
		}
	}
	if changed {
		var ok bool
		if version, ok = o.send(m, spec); !ok {
			return false
		}
	}
	if resume {
		tflog.Info(o.ctx, "starting pipeline")
		if !o.start(m) {
			return false
		}
	}
	if !changed && !pause && !resume {
		m.copyObserved(before)
		return true
	}
	p, err := o.await(m, version)
	if err != nil {
		o.diags.AddError(o.notThere(m, p, err))
		return false
	}
	m.observe(p)
	return true
}

// send updates the pipeline, and returns its new version.
func (o *spoutOperation) send(m *spoutModel, spec pachyderm.Spec) (uint64, bool) {
	p, err := o.client.InspectPipeline(o.ctx, o.id)
	if err == nil {
		tflog.Info(o.ctx, "updating pipeline", map[string]any{"from_version": p.Version})
		err = o.client.UpdatePipeline(o.ctx, o.id, spec)
		if err != nil && (pachyderm.IsUnavailable(err) || pachyderm.IsTimeout(err)) {
			return p.Version + 1, o.arrived(m, p.Version+1, err)
		}
	}
	if err != nil { // above all, not found: an update would make a new pipeline
		o.fail("Cannot update spout", err)
		return 0, false
	}
	return p.Version + 1, true
}

// start starts a stopped spout, and deals with what that does to the output
// branch. The bundled runner does so itself.
func (o *spoutOperation) start(m *spoutModel) bool {
	if err := o.client.StartPipeline(o.ctx, o.id); err != nil {
		o.fail("Cannot start spout", err)
		return false
	}
	if m.Transform.IsNull() {
		return true
	}
	branch := m.OutputBranch.ValueString()
	head, err := o.client.RepairHead(o.ctx, o.id, branch)
	switch {
	case err != nil:
		o.diags.AddWarning("Head of spout "+o.id.String()+" not checked", fmt.Sprintf("Starting a pipeline can leave an open commit on the branch %s, which nobody finishes. "+
			"Whether it did is not known: %s Finish it with: pachctl finish commit --project %s %s@%s", branch, o.connection.explain(err), o.id.Project, o.id.Name, branch))
	case head == pachyderm.HeadEmptied:
		o.diags.AddWarning("Older files of spout "+o.id.String()+" are not on the head any more", fmt.Sprintf("This version of Pachyderm puts an empty commit on the branch %s when a spout is started. "+
			"No data is lost: the files written before are in its ancestors, as %s^. The bundled runner brings them back; code of your own must do so itself.", branch, o.id.Name+"@"+branch))
	}
	return true
}

// copyObserved keeps what was known of the server.
func (m *spoutModel) copyObserved(from *spoutModel) {
	m.ID, m.OutputRepo, m.Version, m.State, m.Reason = from.ID, from.OutputRepo, from.Version, from.State, from.Reason
	m.WorkersAvailable, m.WorkersRequested = from.WorkersAvailable, from.WorkersRequested
	if m.Reason.IsUnknown() {
		m.Reason = types.StringNull()
	}
}
