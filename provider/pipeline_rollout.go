// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// logLines is how much of a pipeline's log goes into a message.
const logLines = 10

// pipelineOperation is one create, read, update or delete of one pipeline,
// which a resource of any kind manages.
type pipelineOperation struct {
	*operation
	id     pachyderm.PipelineID
	wanted wantedPipeline
}

// wantedPipeline is what an operation is to bring about.
type wantedPipeline struct {
	outputBranch   string
	paused         bool
	waitFor        string
	forceDestroy   bool
	keepOutputRepo bool

	// ownHead says whether the code of a spout knows nothing of what a start does
	// to the head of the output branch. It is nil for other pipelines, whose
	// branches Pachyderm itself writes.
	ownHead func(context.Context) bool
	// send creates or updates the pipeline.
	send func(ctx context.Context, client *pachyderm.Client, id pachyderm.PipelineID, update bool) error
	// means says whether a pipeline has the specification that is sent.
	means func(context.Context, *pachyderm.Pipeline) bool
}

// create makes the pipeline and returns it as it is then, or nil after an error.
func (o *pipelineOperation) create() *pachyderm.Pipeline {
	// A look before: what is there already is not ours, whatever it looks like,
	// unless an apply of this configuration was interrupted.
	p, err := o.client.InspectPipeline(o.ctx, o.id)
	switch {
	case err == nil && o.interrupted(p):
		o.diags.AddWarning(capital(o.label())+" is taken over", "An apply of this configuration has created it and was interrupted before Terraform saved its state. It is what the configuration asks for.")
		return p
	case err == nil:
		o.exists("")
		return nil
	case !pachyderm.IsNotFound(err):
		o.fail("create", err)
		return nil
	}
	tflog.Info(o.ctx, "creating pipeline")
	err = o.wanted.send(o.ctx, o.client, o.id, false)
	switch {
	case err == nil:
		o.connection.mark.owns(o.id)
	case pachyderm.IsUnanswered(err):
		if !o.arrived(1, err) {
			return nil
		}
	case pachyderm.IsAlreadyExists(err):
		o.existsAlready()
		return nil
	default:
		o.fail("create", err)
		return nil
	}
	return &pachyderm.Pipeline{ID: o.id, Version: 1, State: pachyderm.StateStarting}
}

// existsAlready says what is in the way of a new pipeline: a pipeline that was
// made meanwhile, or a repo of its name, which Pachyderm takes for the same.
func (o *pipelineOperation) existsAlready() {
	_, noPipeline := o.client.InspectPipeline(o.ctx, o.id)
	_, noRepo := o.client.InspectRepo(o.ctx, pachyderm.RepoID(o.id))
	if !pachyderm.IsNotFound(noPipeline) || noRepo != nil {
		o.exists("")
		return
	}
	o.diags.AddError("Repo "+o.id.String()+" is in the way of "+o.label(), fmt.Sprintf("There is no pipeline %[1]s, but a repo of that name, such as keep_output_repo leaves. Pachyderm creates no pipeline while there is one.\n\n"+
		"To keep its data, give the new %[2]s another name. A pachyderm_repo can manage the old repo: terraform import <address of the repo> %[1]s\n\n"+
		"If its data may go, delete it and apply again: pachctl delete repo --project %[3]s %[4]s", o.id, o.kind, o.id.Project, o.id.Name))
}

// interrupted says whether an apply of this configuration that was interrupted
// has left a pipeline, just as it is wanted now, and takes it over. What another
// resource of this run has is not left.
func (o *pipelineOperation) interrupted(p *pachyderm.Pipeline) bool {
	return o.connection.mark.made(o.id, p.Salt) && p.Version == 1 && (!p.Stopped || o.wanted.paused) &&
		o.connection.now().Sub(p.Created) < interruptedFor && o.wanted.means(o.ctx, p) && o.connection.mark.take(o.id)
}

