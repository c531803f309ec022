// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// delete deletes the spout. As long as its output repo holds data, it does so
// only if it was told what is to become of them.
func (o *spoutOperation) delete(m *spoutModel) {
	p, err := o.client.InspectPipeline(o.ctx, o.id)
	if pachyderm.IsNotFound(err) {
		return
	}
	if err != nil {
		o.fail("Cannot destroy spout", err)
		return
	}
	keep, force := m.KeepOutputRepo.ValueBool(), m.ForceDestroy.ValueBool()
	if !keep && !o.unread(m) || !keep && !force && !o.empty(m) {
		return
	}
	if !keep && !force {
		// What is written between the look and the delete would be lost: look
		// again once nobody writes any more.
		if err := o.client.StopPipeline(o.ctx, o.id); err != nil {
			o.fail("Cannot destroy spout", err)
			o.restore(m, p) // without an answer, it may have been stopped
			return
		}
		if !o.empty(m) {
			o.restore(m, p)
			return
		}
	}
	tflog.Info(o.ctx, "deleting pipeline", map[string]any{"keep_output_repo": keep})
	err = o.client.DeletePipeline(o.ctx, o.id, keep)
	if err == nil || pachyderm.IsNotFound(err) {
		return
	}
	o.fail("Cannot destroy spout", err)
	o.restore(m, p)
}

// unread says whether no other pipeline reads the output branch. Pachyderm
// refuses the delete otherwise, but only after it has stopped the spout.
func (o *spoutOperation) unread(m *spoutModel) bool {
	readers, err := o.client.Downstream(o.ctx, o.id, m.OutputBranch.ValueString())
	if err != nil {
		o.fail("Cannot destroy spout", err)
		return false
	}
	if len(readers) == 0 {
		return true
	}
	o.diags.AddError("Spout "+o.id.String()+" is read by other pipelines", fmt.Sprintf("Its output repo cannot be deleted while it is an input of %s. "+
		"Destroy or change those first, or apply keep_output_repo = true to delete the pipeline only. The spout runs on.", strings.Join(readers, ", ")))
	return false
}

// empty says whether the output repo holds no data.
func (o *spoutOperation) empty(m *spoutModel) bool {
	holds, err := o.client.HoldsData(o.ctx, o.id, m.OutputBranch.ValueString())
	if err != nil {
		o.fail("Cannot destroy spout", err)
		return false
	}
	if holds {
		o.diags.AddError("Output repo of spout "+o.id.String()+" holds data", fmt.Sprintf("Destroying the spout would delete the repo %s with everything that was ingested, also from older commits. "+
			"Nothing was deleted. Choose what is to become of the data and apply that first:\n\n"+
			"  force_destroy    = true   deletes it\n"+
			"  keep_output_repo = true   keeps it in a plain repo; a pipeline of the same name cannot be created then\n\n"+
			"To stop the spout and leave everything as it is, set paused = true instead.", o.id))
	}
	return !holds
}

// restore starts a spout again that ran before it was to be deleted: a delete
// that fails leaves it stopped.
func (o *spoutOperation) restore(m *spoutModel, before *pachyderm.Pipeline) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.ctx), afterwards)
	defer cancel()
	again := *o
	again.ctx = ctx
	p, err := o.client.InspectPipeline(ctx, o.id)
	if err != nil || before.Stopped || !p.Stopped {
		return
	}
	tflog.Warn(ctx, "starting the pipeline again, since it was not deleted")
	again.start(m)
}
