// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// runPipelineModel is the action pachyderm_run_pipeline.
type runPipelineModel struct {
	Project   types.String `tfsdk:"project"`
	Name      types.String `tfsdk:"name"`
	Reprocess types.Bool   `tfsdk:"reprocess"`
	Wait      types.Bool   `tfsdk:"wait"`
	Timeouts  types.Object `tfsdk:"timeouts"`
}

func newRunPipelineAction() action.Action {
	return &objectAction[runPipelineModel, *runPipelineModel]{name: "run_pipeline", kind: "pipeline", schema: runPipelineSchema}
}

func runPipelineSchema(ctx context.Context) schema.Schema {
	return schema.Schema{
		MarkdownDescription: "Runs a pipeline now, and waits until its job has ended.\n\n" +
			"A pipeline with a `cron` input is given a tick, on all of its cron inputs. " +
			"Any other pipeline, and each with `reprocess = true`, is sent its specification once more as it is. That makes a new version of it, whose job goes over the newest input. What earlier jobs have done is skipped, unless `reprocess` is set.\n\n" +
			"Pipelines run by themselves when there is new input. This is for a run without. Spouts have no jobs: see `pachyderm_restart_spout`.\n\n" +
			"Needs Terraform 1.14.",
		Attributes: actionAttributes(ctx, map[string]schema.Attribute{
			"name":      schema.StringAttribute{Required: true, Validators: notEmptyText, MarkdownDescription: "Name of the pipeline."},
			"reprocess": schema.BoolAttribute{Optional: true, MarkdownDescription: "Whether to do again what earlier jobs have done. Default: `false`."},
			"wait":      schema.BoolAttribute{Optional: true, MarkdownDescription: "Whether to wait for the job's end. A job that fails is then an error. Default: `true`."},
		})}
}

func (m *runPipelineModel) limit() types.Object { return m.Timeouts }

func (m *runPipelineModel) target(project string) string {
	m.Project = otherwise(m.Project, project)
	return m.id().String()
}

func (m *runPipelineModel) id() pachyderm.PipelineID {
	return pachyderm.PipelineID{Project: m.Project.ValueString(), Name: m.Name.ValueString()}
}

// newestJobs is how many jobs are looked at to tell the new ones.
const newestJobs = 20

func (m *runPipelineModel) invoke(o *operation, progress func(string, ...any)) {
	before, err := o.client.InspectPipeline(o.ctx, m.id())
	switch {
	case err != nil:
		o.fail("run", err)
		return
	case before.IsSpout || before.Kind == pachyderm.KindService:
		o.refuse("has no jobs", "It is a %s, which runs all the time. To restart a spout, use the action pachyderm_restart_spout.", before.Kind)
		return
	case before.Stopped:
		o.refuse("is paused", "A paused pipeline runs no jobs. Start it first, for example by paused = false in its pachyderm_pipeline.")
		return
	}
	old, err := o.client.NewestJobs(o.ctx, m.id(), newestJobs)
	if err != nil {
		o.fail("run", err)
		return
	}
	isNew := func(j *pachyderm.Job) bool {
		return !slices.ContainsFunc(old, func(o *pachyderm.Job) bool { return o.ID == j.ID }) && (len(old) == 0 || !j.Created.Before(old[len(old)-1].Created))
	}
	if !m.start(o, before, progress) {
		return
	}
	if m.Wait.IsNull() || m.Wait.ValueBool() {
		m.await(o, isNew, progress)
	}
}

// start sets a job off. A call without an answer is not repeated: it may have
// set one off.
func (m *runPipelineModel) start(o *operation, before *pachyderm.Pipeline, progress func(string, ...any)) bool {
	if before.HasCron() && !m.Reprocess.ValueBool() {
		progress("Giving the cron inputs of %s a tick", o.label())
		if err := o.client.RunCron(o.ctx, m.id()); err != nil {
			o.fail("run", err)
			return false
		}
		return true
	}
	progress("Running %s again, as version %d%s", o.label(), before.Version+1, map[bool]string{true: ", with all of its input"}[m.Reprocess.ValueBool()])
	document := before.Document()
	p := &pipelineOperation{operation: o, id: m.id(), wanted: wantedPipeline{
		send: func(ctx context.Context, client *pachyderm.Client, id pachyderm.PipelineID, update bool) error {
			return client.UpdateDocument(ctx, id, document, m.Reprocess.ValueBool())
		},
		means: func(context.Context, *pachyderm.Pipeline) bool { return true },
	}}
	_, ok := p.send()
	return ok
}

// noJobWithin is how long a job may take to show.
const noJobWithin = time.Minute

// await waits until all new jobs have ended.
func (m *runPipelineModel) await(o *operation, isNew func(*pachyderm.Job) bool, progress func(string, ...any)) {
	said := map[string]string{}
	var jobs []*pachyderm.Job
	start := time.Now()
	err := o.poll(func() (bool, error) {
		all, err := o.client.NewestJobs(o.ctx, m.id(), newestJobs)
		if err != nil {
			return false, err
		}
		jobs = slices.DeleteFunc(all, func(j *pachyderm.Job) bool { return !isNew(j) })
		for _, j := range jobs {
			if text := describe(j); said[j.ID] != text {
				said[j.ID] = text
				progress("%s", text)
			}
		}
		none := len(jobs) == 0 && time.Since(start) > min(noJobWithin, 100*o.connection.wait.Poll)
		return none || len(jobs) > 0 && !slices.ContainsFunc(jobs, func(j *pachyderm.Job) bool { return !j.Ended() }), nil
	})
	var bad []string
	for _, j := range jobs {
		if err != nil && !j.Ended() || j.Ended() && !j.Succeeded() {
			bad = append(bad, describe(j))
		}
	}
	switch {
	case err != nil:
		o.diags.AddError("Stopped waiting for the job of "+o.label(), o.connection.explain(err)+" The job continues without Terraform. "+strings.Join(bad, " "))
	case len(jobs) == 0:
		o.refuse("has no new job", "Pachyderm has taken the request, but no job of it shows. Look at: pachctl list job --project %s --pipeline %s", m.id().Project, m.id().Name)
	case len(bad) > 0:
		o.refuse("has failed", "%s Its log: pachctl logs --project %s --pipeline %s", strings.Join(bad, " "), m.id().Project, m.id().Name)
	}
}

// describe says how far a job is.
func describe(j *pachyderm.Job) string {
	text := fmt.Sprintf("Job %s is in the state %q", j.ID, j.State)
	if j.Total > 0 {
		text += fmt.Sprintf(": %d of %d datums processed, %d skipped, %d failed", j.Processed, j.Total, j.Skipped, j.Failed)
	}
	return sentence(text + because(j.Reason))
}
