// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// delete deletes the pipeline. As long as its output repo holds data, it does so
// only if it was told what is to become of them.
func (o *pipelineOperation) delete() {
	if o.connection.mark.tookOver(o.id) { // its state knows the pipeline under another address, or as a deposed object
		o.diags.AddWarning(capital(o.label())+" is not destroyed", "Another resource of this configuration, or the one that was to replace it, has found it as it should be and taken it over in this run. It is dropped from where it was in the state.")
		return
	}
	o.connection.mark.owns(o.id)
	p, err := o.client.InspectPipeline(o.ctx, o.id)
	if pachyderm.IsNotFound(err) {
		return
	}
	if err != nil {
		o.fail("destroy", err)
		return
	}
	keep, force := o.wanted.keepOutputRepo, o.wanted.forceDestroy
	if !keep && !o.unread() || !keep && !force && !o.empty() {
		return
	}
	if !keep && !force {
		// What is written between the look and the delete would be lost: look
		// again once nobody writes any more.
		if err := o.client.StopPipeline(o.ctx, o.id); err != nil {
			o.fail("destroy", err)
			o.restore(p) // without an answer, it may have been stopped
			return
		}
		if last, err := o.awaitPaused(); err != nil && !pachyderm.IsNotFound(err) {
			_, detail := o.notThere(last, err)
			o.diags.AddError("Cannot destroy "+o.label()+": it has not stopped", detail)
			o.restore(p)
			return
		}
		if !o.empty() {
			o.restore(p)
			return
		}
	}
	o.release(p)
	tflog.Info(o.ctx, "deleting pipeline", map[string]any{"keep_output_repo": keep})
	err = o.client.DeletePipeline(o.ctx, o.id, keep)
	if err != nil && !pachyderm.IsNotFound(err) {
		o.fail("destroy", err)
		o.restore(p)
		return
	}
	if err := o.client.DeleteLeftBranches(o.ctx, p); err != nil {
		o.diags.AddWarning("Branches of "+o.label()+" are left", fmt.Sprintf("It was deleted, but not the branches %s-trigger-… of the repos it has read, which its inputs' triggers have moved: %s "+
			"They do no harm. To delete one: pachctl delete branch <repo>@<branch> --force", o.id.Name, o.connection.explain(err)))
	}
}

// planDelete says while planning what delete would refuse, so that nothing else
// is destroyed or created before it does. What may be another way by then is
// left to delete, as readers that are destroyed in the same run.
func (o *pipelineOperation) planDelete() {
	if o.wanted.keepOutputRepo || o.wanted.forceDestroy {
		return
	}
	if _, err := o.client.InspectPipeline(o.ctx, o.id); err != nil {
		return // a repo that is left of a pipeline that is gone is not deleted
	}
	if holds, err := o.client.HoldsData(o.ctx, o.id, o.wanted.outputBranch); err == nil && holds {
		o.refuseData()
	}
}

// unread says whether no other pipeline reads the output repo. Pachyderm
// refuses the delete otherwise, but only after it has stopped the pipeline.
func (o *pipelineOperation) unread() bool {
	readers, err := o.client.Downstream(o.ctx, o.id)
	if err != nil {
		o.fail("destroy", err)
		return false
	}
	if len(readers) == 0 {
		return true
	}
	o.diags.AddError(capital(o.label())+" is read by other pipelines", fmt.Sprintf("Its output repo cannot be deleted while it is an input of %s. "+
		"Destroy or change those first, or apply keep_output_repo = true to delete the pipeline only. The %s runs on."+createFirst, strings.Join(readers, ", "), o.kind))
	return false
}

// createFirst is added to the message that something is read still.
const createFirst = "\n\nIf this configuration moves the readers to something else in the same run, Terraform destroys first and changes the readers afterwards. " +
	"Set create_before_destroy = true in the lifecycle block of what is replaced, so that it is destroyed last."

// empty says whether the output repo holds no data.
func (o *pipelineOperation) empty() bool {
	holds, err := o.client.HoldsData(o.ctx, o.id, o.wanted.outputBranch)
	if err != nil {
		o.fail("destroy", err)
		return false
	}
	if holds {
		o.refuseData()
	}
	return !holds
}

func (o *pipelineOperation) refuseData() {
	o.diags.AddError("Output repo of "+o.label()+" holds data", fmt.Sprintf("Destroying the %s would delete the repo %s with everything that was written, also in older commits. "+
		"Nothing was deleted. Choose what happens to the data and apply that first:\n\n"+
		"  force_destroy    = true   deletes it\n"+
		"  keep_output_repo = true   keeps it in a plain repo; a pipeline of the same name cannot be created then\n\n"+
		"To stop the %s and leave everything as it is, set paused = true instead. For an object that the plan calls deposed, see the guide to troubleshooting.",
		o.kind, o.id, o.kind))
}

// restore starts a pipeline again that ran before: a delete or an update that
// fails may leave it stopped.
func (o *pipelineOperation) restore(before *pachyderm.Pipeline) {
	ctx, cancel := o.after()
	defer cancel()
	again, inner := *o, *o.operation
	inner.ctx, again.operation = ctx, &inner
	p, err := o.client.InspectPipeline(ctx, o.id)
	if err != nil || before.Stopped || !p.Stopped {
		return
	}
	tflog.Warn(ctx, "starting the pipeline again, which was stopped for what has failed")
	again.start()
}

// hasNoPod says whether a spout that was waited for has never had a pod. What
// somebody else has updated or stopped meanwhile, or who waits has called off,
// is another matter.
func hasNoPod(p *pachyderm.Pipeline, version uint64, err error) bool {
	var notThere *pachyderm.NotThereError
	return p != nil && p.IsSpout && !p.Stopped && p.Version == version && errors.As(err, &notThere) && !notThere.Started && !notThere.Code &&
		(notThere.Err == nil || errors.Is(notThere.Err, context.DeadlineExceeded))
}

// undoTime bounds undo, most of which is the wait until nobody can write.
const undoTime = time.Minute

// undo deletes a spout that was created just now and whose pod never started,
// and says in an error why. It holds no data, and while the error stands,
// Terraform would replace the spout. If the delete fails, it stays.
func (o *pipelineOperation) undo(summary, detail string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.ctx), undoTime)
	defer cancel()
	var problems diag.Diagnostics
	again, inner := *o, *o.operation
	inner.ctx, inner.diags, again.operation = ctx, &problems, &inner
	again.wanted.forceDestroy, again.wanted.keepOutputRepo = false, false
	again.delete()
	if problems.HasError() {
		tflog.Warn(ctx, "the spout stays", map[string]any{"error": problems.Errors()[0].Detail()})
		return false
	}
	o.diags.AddError(summary, detail+"\n\nIts pod never started, so that it has written nothing, and it was deleted again. Correct the configuration and apply again. "+
		"To keep a "+o.kind+" whose pod does not start, set wait_for = \"created\"; to give the pod more time, set timeouts.create.")
	return true
}