// arrived finds out what became of a create or update that got no answer: it
// says whether the pipeline is at that version, with that specification.
func (o *pipelineOperation) arrived(version uint64, cause error) bool {
	ctx, cancel := o.after()
	defer cancel()
	tflog.Warn(ctx, "no answer; looking whether the request has arrived", map[string]any{"error": pachyderm.Reason(cause)})
	unclear := fmt.Sprintf("Pachyderm gave no answer (%s), ", pachyderm.Reason(cause))
	var p *pachyderm.Pipeline
	var err error
	for range 3 {
		if p, err = o.client.InspectPipeline(ctx, o.id); err == nil && p.Version >= version {
			break
		}
		o.pause(ctx)
	}
	switch {
	case pachyderm.IsNotFound(err):
		o.diags.AddError(capital(o.label())+" was probably not created", unclear+"and there is no such pipeline. Apply again. If the pipeline has appeared by then, import it:"+o.command())
	case err != nil:
		o.diags.AddError("It is not known whether "+o.label()+" was created or updated", unclear+"and cannot be asked now: "+pachyderm.Reason(err)+
			". Look with: pachctl inspect pipeline --project "+o.id.Project+" "+o.id.Name+". If a new one is there, import it:"+o.command())
	case p.Version < version:
		o.diags.AddError(capital(o.label())+" was probably not updated", unclear+"and the pipeline is still at version "+fmt.Sprint(p.Version)+". Apply again.")
	case p.Version > version || !o.wanted.means(ctx, p):
		o.diags.AddError(capital(o.label())+" is not what was asked for", unclear+"and the pipeline that is there has another specification: somebody else changed it first. "+
			"If it is the one that you want to manage, import it:"+o.command())
	default:
		return true
	}
	return false
}

// settle brings a new pipeline to the state that it should be in, as far as
// that is possible, and returns what it came to, or nil if that is not known.
// Nothing here may be an error, unless the pipeline is gone again: Terraform
// would replace it.
func (o *pipelineOperation) settle(version uint64) (p *pachyderm.Pipeline, gone bool) {
	if o.wanted.paused {
		if err := o.client.StopPipeline(o.ctx, o.id); err != nil {
			o.diags.AddWarning(capital(o.label())+" is not paused", "It was created, but not stopped: "+o.connection.explain(err)+" The next apply tries again.")
		}
	}
	p, err := o.await(version, codeBefore{fresh: true})
	if err == nil {
		return p, false
	}
	summary, detail := o.notThere(p, err)
	if hasNoPod(p, version, err) && o.undo(summary, detail) {
		return nil, true
	}
	o.diags.AddWarning(summary, detail+"\n\nThe "+o.kind+" was created and is in the state. Terraform does not replace it. Correct the configuration and apply again, which updates it in place.")
	return p, false
}

// await waits as wait_for says, and returns what it saw last.
func (o *pipelineOperation) await(version uint64, b codeBefore) (*pachyderm.Pipeline, error) {
	switch {
	case o.wanted.waitFor == waitForCreated:
		p, err := o.inspectNow(o.ctx)
		if err != nil {
			return nil, &pachyderm.NotThereError{Why: pachyderm.Reason(err), Err: err}
		}
		return p, nil
	case o.wanted.paused:
		return o.awaitPaused()
	default:
		return o.awaitRunning(o.wait(), version, b)
	}
}

// awaitRunning waits until the pipeline runs and, if it is a spout, until its
// code does.
func (o *pipelineOperation) awaitRunning(wait pachyderm.Wait, version uint64, b codeBefore) (*pachyderm.Pipeline, error) {
	switch {
	case o.wanted.waitFor == waitForIngesting:
		return wait.Working(o.ctx, version, o.inspectNow, o.runnerWorks(b))
	case o.wanted.ownHead != nil && o.wanted.ownHead(o.ctx):
		return wait.Working(o.ctx, version, o.inspectNow, o.otherCodeRuns(b))
	default:
		return wait.Running(o.ctx, version, o.inspectNow)
	}
}

