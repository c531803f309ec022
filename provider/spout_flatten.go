// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"maps"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// spoutTypes are the types of the resource's attributes.
var spoutTypes = spoutSchema(context.Background()).Type().(types.ObjectType).AttrTypes

func objectTypes(attribute string) map[string]attr.Type {
	return spoutTypes[attribute].(types.ObjectType).AttrTypes
}

// refresh brings the model to what the server has. Each attribute that still
// means what the server has is left as it is, so that nothing which was merely
// written in another way, or left out since it is the default, shows as drift.
func (m *spoutModel) refresh(ctx context.Context, p *pachyderm.Pipeline) diag.Diagnostics {
	imported := m.WaitFor.IsNull()
	if m.look(ctx, p) {
		return nil
	}
	spec := m.withoutDefaults(p.Spec)
	read := *m
	diags := read.flatten(ctx, spec, !m.Transform.IsNull())
	for _, part := range specParts {
		candidate := read
		part.copy(&candidate, m)
		if candidate.means(ctx, spec) {
			part.copy(&read, m)
		}
	}
	*m = read
	if imported {
		m.WaitFor = types.StringValue(m.defaultWaitFor())
	}
	return diags
}

// look takes over what the server has besides the specification, and says
// whether that is what the model asks for.
func (m *spoutModel) look(ctx context.Context, p *pachyderm.Pipeline) bool {
	m.observe(p)
	m.Project, m.Name = types.StringValue(p.ID.Project), types.StringValue(p.ID.Name)
	m.Paused = types.BoolValue(p.Stopped)
	if m.WaitFor.IsNull() { // imported
		m.WaitFor, m.ForceDestroy, m.KeepOutputRepo = types.StringValue(defaultWaitFor(isBundledRunner(p.Spec))), types.BoolValue(false), types.BoolValue(false)
	}
	if m.OutputBranch.IsNull() {
		m.OutputBranch = types.StringValue(pachyderm.DefaultOutputBranch)
	}
	return m.means(ctx, m.withoutDefaults(p.Spec))
}

// withoutDefaults takes out of the server's answer the resources that Pachyderm
// fills in from 2.8 on and the model leaves out, for servers that do not say
// what was asked for.
func (m *spoutModel) withoutDefaults(s pachyderm.Spec) pachyderm.Spec {
	s.ResourceRequests = askedFor(m.ResourceRequests, s.ResourceRequests)
	s.SidecarResourceRequests = askedFor(m.SidecarResourceRequests, s.SidecarResourceRequests)
	return s
}

func askedFor(model types.Object, r *pachyderm.Resources) *pachyderm.Resources {
	filledIn := pachyderm.Resources{CPU: 1, Memory: "256Mi", Disk: "1Gi"}
	if r == nil || *r == filledIn && model.IsNull() {
		return nil
	}
	asked, rest := (&expander{}).resources(model), *r
	if asked == nil {
		return r
	}
	if asked.CPU == 0 && r.CPU == filledIn.CPU {
		rest.CPU = 0
	}
	if asked.Memory == "" && r.Memory == filledIn.Memory {
		rest.Memory = ""
	}
	if asked.Disk == "" && r.Disk == filledIn.Disk {
		rest.Disk = ""
	}
	return &rest
}

// means says whether the model asks for just that specification.
func (m *spoutModel) means(ctx context.Context, s pachyderm.Spec) bool {
	if !m.known() {
		return false
	}
	asked, diags := m.expand(ctx)
	if diags.HasError() {
		return false
	}
	if m.Transform.IsNull() {
		asked.Env, s.Env = settings.Canonical(asked.Env), settings.Canonical(s.Env)
	}
	return asked.Equal(s)
}

// observe sets what only the server knows.
func (m *spoutModel) observe(p *pachyderm.Pipeline) {
	m.ID, m.OutputRepo = types.StringValue(p.ID.String()), types.StringValue(p.ID.Name)
	m.Version = types.Int64Value(int64(p.Version))
	m.State, m.Reason = types.StringValue(p.State), types.StringValue(p.Reason)
	m.WorkersAvailable, m.WorkersRequested = types.Int64Value(p.WorkersAvailable), types.Int64Value(p.WorkersRequested)
}

