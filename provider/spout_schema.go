// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"maps"
	"regexp"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// What wait_for may be.
const (
	waitForIngesting = "ingesting"
	waitForRunning   = "running"
	waitForCreated   = "created"
)

// defaultWaitFor is what is waited for unless told.
func defaultWaitFor(bundledRunner bool) string {
	if bundledRunner {
		return waitForIngesting
	}
	return waitForRunning
}

var noComma = stringvalidator.RegexMatches(regexp.MustCompile(`^[^,]*$`), "must not hold a comma; write one list element each")

const spoutDoc = `A spout: a Pachyderm pipeline that takes no input repo, runs without end, and writes what it receives from an outside source into its output repo.

With one of these sources, the bundled runner reads it and writes it as files, exactly once: %SOURCES%. With ` + "`transform`" + ` any image is run, as in Pachyderm's own spout specification.

Terraform owns the configuration, Pachyderm owns the data:

* Destroying a spout deletes its output repo. While that holds data, the plan is refused, unless ` + "`force_destroy`" + ` or ` + "`keep_output_repo`" + ` is set. Changing ` + "`name` or `project`" + ` destroys the spout and creates a new one.
* An apply waits until the spout ingests. ` + "`wait_for`" + ` says what that means, and what else can be waited for.
* If the runner of a new spout cannot reach its source, the apply ends with a warning that says what the runner waits for. The spout stays in the state and keeps trying. The apply waits for one minute after the runner has first named a problem, and not at all if only a change of the configuration can help.
* If the pod of a new spout never starts, for example because there is no such image, the apply fails. The provider then deletes the spout, which has written nothing.
* If an update does not get that far, the apply fails. The spout stays as the update left it.
* Each change of the specification, or of ` + "`restart_triggers`" + `, restarts the pod. A change of ` + "`wait_for`, `force_destroy`, `keep_output_repo` or `timeouts`" + ` alone sends nothing to Pachyderm.
* Settings that have their default are neither sent nor read back. What you leave out of the configuration stays out of the state.
* These fields of Pachyderm's pipeline specification have no attribute, since a spout has no use for them:
    * ` + "`input`, `s3_out` and `autoscaling`" + `: Pachyderm refuses them for spouts.
    * ` + "`parallelism_spec`" + `: one pod at a time runs a spout's code, whatever it says.
    * ` + "`egress`, `datum_set_spec`, `datum_timeout`, `datum_tries`, `job_timeout`, `reprocess_spec`, and `err_cmd`, `err_stdin`, `datum_batching` and `memory_volume` of `transform`" + `: they belong to jobs.
    * ` + "`reprocess`" + `: it reads nothing again, and lets an old and a new pod write side by side.`

