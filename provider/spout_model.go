// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// spoutModel is the resource pachyderm_spout as Terraform has it. Nested
// attributes are objects rather than structs, since each may be unknown while
// planning.
type spoutModel struct {
	ID          types.String `tfsdk:"id"`
	Project     types.String `tfsdk:"project"`
	Name        types.String `tfsdk:"name"`
	Description types.String `tfsdk:"description"`

	Kafka        types.Object `tfsdk:"kafka"`
	Runner       types.Object `tfsdk:"runner"`
	Image        types.String `tfsdk:"image"`
	Transform    types.Object `tfsdk:"transform"`
	Env          types.Map    `tfsdk:"env"`
	SecretEnv    types.Map    `tfsdk:"secret_env"`
	SecretMounts types.Map    `tfsdk:"secret_mounts"`

	OutputBranch types.String `tfsdk:"output_branch"`
	Service      types.Object `tfsdk:"service"`

	ResourceRequests        types.Object `tfsdk:"resource_requests"`
	ResourceLimits          types.Object `tfsdk:"resource_limits"`
	SidecarResourceRequests types.Object `tfsdk:"sidecar_resource_requests"`
	SidecarResourceLimits   types.Object `tfsdk:"sidecar_resource_limits"`
	Scheduling              types.Object `tfsdk:"scheduling"`
	Tolerations             types.List   `tfsdk:"tolerations"`
	PodSpec                 textValue    `tfsdk:"pod_spec"`
	PodPatch                textValue    `tfsdk:"pod_patch"`
	Metadata                types.Object `tfsdk:"metadata"`

	RestartTriggers types.Map `tfsdk:"restart_triggers"`

	Paused         types.Bool   `tfsdk:"paused"`
	WaitFor        types.String `tfsdk:"wait_for"`
	ForceDestroy   types.Bool   `tfsdk:"force_destroy"`
	KeepOutputRepo types.Bool   `tfsdk:"keep_output_repo"`
	Timeouts       types.Object `tfsdk:"timeouts"`

	Version          types.Int64  `tfsdk:"version"`
	State            types.String `tfsdk:"state"`
	Reason           types.String `tfsdk:"reason"`
	WorkersAvailable types.Int64  `tfsdk:"workers_available"`
	WorkersRequested types.Int64  `tfsdk:"workers_requested"`
	OutputRepo       types.String `tfsdk:"output_repo"`
}

// transformModel is transform.
type transformModel struct {
	Image            types.String `tfsdk:"image"`
	Cmd              types.List   `tfsdk:"cmd"`
	Stdin            types.List   `tfsdk:"stdin"`
	WorkingDir       types.String `tfsdk:"working_dir"`
	User             types.String `tfsdk:"user"`
	ImagePullSecrets types.List   `tfsdk:"image_pull_secrets"`
	AcceptReturnCode types.List   `tfsdk:"accept_return_code"`
}

type serviceModel struct {
	InternalPort types.Int64  `tfsdk:"internal_port"`
	ExternalPort types.Int64  `tfsdk:"external_port"`
	Type         types.String `tfsdk:"type"`
}

type schedulingModel struct {
	NodeSelector      types.Map    `tfsdk:"node_selector"`
	PriorityClassName types.String `tfsdk:"priority_class_name"`
}

type metadataModel struct {
	Labels      types.Map `tfsdk:"labels"`
	Annotations types.Map `tfsdk:"annotations"`
}

type tolerationModel struct {
	Key               types.String `tfsdk:"key"`
	Operator          types.String `tfsdk:"operator"`
	Value             types.String `tfsdk:"value"`
	Effect            types.String `tfsdk:"effect"`
	TolerationSeconds types.Int64  `tfsdk:"toleration_seconds"`
}

type secretKeyModel struct {
	Secret types.String `tfsdk:"secret"`
	Key    types.String `tfsdk:"key"`
}

// spoutIdentity is the resource's identity (Terraform 1.12 and later).
type spoutIdentity struct {
	Project types.String `tfsdk:"project"`
	Name    types.String `tfsdk:"name"`
}