// flatten writes a specification as attributes, from nothing. It is the
// reverse of expand. The bundled runner is recognised by its command, unless
// its attributes cannot say what it is told.
func (m *spoutModel) flatten(ctx context.Context, s pachyderm.Spec, asTransform bool) diag.Diagnostics {
	f := flattener{ctx: ctx}
	m.Description = textOrNull(s.Description)
	m.OutputBranch = types.StringValue(s.OutputBranch)
	m.PodSpec = textValue{StringValue: textOrNull(s.PodSpec), kind: jsonObjectKind}
	m.PodPatch = textValue{StringValue: textOrNull(s.PodPatch), kind: jsonPatchKind}
	for name, object := range m.bundled() {
		*object = types.ObjectNull(objectTypes(name))
	}
	m.Transform, m.Image = types.ObjectNull(objectTypes("transform")), types.StringNull()

	env, secrets, annotations := s.Env, s.Secrets, s.Annotations
	if asTransform || !f.runner(m, s) {
		m.Transform = f.transform(s)
	} else {
		env = maps.Clone(s.Env)
		maps.DeleteFunc(env, func(name, _ string) bool { return strings.HasPrefix(name, settings.Prefix) })
		_, secrets = splitSecrets(s.Secrets)
		annotations, _ = splitScrape(s)
	}
	m.Env = f.texts(env)
	m.SecretEnv, m.SecretMounts = f.secrets(secrets)

	m.Service = types.ObjectNull(objectTypes("service"))
	if s.Service != nil {
		m.Service = f.object("service", serviceModel{types.Int64Value(int64(s.Service.InternalPort)),
			types.Int64Value(int64(s.Service.ExternalPort)), types.StringValue(s.Service.Type)})
	}
	m.ResourceRequests, m.ResourceLimits = f.resources("resource_requests", s.ResourceRequests), f.resources("resource_limits", s.ResourceLimits)
	m.SidecarResourceRequests = f.resources("sidecar_resource_requests", s.SidecarResourceRequests)
	m.SidecarResourceLimits = f.resources("sidecar_resource_limits", s.SidecarResourceLimits)
	m.Scheduling = types.ObjectNull(objectTypes("scheduling"))
	if len(s.NodeSelector) > 0 || s.PriorityClassName != "" {
		m.Scheduling = f.object("scheduling", schedulingModel{f.texts(s.NodeSelector), textOrNull(s.PriorityClassName)})
	}
	m.Metadata = types.ObjectNull(objectTypes("metadata"))
	if len(s.Labels) > 0 || len(annotations) > 0 {
		m.Metadata = f.object("metadata", metadataModel{f.texts(s.Labels), f.texts(annotations)})
	}
	m.Tolerations = f.tolerations(s.Tolerations)
	return f.diags
}

// flattener collects what goes wrong.
type flattener struct {
	ctx   context.Context
	diags diag.Diagnostics
}

func (f *flattener) add(d diag.Diagnostics) { f.diags.Append(d...) }

func (f *flattener) runner(m *spoutModel, s pachyderm.Spec) bool {
	if !isBundledRunner(s) || len(s.Cmd) > 1 || len(s.Stdin) > 0 || s.WorkingDir != "" || s.User != "" || len(s.AcceptReturnCode) > 0 {
		return false
	}
	env := maps.Clone(s.Env)
	maps.DeleteFunc(env, func(name, _ string) bool { return !strings.HasPrefix(name, settings.Prefix) })
	own, _ := splitSecrets(s.Secrets)
	w, ok := attributesFor(env, own, s.OutputBranch)
	if !ok {
		return false
	}
	if len(s.ImagePullSecrets) > 0 {
		w.texts["runner.image_pull_secrets"] = strings.Join(s.ImagePullSecrets, ",")
	}
	if _, scraped := splitScrape(s); !scraped {
		w.texts["runner.prometheus_scrape"] = "false"
	}
	for name, object := range m.bundled() {
		o, d := objectFrom(f.ctx, spoutTypes[name].(types.ObjectType), name, w.texts, w.present)
		f.add(d)
		*object = o
	}
	m.Image = types.StringValue(s.Image)
	return true
}

// bundled are the objects of the bundled runner's settings, those of all
// sources included.
func (m *spoutModel) bundled() map[string]*types.Object {
	all := m.settingObjects()
	for _, source := range spoutSourceList {
		all[source.name] = source.of(&m.spoutSources)
	}
	return all
}

// splitSecrets tells the runner's secrets from the others.
func splitSecrets(all []pachyderm.Secret) (own, others []pachyderm.Secret) {
	for _, secret := range all {
		if settings.IsSecret(secret.EnvVar) && secret.MountPath == "" {
			own = append(own, secret)
		} else {
			others = append(others, secret)
		}
	}
	return own, others
}