func spoutSchema(ctx context.Context) schema.Schema {
	attributes := map[string]schema.Attribute{
		"id":   schema.StringAttribute{Computed: true, MarkdownDescription: "`project/name`."},
		"name": schema.StringAttribute{Required: true, MarkdownDescription: "Name of the pipeline and of its output repo: lower-case letters, digits and `-`, at most 51. It must be unique in the project. A change replaces the spout and its output repo."},
		"project": schema.StringAttribute{Optional: true, Computed: true,
			MarkdownDescription: "Project of the pipeline. Default: the provider's `default_project`. A change replaces the spout and its output repo."},
		"description": schema.StringAttribute{Optional: true, MarkdownDescription: "What the spout is for. A change restarts it."},

		"image": schema.StringAttribute{Optional: true, Computed: true, Validators: []validator.String{imageForm},
			MarkdownDescription: "Image of the bundled runner. Default: the one released with this version of the provider, so that an upgrade of the provider plans an update. Write it out, best with a digest, to pin it or to use a mirror."},
		"transform": transformAttribute(),
		"env": schema.MapAttribute{Optional: true, ElementType: types.StringType,
			MarkdownDescription: "Environment variables of the spout's code. They are shown in plans and kept in the state, so use `secret_env` for secrets. The provider refuses names that Pachyderm sets itself (`PACH_*`, `PPS_*`, `PEER_PORT` …), and with the bundled runner its own (`SPOUT_*`)."},
		"secret_env": schema.MapNestedAttribute{Optional: true,
			MarkdownDescription: "Environment variables whose values are keys of Kubernetes secrets in Pachyderm's namespace. Only the reference is in the state. Pachyderm refuses a secret or key that does not exist.",
			NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
				"secret": schema.StringAttribute{Required: true, MarkdownDescription: "Name of the Kubernetes secret."},
				"key":    schema.StringAttribute{Required: true, MarkdownDescription: "Key in it."},
			}}},
		"secret_mounts": schema.MapAttribute{Optional: true, ElementType: types.StringType,
			MarkdownDescription: "Kubernetes secrets whose keys become files, by the folder that they are mounted at, for example `{ \"/etc/tls\" = \"client-tls\" }`."},

		"output_branch": schema.StringAttribute{Optional: true, Computed: true, Default: stringdefault.StaticString(pachyderm.DefaultOutputBranch),
			MarkdownDescription: "Branch of the output repo that the spout writes. After a change the old branch stays as it is, and the new one begins empty: the bundled runner begins where its source says. Default: `master`."},
		"service": serviceAttribute(),

		"resource_requests":         resourcesAttribute("What the spout's container asks for. Left out, Pachyderm 2.6 and 2.7 ask for 1 CPU, 256Mi of memory and 1Gi of disk, and newer versions for the cluster's defaults. Neither is shown here. `{ cpu = 0 }` asks for nothing. `{}` counts as left out.", true),
		"resource_limits":           resourcesAttribute("What the spout's container may use at most.", true),
		"sidecar_resource_requests": resourcesAttribute("What the container of the storage sidecar asks for. It holds data on its way into the output repo. Left out, `resource_requests` applies, in Pachyderm 2.6 and 2.7 with 64M of memory.", false),
		"sidecar_resource_limits":   resourcesAttribute("What the storage sidecar may use at most.", false),
		"scheduling":                schedulingAttribute(),
		"tolerations":               tolerationsAttribute(),
		"pod_spec": textAttribute(jsonObjectKind, "[JSON merge patch](https://www.rfc-editor.org/rfc/rfc7396) that is laid over Kubernetes' pod specification, for what no attribute covers. Lists in it replace those of the pod, its containers included: "+
			"use `pod_patch` for what is inside of those. Write it with `jsonencode({...})`. It is compared as JSON, not as text."),
		"pod_patch": textAttribute(jsonPatchKind, "[JSON patch](https://www.rfc-editor.org/rfc/rfc6902) that Kubernetes' pod specification is changed by, "+
			"for what no attribute covers. It is applied after `pod_spec`. Write it with `jsonencode([...])`. It is compared as JSON, not as text."),
		"metadata": schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "Labels and annotations of the spout's pod.", Attributes: map[string]schema.Attribute{
			"labels":      schema.MapAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: "Kubernetes labels."},
			"annotations": schema.MapAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: "Kubernetes annotations. A change restarts the spout. To do only that, see `restart_triggers`."},
		}},

		"restart_triggers": schema.MapAttribute{Optional: true, ElementType: types.StringType,
			MarkdownDescription: "Values of any kind. A change of one restarts the spout. That is needed after a change of a secret that it reads: `{ credentials = pachyderm_secret.login.created_at }`. They are kept in the state only, and Pachyderm sees nothing of them."},
		"paused": schema.BoolAttribute{Optional: true, Computed: true, Default: booldefault.StaticBool(false),
			MarkdownDescription: "Whether the spout is stopped. An apply that stops it waits until its pod is gone and its last commit is FINISHED. When it starts again, Pachyderm puts a commit on the output branch. Up to Pachyderm 2.7 that commit is empty: the bundled runner brings the files back, " +
				"but with `transform` only older commits have them. From 2.8 on it is open, and the provider or the runner finishes it. Default: `false`."},
	}
	maps.Copy(attributes, settingAttributes())
	maps.Copy(attributes, lifecycleAttributes(ctx, "spout"))
	attributes["wait_for"] = waitForAttribute()
	return schema.Schema{MarkdownDescription: strings.Replace(spoutDoc, "%SOURCES%", sourceNames("`"), 1), Attributes: attributes}
}

// oneOfOrEmpty takes the values of a closed set, and the empty text for none.
func oneOfOrEmpty(values ...string) validator.String {
	return stringvalidator.OneOf(append([]string{""}, values...)...)
}

var imageForm = stringvalidator.RegexMatches(regexp.MustCompile(`^[^\s]+$`), "must be an image such as ghcr.io/spoutworks/spout-runner:1.0.0, without spaces")

func waitForAttribute() schema.Attribute {
	return schema.StringAttribute{Optional: true, Computed: true,
		Validators: []validator.String{oneOfOrEmpty(waitForIngesting, waitForRunning, waitForCreated)},
		MarkdownDescription: "What create and update wait for:\n" +
			"    * `ingesting`: until the bundled runner has reached its source and has settled where reading begins. Its log or its first commit says so. Default for spouts with the bundled runner.\n" +
			"    * `running`: until the new version's pod is there and its command has not failed at once. Default with `transform`.\n" +
			"    * `created`: not at all. A pod that never starts is not an error then.\n\n" +
			"    For a paused spout, they wait until its pod is gone, unless it is `created`."}
}

