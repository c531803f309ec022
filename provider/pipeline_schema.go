// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"maps"
	"regexp"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

const pipelineDoc = `A pipeline: code that Pachyderm runs on the data of other repos, a service, or code that runs on a schedule. For spouts use ` + "`pachyderm_spout`" + `.

The specification is the JSON that ` + "`pachctl create pipeline -f`" + ` takes, as described in [Pachyderm's documentation](https://docs.pachyderm.com/latest/build-dags/pipeline-spec/). Planning checks it: a field that does not exist is an error, and so is what Pachyderm would refuse.

* The specification is compared by what it means. Another order of keys, snake_case for camelCase, a zero value that is written out, and what Pachyderm or the cluster's defaults fill in are not changes.
* Each change of the specification makes a new version of the pipeline. What an older version has processed is not processed again, not even when the code has changed, unless ` + "`reprocess_on_update`" + ` is set.
* Destroying a pipeline deletes its output repo. While that holds data, the plan is refused, unless ` + "`force_destroy`" + ` or ` + "`keep_output_repo`" + ` is set. It is always refused while another pipeline reads it.
* Write the repos of ` + "`input`" + ` as references to other resources, for example ` + "`pachyderm_spout.orders.output_repo`" + `. Terraform then creates and destroys in the right order.
* If a new pipeline fails to start, the apply ends with a warning that holds Pachyderm's reason. The pipeline stays in the state, and is not replaced. If an updated pipeline fails to start, the apply fails.`

func pipelineSchema(ctx context.Context) schema.Schema {
	attributes := map[string]schema.Attribute{
		"id": schema.StringAttribute{Computed: true, MarkdownDescription: "`project/name`."},
		"project": schema.StringAttribute{Optional: true, Computed: true, Validators: []validator.String{projectForms, stringvalidator.LengthBetween(1, maxProject)},
			MarkdownDescription: "Project of the pipeline. Default: `pipeline.project.name` in `spec`, otherwise the provider's `default_project`. A change replaces the pipeline and its output repo."},
		"name": schema.StringAttribute{Optional: true, Computed: true,
			MarkdownDescription: "Name of the pipeline and of its output repo: letters, digits, `-` and `_`, at most 51. Default: `pipeline.name` in `spec`. If both are set, they must be the same. A change replaces the pipeline and its output repo."},
		"spec": schema.StringAttribute{Required: true,
			MarkdownDescription: "The pipeline's specification, as JSON. Write it with `jsonencode({...})`, or read a file that pachctl takes with `file(\"pipeline.json\")`. " +
				"`pipeline` may be left out. `update`, `reprocess`, `dryRun`, `salt` and `specCommit` belong to single requests or to Pachyderm, and are not looked at. " +
				"It is in the state and shown in plans: refer to secrets by name, in `transform.secrets`."},
		"paused": schema.BoolAttribute{Optional: true, Computed: true, Default: booldefault.StaticBool(false),
			MarkdownDescription: "Whether the pipeline is stopped. It then processes no new data. Once started, it catches up. Default: `false`."},
		"reprocess_on_update": schema.BoolAttribute{Optional: true, Computed: true, Default: booldefault.StaticBool(false),
			MarkdownDescription: "Whether an update of the specification makes Pachyderm process all data again. Without it, the new version processes new data only. Default: `false`."},
		"type":          schema.StringAttribute{Computed: true, MarkdownDescription: "Kind of pipeline: `transform` or `service`."},
		"output_branch": schema.StringAttribute{Computed: true, MarkdownDescription: "Branch of the output repo that the pipeline writes."},
	}
	maps.Copy(attributes, lifecycleAttributes(ctx, "pipeline"))
	return schema.Schema{MarkdownDescription: pipelineDoc, Attributes: attributes}
}

// lifecycleAttributes are those that say what becomes of a pipeline of any
// kind, and what became of it.
func lifecycleAttributes(ctx context.Context, kind string) map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"wait_for": schema.StringAttribute{Optional: true, Computed: true, Default: stringdefault.StaticString(waitForRunning),
			Validators: []validator.String{oneOfOrEmpty(waitForRunning, waitForCreated)},
			MarkdownDescription: "What create and update wait for:\n" +
				"    * `running`: until the new version's pods are there, or with autoscaling, until it is ready for work. If it is paused, until they are gone. Default.\n" +
				"    * `created`: not at all."},
		"force_destroy": schema.BoolAttribute{Optional: true, Computed: true, Default: booldefault.StaticBool(false),
			MarkdownDescription: "Whether destroy deletes the output repo although it holds data. The data cannot be brought back. It must be applied before the destroy. Default: `false`."},
		"keep_output_repo": schema.BoolAttribute{Optional: true, Computed: true, Default: booldefault.StaticBool(false),
			MarkdownDescription: "Whether destroy keeps the output repo as a plain repo. Pachyderm then refuses to create a pipeline of the same name while the repo exists. Default: `false`."},
		"timeouts": timeoutsAttribute(", the wait included"),

		"version":           schema.Int64Attribute{Computed: true, MarkdownDescription: "Version of the " + kind + ". Each update makes a new one."},
		"state":             schema.StringAttribute{Computed: true, MarkdownDescription: "State as of the last refresh: `starting`, `running`, `restarting`, `failure`, `paused`, `standby` or `crashing`. Pachyderm says `running` whatever the " + kind + "'s own code does. See `workers_available`, and the data source `pachyderm_" + kind + "`."},
		"reason":            schema.StringAttribute{Computed: true, MarkdownDescription: "Why it is in that state, if Pachyderm says so."},
		"workers_available": schema.Int64Attribute{Computed: true, MarkdownDescription: "Pods that were ready as of the last refresh."},
		"workers_requested": schema.Int64Attribute{Computed: true, MarkdownDescription: "Pods that there should be."},
		"output_repo":       schema.StringAttribute{Computed: true, MarkdownDescription: "Name of the output repo, for pipelines and triggers that read it."},
	}
}

var pipelineNameForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]*$`)

// pipelineNameProblem says what is wrong with a pipeline's name, if anything
// is. Spouts have stricter rules.
func pipelineNameProblem(id pachyderm.PipelineID) string {
	switch {
	case !pipelineNameForm.MatchString(id.Name):
		return fmt.Sprintf("name = %q must have letters, digits, '-' and '_' only, and begin with a letter or digit.", id.Name)
	case len(id.Name) > maxName:
		return fmt.Sprintf("name = %q has %d characters; Pachyderm takes %d.", id.Name, len(id.Name), maxName)
	}
	return tooLongTogether(id)
}