func (f *flattener) transform(s pachyderm.Spec) types.Object {
	codes := types.ListNull(types.Int64Type)
	if len(s.AcceptReturnCode) > 0 {
		var d diag.Diagnostics
		codes, d = types.ListValueFrom(f.ctx, types.Int64Type, s.AcceptReturnCode)
		f.add(d)
	}
	cmd := f.list(s.Cmd)
	if len(s.Cmd) == 0 {
		cmd = types.ListValueMust(types.StringType, nil) // pachd takes a spout without a command, and calls it failed
	}
	return f.object("transform", transformModel{Image: types.StringValue(s.Image), Cmd: cmd, Stdin: f.list(s.Stdin),
		WorkingDir: textOrNull(s.WorkingDir), User: textOrNull(s.User), ImagePullSecrets: f.list(s.ImagePullSecrets), AcceptReturnCode: codes})
}

func (f *flattener) object(attribute string, from any) types.Object {
	o, d := types.ObjectValueFrom(f.ctx, objectTypes(attribute), from)
	f.add(d)
	return o
}

func (f *flattener) texts(m map[string]string) types.Map {
	if len(m) == 0 {
		return types.MapNull(types.StringType)
	}
	out, d := types.MapValueFrom(f.ctx, types.StringType, m)
	f.add(d)
	return out
}

func (f *flattener) list(l []string) types.List {
	if len(l) == 0 {
		return types.ListNull(types.StringType)
	}
	out, d := types.ListValueFrom(f.ctx, types.StringType, l)
	f.add(d)
	return out
}

func (f *flattener) secrets(all []pachyderm.Secret) (env, mounts types.Map) {
	element := spoutTypes["secret_env"].(types.MapType).ElemType
	byName, byPath := map[string]secretKeyModel{}, map[string]string{}
	for _, s := range all {
		if s.EnvVar != "" {
			byName[s.EnvVar] = secretKeyModel{types.StringValue(s.Name), types.StringValue(s.Key)}
		}
		if s.MountPath != "" {
			byPath[s.MountPath] = s.Name
		}
	}
	env = types.MapNull(element)
	if len(byName) > 0 {
		var d diag.Diagnostics
		env, d = types.MapValueFrom(f.ctx, element, byName)
		f.add(d)
	}
	return env, f.texts(byPath)
}

func (f *flattener) resources(attribute string, r *pachyderm.Resources) types.Object {
	t := objectTypes(attribute)
	if r == nil {
		return types.ObjectNull(t)
	}
	values := map[string]attr.Value{
		"cpu":    textValue{StringValue: types.StringNull(), kind: cpuKind},
		"memory": textValue{StringValue: textOrNull(r.Memory), kind: quantityKind},
		"disk":   textValue{StringValue: textOrNull(r.Disk), kind: quantityKind},
	}
	if r.CPU != 0 || *r == (pachyderm.Resources{}) {
		values["cpu"] = textValue{StringValue: types.StringValue(shortest(r.CPU)), kind: cpuKind}
	}
	if gpu, ok := t["gpu"].(types.ObjectType); ok {
		values["gpu"] = types.ObjectNull(gpu.AttrTypes)
		if r.GPU != nil {
			o, d := types.ObjectValue(gpu.AttrTypes, map[string]attr.Value{
				"type": types.StringValue(r.GPU.Type), "number": types.Int64Value(r.GPU.Number)})
			f.add(d)
			values["gpu"] = o
		}
	}
	o, d := types.ObjectValue(t, values)
	f.add(d)
	return o
}

// shortest returns the number that a person would have written: 0.1 for the
// 32 bits nearest to it, not 0.10000000149.
func shortest(f float32) string { return strconv.FormatFloat(float64(f), 'f', -1, 32) }

func (f *flattener) tolerations(all []pachyderm.Toleration) types.List {
	element := spoutTypes["tolerations"].(types.ListType).ElemType
	if len(all) == 0 {
		return types.ListNull(element)
	}
	var models []tolerationModel
	for _, t := range all {
		models = append(models, tolerationModel{textOrNull(t.Key), types.StringValue(t.Operator), textOrNull(t.Value),
			textOrNull(t.Effect), types.Int64PointerValue(t.Seconds)})
	}
	out, d := types.ListValueFrom(f.ctx, element, models)
	f.add(d)
	return out
}

func textOrNull(s string) types.String {
	if s == "" {
		return types.StringNull()
	}
	return types.StringValue(s)
}