// awaitPaused waits until a pipeline that was stopped writes no more.
func (o *pipelineOperation) awaitPaused() (*pachyderm.Pipeline, error) {
	return o.wait().Paused(o.ctx, o.inspectNow, func(ctx context.Context, p *pachyderm.Pipeline) (bool, error) {
		if !p.IsSpout { // nobody begins where another pipeline has ended
			return false, nil
		}
		finishing, err := o.client.Branch(p.ID.Project, p.ID.Name, p.OutputBranch).IsFinishing(ctx)
		if pachyderm.IsNotFound(err) {
			return false, nil
		}
		return finishing, err
	})
}

func (o *pipelineOperation) inspectNow(ctx context.Context) (*pachyderm.Pipeline, error) {
	return o.client.InspectPipeline(ctx, o.id)
}

// wait is how the pipeline is waited for, which the log tells of.
func (o *pipelineOperation) wait() pachyderm.Wait {
	wait := o.connection.wait
	wait.Progress = func(p *pachyderm.Pipeline) {
		tflog.Info(o.ctx, "waiting for the pipeline", map[string]any{"version": p.Version, "state": p.State, "reason": p.Reason,
			"workers_available": p.WorkersAvailable, "workers_requested": p.WorkersRequested})
	}
	return wait
}

// notThere describes a wait that failed, with what the code says, or else its
// last words.
func (o *pipelineOperation) notThere(p *pachyderm.Pipeline, err error) (summary, detail string) {
	summary = capital(o.label()) + " does not run"
	if o.wanted.paused {
		summary = capital(o.label()) + " has not stopped"
	}
	var notThere *pachyderm.NotThereError
	if !errors.As(err, &notThere) {
		return summary, o.connection.explain(err)
	}
	detail = sentence(notThere.Why)
	if p == nil {
		return summary, detail
	}
	switch {
	case notThere.Silent:
		summary = "It is not known whether " + o.label() + " ingests"
	case notThere.Code && o.wanted.waitFor == waitForIngesting:
		return capital(o.label()) + " does not ingest", "Its pod runs, but the runner in it is not ready: " + notThere.Why + ".\n\n" +
			"It tries again without end, and ingests as soon as it can. To apply without waiting for that, set wait_for = \"running\"."
	case notThere.Code:
		detail = "Its pod runs, but " + notThere.Why + "."
	case p.State == pachyderm.StateFailure:
		detail += " Pachyderm does not try again before the specification changes. An annotation in metadata is enough."
	case p.WorkersAvailable == 0 && p.Reason == "" && !o.wanted.paused:
		detail += " " + podUnknown(p)
	}
	ctx, cancel := o.after()
	defer cancel()
	lines, err := o.client.Logs(ctx, o.id, pachyderm.LogsOptions{Lines: logLines, Spout: p.IsSpout})
	if err != nil {
		tflog.Debug(ctx, "cannot read the log", map[string]any{"error": pachyderm.Reason(err)})
	}
	if len(lines) > 0 {
		detail += "\n\nThe newest lines of its log:\n"
	}
	for _, line := range lines {
		detail += "\n  " + pachyderm.Plain(line.Text)
	}
	return summary, detail
}

