// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// restartSpoutModel is the action pachyderm_restart_spout.
type restartSpoutModel struct {
	Project  types.String `tfsdk:"project"`
	Name     types.String `tfsdk:"name"`
	Timeouts types.Object `tfsdk:"timeouts"`
}

func newRestartSpoutAction() action.Action {
	return &objectAction[restartSpoutModel, *restartSpoutModel]{name: "restart_spout", kind: "spout", schema: restartSpoutSchema}
}

// Stopping and starting would do, too, but Pachyderm puts a commit of its own
// on the output branch at each start: up to 2.7 an empty one, which takes all
// files off the head, and from 2.8 on an open one, which blocks the branch
// until it is finished. An update leaves the branch alone, and brings back
// pipelines that have failed, which a start does not.
func restartSpoutSchema(ctx context.Context) schema.Schema {
	return schema.Schema{
		MarkdownDescription: "Restarts a spout: Pachyderm replaces its pod, and the action waits until the new one runs. Use it after a change of a secret that the spout reads, or when the spout is stuck.\n\n" +
			"The spout's specification is sent once more as it is, which makes a new version of the pipeline. That leaves the output branch alone, which stopping and starting would not. Where a pipeline reads the output branch itself, Pachyderm refuses it, and the action stops and starts the spout instead. The next refresh shows the new `version`, and no other change. " +
			"A spout that Pachyderm has given up (`failure`) is tried again. A paused one is refused.\n\n" +
			"Needs Terraform 1.14.",
		Attributes: actionAttributes(ctx, map[string]schema.Attribute{
			"name": schema.StringAttribute{Required: true, Validators: notEmptyText, MarkdownDescription: "Name of the spout."}})}
}

func (m *restartSpoutModel) limit() types.Object { return m.Timeouts }

func (m *restartSpoutModel) target(project string) string {
	m.Project = otherwise(m.Project, project)
	return m.id().String()
}

func (m *restartSpoutModel) id() pachyderm.PipelineID {
	return pachyderm.PipelineID{Project: m.Project.ValueString(), Name: m.Name.ValueString()}
}

func (m *restartSpoutModel) invoke(o *operation, progress func(string, ...any)) {
	before, err := o.client.InspectPipeline(o.ctx, m.id())
	switch {
	case err != nil:
		o.fail("restart", err)
		return
	case !before.IsSpout:
		o.refuse("is not a spout", "The pipeline exists, but its specification has no \"spout\". To have another pipeline process its input again, use the action pachyderm_run_pipeline.")
		return
	case before.Stopped:
		o.refuse("is paused", "There is nothing to restart. Set paused = false in its pachyderm_spout, which starts it.")
		return
	}
	document := before.Document()
	p := &pipelineOperation{operation: o, id: m.id(), wanted: wantedPipeline{
		outputBranch: before.OutputBranch, waitFor: defaultWaitFor(isBundledRunner(before.Spec)), ownHead: func(context.Context) bool { return !isBundledRunner(before.Spec) },
		send: func(ctx context.Context, client *pachyderm.Client, id pachyderm.PipelineID, update bool) error {
			return client.UpdateDocument(ctx, id, document, false)
		},
		means: func(context.Context, *pachyderm.Pipeline) bool { return true },
	}}
	tflog.Info(o.ctx, "restarting the spout by an update that changes nothing")
	progress("Restarting %s, which is at version %d and %s", o.label(), before.Version, before.State)
	version, ok := p.send()
	if !ok {
		return
	}
	last := ""
	wait := o.connection.wait
	wait.Progress = func(now *pachyderm.Pipeline) {
		if now.Version == version && now.State+now.Reason != last {
			last = now.State + now.Reason
			progress("Version %d is %s, with %d of %d workers%s", version, now.State, now.WorkersAvailable, now.WorkersRequested, because(now.Reason))
		}
	}
	now, err := p.awaitRunning(wait, version, codeBefore{})
	if err != nil {
		o.diags.AddError(p.notThere(now, err))
		return
	}
	progress("%s runs, at version %d", capital(o.label()), version)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}