func (m *spoutModel) identity() spoutIdentity { return spoutIdentity{m.Project, m.Name} }

func (m *spoutModel) pipelineID() pachyderm.PipelineID {
	return pachyderm.PipelineID{Project: m.Project.ValueString(), Name: m.Name.ValueString()}
}

// specPart is an attribute that becomes part of the pipeline's specification.
// A change of any of them is an update.
type specPart struct {
	name  string
	value func(*spoutModel) attr.Value
	copy  func(to, from *spoutModel)
}

var specParts = []specPart{
	{"description", func(m *spoutModel) attr.Value { return m.Description }, func(to, from *spoutModel) { to.Description = from.Description }},
	{"kafka", func(m *spoutModel) attr.Value { return m.Kafka }, func(to, from *spoutModel) { to.Kafka = from.Kafka }},
	{"runner", func(m *spoutModel) attr.Value { return m.Runner }, func(to, from *spoutModel) { to.Runner = from.Runner }},
	{"image", func(m *spoutModel) attr.Value { return m.Image }, func(to, from *spoutModel) { to.Image = from.Image }},
	{"transform", func(m *spoutModel) attr.Value { return m.Transform }, func(to, from *spoutModel) { to.Transform = from.Transform }},
	{"env", func(m *spoutModel) attr.Value { return m.Env }, func(to, from *spoutModel) { to.Env = from.Env }},
	{"secret_env", func(m *spoutModel) attr.Value { return m.SecretEnv }, func(to, from *spoutModel) { to.SecretEnv = from.SecretEnv }},
	{"secret_mounts", func(m *spoutModel) attr.Value { return m.SecretMounts }, func(to, from *spoutModel) { to.SecretMounts = from.SecretMounts }},
	{"output_branch", func(m *spoutModel) attr.Value { return m.OutputBranch }, func(to, from *spoutModel) { to.OutputBranch = from.OutputBranch }},
	{"service", func(m *spoutModel) attr.Value { return m.Service }, func(to, from *spoutModel) { to.Service = from.Service }},
	{"resource_requests", func(m *spoutModel) attr.Value { return m.ResourceRequests }, func(to, from *spoutModel) { to.ResourceRequests = from.ResourceRequests }},
	{"resource_limits", func(m *spoutModel) attr.Value { return m.ResourceLimits }, func(to, from *spoutModel) { to.ResourceLimits = from.ResourceLimits }},
	{"sidecar_resource_requests", func(m *spoutModel) attr.Value { return m.SidecarResourceRequests }, func(to, from *spoutModel) { to.SidecarResourceRequests = from.SidecarResourceRequests }},
	{"sidecar_resource_limits", func(m *spoutModel) attr.Value { return m.SidecarResourceLimits }, func(to, from *spoutModel) { to.SidecarResourceLimits = from.SidecarResourceLimits }},
	{"scheduling", func(m *spoutModel) attr.Value { return m.Scheduling }, func(to, from *spoutModel) { to.Scheduling = from.Scheduling }},
	{"tolerations", func(m *spoutModel) attr.Value { return m.Tolerations }, func(to, from *spoutModel) { to.Tolerations = from.Tolerations }},
	{"pod_spec", func(m *spoutModel) attr.Value { return m.PodSpec }, func(to, from *spoutModel) { to.PodSpec = from.PodSpec }},
	{"pod_patch", func(m *spoutModel) attr.Value { return m.PodPatch }, func(to, from *spoutModel) { to.PodPatch = from.PodPatch }},
	{"metadata", func(m *spoutModel) attr.Value { return m.Metadata }, func(to, from *spoutModel) { to.Metadata = from.Metadata }},
}

// known says whether all of the specification is known already.
func (m *spoutModel) known(ctx context.Context) bool {
	for _, part := range specParts {
		v, err := part.value(m).ToTerraformValue(ctx)
		if err != nil || !v.IsFullyKnown() {
			return false
		}
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
