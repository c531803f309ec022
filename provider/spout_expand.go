// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// runnerCommand starts the bundled runner. Pachyderm never uses an image's entry point.
var runnerCommand = []string{"/spout-runner"}

// isBundledRunner says whether a spout runs the bundled runner, be it with
// arguments of the user's own.
func isBundledRunner(s pachyderm.Spec) bool { return len(s.Cmd) > 0 && s.Cmd[0] == runnerCommand[0] }

// expand turns the model into what Pachyderm is asked for. All values must be known.
func (m *spoutModel) expand(ctx context.Context) (pachyderm.Spec, diag.Diagnostics) {
	e := expander{ctx: ctx}
	s := pachyderm.Spec{
		Description: m.Description.ValueString(), OutputBranch: m.OutputBranch.ValueString(), PodSpec: m.PodSpec.ValueString(), PodPatch: m.PodPatch.ValueString(),
		Env:              e.texts(m.Env),
		ResourceRequests: e.resources(m.ResourceRequests), ResourceLimits: e.resources(m.ResourceLimits),
		SidecarResourceRequests: e.resources(m.SidecarResourceRequests), SidecarResourceLimits: e.resources(m.SidecarResourceLimits),
	}
	switch {
	case !m.Transform.IsNull():
		e.transform(m, &s)
	default:
		e.runner(m, &s)
	}
	secretEnv := map[string]secretKeyModel{}
	e.add(m.SecretEnv.ElementsAs(ctx, &secretEnv, false))
	for _, name := range slices.Sorted(maps.Keys(secretEnv)) {
		ref := secretEnv[name]
		s.Secrets = append(s.Secrets, pachyderm.Secret{Name: ref.Secret.ValueString(), Key: ref.Key.ValueString(), EnvVar: name})
	}
	mounts := e.texts(m.SecretMounts)
	for _, at := range slices.Sorted(maps.Keys(mounts)) {
		s.Secrets = append(s.Secrets, pachyderm.Secret{Name: mounts[at], MountPath: at})
	}
	var service *serviceModel
	if e.object(m.Service, &service); service != nil {
		s.Service = &pachyderm.Service{InternalPort: int32(service.InternalPort.ValueInt64()),
			ExternalPort: int32(service.ExternalPort.ValueInt64()), Type: service.Type.ValueString()}
	}
	var scheduling *schedulingModel
	if e.object(m.Scheduling, &scheduling); scheduling != nil {
		s.NodeSelector, s.PriorityClassName = e.texts(scheduling.NodeSelector), scheduling.PriorityClassName.ValueString()
	}
	var metadata *metadataModel
	if e.object(m.Metadata, &metadata); metadata != nil {
		s.Labels = e.texts(metadata.Labels)
		s.Annotations = overlaid(s.Annotations, e.texts(metadata.Annotations))
	}
	var tolerations []tolerationModel
	e.add(m.Tolerations.ElementsAs(ctx, &tolerations, false))
	for _, t := range tolerations {
		s.Tolerations = append(s.Tolerations, pachyderm.Toleration{Key: t.Key.ValueString(), Operator: t.Operator.ValueString(),
			Value: t.Value.ValueString(), Effect: t.Effect.ValueString(), Seconds: t.TolerationSeconds.ValueInt64Pointer()})
	}
	return s, e.diags
}

// expander collects what goes wrong.
type expander struct {
	ctx   context.Context
	diags diag.Diagnostics
}

func (e *expander) add(d diag.Diagnostics) { e.diags.Append(d...) }

// object decodes into a pointer that stays nil for null.
func (e *expander) object(o types.Object, into any) {
	if !o.IsNull() && !o.IsUnknown() {
		e.add(o.As(e.ctx, into, basetypes.ObjectAsOptions{}))
	}
}

func (e *expander) texts(m types.Map) map[string]string {
	var out map[string]string
	if !m.IsNull() && !m.IsUnknown() {
		e.add(m.ElementsAs(e.ctx, &out, false))
	}
	return out
}

func (e *expander) list(l types.List) []string {
	var out []string
	if !l.IsNull() && !l.IsUnknown() {
		e.add(l.ElementsAs(e.ctx, &out, false))
	}
	return out
}

func (e *expander) runner(m *spoutModel, s *pachyderm.Spec) {
	source, _, ok := m.source()
	if !ok {
		e.diags.AddError("Not one kind of spout", oneKind())
		return
	}
	l := m.leaves()
	read := readSettings(l, source.name)
	e.add(read.problems(l))
	s.Image, s.Cmd = m.Image.ValueString(), slices.Clone(runnerCommand)
	env := read.Environment()
	maps.Copy(env, s.Env)
	s.Env = env
	s.Secrets = secretsOf(l)
	if scrape, ok := l["runner.prometheus_scrape"].(types.Bool); !ok || scrape.IsNull() || scrape.ValueBool() {
		s.Annotations = scrapeAnnotations(read.Settings, s.Secrets)
	}
	if list, ok := l["runner.image_pull_secrets"].(types.List); ok {
		s.ImagePullSecrets = e.list(list)
	}
}

func (e *expander) transform(m *spoutModel, s *pachyderm.Spec) {
	var t *transformModel
	if e.object(m.Transform, &t); t == nil {
		return
	}
	s.Image, s.Cmd, s.Stdin = t.Image.ValueString(), e.list(t.Cmd), e.list(t.Stdin)
	s.WorkingDir, s.User, s.ImagePullSecrets = t.WorkingDir.ValueString(), t.User.ValueString(), e.list(t.ImagePullSecrets)
	if !t.AcceptReturnCode.IsNull() {
		e.add(t.AcceptReturnCode.ElementsAs(e.ctx, &s.AcceptReturnCode, false))
	}
}

// resources are nil if nothing is set, which leaves them to the server; to ask
// for nothing, something must be set to zero.
func (e *expander) resources(o types.Object) *pachyderm.Resources {
	values := o.Attributes()
	text := func(name string) string {
		v, _ := values[name].(textValue)
		return v.ValueString()
	}
	gpu, ok := values["gpu"].(types.Object)
	ok = ok && known(gpu)
	if !ok && text("cpu") == "" && text("memory") == "" && text("disk") == "" {
		return nil
	}
	r := &pachyderm.Resources{Memory: text("memory"), Disk: text("disk")}
	if cpu, err := pachyderm.ParseCPUs(text("cpu")); err == nil {
		r.CPU = cpu
	}
	if ok {
		r.GPU = &pachyderm.GPU{}
		if kind, ok := gpu.Attributes()["type"].(types.String); ok {
			r.GPU.Type = kind.ValueString()
		}
		if number, ok := gpu.Attributes()["number"].(types.Int64); ok {
			r.GPU.Number = number.ValueInt64()
		}
	}
	return r
}
