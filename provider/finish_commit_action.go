// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// finishCommitModel is the action pachyderm_finish_commit.
type finishCommitModel struct {
	Project  types.String `tfsdk:"project"`
	Repo     types.String `tfsdk:"repo"`
	Branch   types.String `tfsdk:"branch"`
	Discard  types.Bool   `tfsdk:"discard"`
	Timeouts types.Object `tfsdk:"timeouts"`
}

func newFinishCommitAction() action.Action {
	return &objectAction[finishCommitModel, *finishCommitModel]{name: "finish_commit", kind: "branch", schema: finishCommitSchema}
}

func finishCommitSchema(ctx context.Context) schema.Schema {
	return schema.Schema{
		MarkdownDescription: "Finishes the commit that is open at the head of a branch, and waits until Pachyderm has validated it. While it is open, no other can be started, and nothing downstream sees what is in it.\n\n" +
			"A writer that has died leaves the head open, and so does Pachyderm 2.8 and newer at each start of a pipeline. The bundled runner deals with both when it starts, so its spouts do not need this. " +
			"If the head is finished already, nothing is done.\n\n" +
			"Needs Terraform 1.14.",
		Attributes: actionAttributes(ctx, map[string]schema.Attribute{
			"repo":   schema.StringAttribute{Required: true, Validators: notEmptyText, MarkdownDescription: "Repo: for a spout's output, the spout's name."},
			"branch": schema.StringAttribute{Optional: true, MarkdownDescription: "Branch. Default: `master`."},
			"discard": schema.BoolAttribute{Optional: true, MarkdownDescription: "Whether the commit is finished with an error, so that what is in it is never read. Default: `false`. " +
				"On the output branch of a spout it must be `true` for a commit that the spout has begun: finished as it is, it would not say what it holds, and the runner would write its records again."},
		})}
}

func (m *finishCommitModel) limit() types.Object { return m.Timeouts }

func (m *finishCommitModel) target(project string) string {
	m.Project, m.Branch = otherwise(m.Project, project), otherwise(m.Branch, pachyderm.DefaultOutputBranch)
	return m.Project.ValueString() + "/" + m.Repo.ValueString() + "@" + m.Branch.ValueString()
}

func (m *finishCommitModel) invoke(o *operation, progress func(string, ...any)) {
	b := o.client.Branch(m.Project.ValueString(), m.Repo.ValueString(), m.Branch.ValueString())
	head, err := b.Head(o.ctx)
	if err != nil {
		o.fail("finish the head of", err)
		return
	}
	if head == nil || !head.Open() {
		progress("The head of %s is not open: there is nothing to finish", b)
		return
	}
	if !head.Auto && !m.Discard.ValueBool() && m.spouts(o) {
		return
	}
	progress("Finishing commit %s of %s, which was started at %s", head.ID, b, head.Started.Format("2006-01-02 15:04:05 MST"))
	if m.Discard.ValueBool() {
		err = b.RollBack(o.ctx, head.ID, "discarded by pachyderm_finish_commit")
	} else {
		err = b.Finish(o.ctx, head.ID, head.Description)
	}
	if err != nil && !pachyderm.IsCommitFinished(err) { // else its writer was faster
		o.fail("finish the head of", err)
		return
	}
	done := head
	err = o.poll(func() (bool, error) {
		now, err := b.Inspect(o.ctx, head.ID)
		if err == nil {
			done = now
		}
		return err == nil && !now.Finished.IsZero(), err
	})
	switch {
	case err != nil:
		o.diags.AddError("Commit "+head.ID+" is finished, but not validated", "Nothing blocks the branch any more. Whether the commit is valid is not known: "+o.connection.explain(err))
	case done.Error != "" && !m.Discard.ValueBool():
		o.diags.AddError("Commit "+head.ID+" is not valid", "It was finished, and Pachyderm says of it: "+sentence(done.Error)+" What is in it is not read; later commits continue from the one before.")
	default:
		progress("Commit %s is finished%s, with %d bytes at the head", head.ID, because(done.Error), done.SizeBytes)
	}
}

// spouts refuses what would make a spout's records come twice. It also does so
// if that cannot be found out.
func (m *finishCommitModel) spouts(o *operation) bool {
	p, err := o.client.InspectPipeline(o.ctx, pachyderm.PipelineID{Project: m.Project.ValueString(), Name: m.Repo.ValueString()})
	switch {
	case pachyderm.IsNotFound(err):
		return false
	case err != nil:
		o.fail("finish the head of", err)
		return true
	case !p.IsSpout || p.OutputBranch != m.Branch.ValueString():
		return false
	}
	o.refuse("is written by a spout", "The open commit is the spout's own, and perhaps it is being written at this moment. Finished from here, it would not say which records it holds, and the runner would write them again. "+
		"If the spout is stuck, restart it by the action pachyderm_restart_spout: the bundled runner deals with the commit. To throw away what is in it, set discard = true.")
	return true
}
