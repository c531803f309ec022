// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"reflect"
	"slices"

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

	spoutSources
	Batch          types.Object `tfsdk:"batch"`
	File           types.Object `tfsdk:"file"`
	Records        types.Object `tfsdk:"records"`
	SchemaRegistry types.Object `tfsdk:"schema_registry"`
	Runner         types.Object `tfsdk:"runner"`
	Image          types.String `tfsdk:"image"`

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

// settingObjects are the objects of the runner's settings, but for those of its
// source.
func (m *spoutModel) settingObjects() map[string]*types.Object {
	return map[string]*types.Object{"batch": &m.Batch, "file": &m.File, "records": &m.Records, "schema_registry": &m.SchemaRegistry, "runner": &m.Runner}
}

// specPart is an attribute that becomes part of the pipeline's specification.
// A change of any of them is an update.
type specPart modelField

// specParts are all of them.
var specParts = func() (parts []specPart) {
	not := []string{"id", "project", "name", "restart_triggers", "paused", "wait_for", "force_destroy", "keep_output_repo", "timeouts",
		"version", "state", "reason", "workers_available", "workers_requested", "output_repo"}
	for _, field := range fieldsOfModel(reflect.TypeFor[spoutModel]()) {
		if !slices.Contains(not, field.name) {
			parts = append(parts, specPart(field))
		}
	}
	return parts
}()

func (p specPart) field(m *spoutModel) reflect.Value {
	return reflect.ValueOf(m).Elem().FieldByIndex(p.index)
}

func (p specPart) value(m *spoutModel) attr.Value { return p.field(m).Interface().(attr.Value) }

func (p specPart) copy(to, from *spoutModel) { p.field(to).Set(p.field(from)) }

// known says whether all of the specification is known already.
func (m *spoutModel) known() bool {
	for _, part := range specParts {
		if !fullyKnown(part.value(m)) {
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