func transformAttribute() schema.Attribute {
	return schema.SingleNestedAttribute{Optional: true,
		MarkdownDescription: "Any image with code that writes into the output repo, as in a [spout specification](https://docs.pachyderm.com/latest/build-dags/pipeline-spec/spout/). Exactly one of " + sourceNames("`") + " and `transform` is set.",
		Attributes: map[string]schema.Attribute{
			"image": schema.StringAttribute{Required: true, Validators: []validator.String{imageForm},
				MarkdownDescription: "Image to run. By default, nodes do not pull a tag again that they have: use tags that never move, or digests."},
			"cmd": schema.ListAttribute{Required: true, ElementType: types.StringType, Validators: []validator.List{listvalidator.SizeAtLeast(1)},
				MarkdownDescription: "Command to run, with its arguments. The image's own entry point is never used. Pachyderm starts the command again when it fails, but not when it ends with exit code 0. So a spout's code must never end with 0."},
			"stdin":              schema.ListAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: "Lines that the command finds on its standard input."},
			"working_dir":        schema.StringAttribute{Optional: true, MarkdownDescription: "Folder that the command is started in."},
			"user":               schema.StringAttribute{Optional: true, MarkdownDescription: "User, by name or number, that the command is run as."},
			"image_pull_secrets": pullSecretsAttribute(),
			"accept_return_code": schema.ListAttribute{Optional: true, ElementType: types.Int64Type, PlanModifiers: []planmodifier.List{keepSameSet{}}, MarkdownDescription: "Exit codes, besides 0, after which the command is not started again."},
		}}
}

func pullSecretsAttribute() schema.Attribute {
	return schema.ListAttribute{Optional: true, ElementType: types.StringType, PlanModifiers: []planmodifier.List{keepSameSet{}}, Validators: []validator.List{listvalidator.ValueStringsAre(stringvalidator.LengthAtLeast(1))},
		MarkdownDescription: "Kubernetes secrets with credentials for the image's registry."}
}

func serviceAttribute() schema.Attribute {
	return schema.SingleNestedAttribute{Optional: true,
		MarkdownDescription: "Kubernetes service through which others can reach the spout. It is called `<project>-<name>-v<version>-user`.",
		Attributes: map[string]schema.Attribute{
			"internal_port": schema.Int64Attribute{Required: true, MarkdownDescription: "Port that the spout's code listens on."},
			"external_port": schema.Int64Attribute{Required: true, MarkdownDescription: "Port of the service. For the type `NodePort` it is the nodes' port too, and must be from 30000 to 32767."},
			"type": schema.StringAttribute{Optional: true, Computed: true, Default: stringdefault.StaticString(pachyderm.DefaultServiceType),
				Validators:          []validator.String{oneOfOrEmpty("NodePort", "ClusterIP", "LoadBalancer")},
				MarkdownDescription: "Type of the Kubernetes service:\n    * `NodePort`: a port of every node. Default.\n    * `ClusterIP`: within the cluster only.\n    * `LoadBalancer`: an address outside of the cluster."},
		}}
}

func resourcesAttribute(doc string, gpu bool) schema.Attribute {
	attributes := map[string]schema.Attribute{
		"cpu":    textAttribute(cpuKind, "CPUs, for example `0.5` or `\"500m\"`."),
		"memory": textAttribute(quantityKind, "Memory, for example `512Mi`."),
		"disk":   textAttribute(quantityKind, "Local disk, for example `1Gi`."),
	}
	if gpu {
		attributes["gpu"] = schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "GPUs.", Attributes: map[string]schema.Attribute{
			"type":   schema.StringAttribute{Required: true, MarkdownDescription: "Kubernetes' name of the device, for example `nvidia.com/gpu`."},
			"number": schema.Int64Attribute{Required: true, Validators: []validator.Int64{int64validator.AtLeast(1)}, MarkdownDescription: "How many."},
		}}
	}
	return schema.SingleNestedAttribute{Optional: true, MarkdownDescription: doc, Attributes: attributes}
}

func schedulingAttribute() schema.Attribute {
	return schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "Which nodes the spout's pod may run on.", Attributes: map[string]schema.Attribute{
		"node_selector":       schema.MapAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: "Labels that a node must have."},
		"priority_class_name": schema.StringAttribute{Optional: true, MarkdownDescription: "Kubernetes priority class."},
	}}
}

func tolerationsAttribute() schema.Attribute {
	return schema.ListNestedAttribute{Optional: true, MarkdownDescription: "Taints of nodes that the spout's pod tolerates.",
		NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
			"key":      schema.StringAttribute{Optional: true, MarkdownDescription: "Key of the taint. Left out with the operator `Exists`, all taints are meant."},
			"operator": schema.StringAttribute{Required: true, Validators: []validator.String{stringvalidator.OneOf("Exists", "Equal")}, MarkdownDescription: "How the taint is compared:\n    * `Exists`: by its key alone.\n    * `Equal`: by key and value."},
			"value":    schema.StringAttribute{Optional: true, MarkdownDescription: "Value of the taint, for `Equal`."},
			"effect": schema.StringAttribute{Optional: true, Validators: []validator.String{oneOfOrEmpty("NoSchedule", "PreferNoSchedule", "NoExecute")},
				MarkdownDescription: "Effect of the taint. Left out, all effects are meant.\n    * `NoSchedule`: no new pods.\n    * `PreferNoSchedule`: no new pods, if others have room.\n    * `NoExecute`: no pods at all."},
			"toleration_seconds": schema.Int64Attribute{Optional: true, MarkdownDescription: "How long a taint of the effect `NoExecute` is tolerated. Left out, without end."},
		}}}
}