// update brings a pipeline from how it was to how it is wanted, and sends its
// specification if that changed. It returns what it came to: nil after an
// error, and the pipeline as it was if there was nothing to do.
func (o *pipelineOperation) update(before *pachyderm.Pipeline, changed bool) *pachyderm.Pipeline {
	version := before.Version
	pause := o.wanted.paused && !before.Stopped
	resume := !o.wanted.paused && before.Stopped

	if pause { // before an update, so that the new version does not run
		tflog.Info(o.ctx, "stopping pipeline")
		if err := o.client.StopPipeline(o.ctx, o.id); pachyderm.IsNotFound(err) {
			o.gone()
			return nil
		} else if err != nil {
			o.fail("pause", err)
			return nil
		}
	}
	if changed {
		var ok bool
		if version, ok = o.send(); !ok {
			return nil
		}
	}
	var b codeBefore
	if resume {
		b = o.before()
		tflog.Info(o.ctx, "starting pipeline")
		if !o.start() {
			return nil
		}
	}
	if !changed && !pause && !resume {
		return before
	}
	p, err := o.await(version, b)
	switch {
	case err == nil:
		return p
	case pachyderm.IsNotFound(err):
		o.gone()
		return nil
	}
	var notThere *pachyderm.NotThereError
	if errors.As(err, &notThere) && notThere.Silent { // no reason to send the update again
		o.diags.AddWarning(o.notThere(p, err))
		return p
	}
	o.diags.AddError(o.notThere(p, err))
	return nil
}

// send updates the pipeline, and returns its new version.
func (o *pipelineOperation) send() (uint64, bool) {
	p, err := o.client.InspectPipeline(o.ctx, o.id)
	switch {
	case pachyderm.IsNotFound(err): // an update would make a new pipeline
		o.gone()
		return 0, false
	case err != nil:
		o.fail("update", err)
		return 0, false
	}
	version := p.Version + 1
	tflog.Info(o.ctx, "updating pipeline", map[string]any{"from_version": p.Version})
	err = o.wanted.send(o.ctx, o.client, o.id, true)
	if pachyderm.IsReadWhileUpdated(err) && !p.Stopped {
		return version, o.sendStopped(p)
	}
	return version, o.sent(version, err)
}

// sendStopped updates a spout that runs while it is stopped.
func (o *pipelineOperation) sendStopped(p *pachyderm.Pipeline) bool {
	tflog.Info(o.ctx, "stopping the spout for the update, since this Pachyderm refuses one while another pipeline reads its output branch")
	err := o.client.StopPipeline(o.ctx, o.id)
	if err == nil {
		err = o.wanted.send(o.ctx, o.client, o.id, true)
	}
	if !o.sent(p.Version+1, err) {
		o.restore(p)
		return false
	}
	if !o.start() {
		o.restore(p)
		return false
	}
	return true
}

// sent says whether an update that came back with err has led to the version.
func (o *pipelineOperation) sent(version uint64, err error) bool {
	switch {
	case err == nil:
		return true
	case pachyderm.IsUnanswered(err):
		return o.arrived(version, err)
	default:
		o.fail("update", err)
		return false
	}
}

// start starts a stopped pipeline, and deals with what that does to the output
// branch of a spout. The bundled runner does so itself.
func (o *pipelineOperation) start() bool {
	if err := o.client.StartPipeline(o.ctx, o.id); pachyderm.IsNotFound(err) {
		o.gone()
		return false
	} else if err != nil {
		o.fail("start", err)
		return false
	}
	if o.wanted.ownHead == nil || !o.wanted.ownHead(o.ctx) {
		return true
	}
	branch := o.wanted.outputBranch
	head, err := o.client.RepairHead(o.ctx, o.id, branch)
	switch {
	case err != nil:
		o.diags.AddWarning("Head of spout "+o.id.String()+" not checked", fmt.Sprintf("Starting a pipeline can leave an open commit on the branch %s, which nobody finishes. "+
			"Whether it did is not known: %s Finish it with: pachctl finish commit --project %s %s@%s", branch, o.connection.explain(err), o.id.Project, o.id.Name, branch))
	case head == pachyderm.HeadEmptied:
		o.diags.AddWarning("Older files of spout "+o.id.String()+" are not on the head any more", fmt.Sprintf("This version of Pachyderm puts an empty commit on the branch %s when a spout is started. "+
			"No data is lost: the files that were written before are in the commits below it, which pachctl list commit --project %s %s@%s shows. The bundled runner brings them back. Code of your own must do so itself.", branch, o.id.Project, o.id.Name, branch))
	}
	return true
}
