// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/gogo/protobuf/jsonpb"
	"github.com/gogo/protobuf/proto"
	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pps"
)

// Spec is a spout pipeline as it is asked for: what its user wrote, without
// what the server adds.
type Spec struct {
	Description      string
	Image            string
	Cmd              []string
	Stdin            []string
	WorkingDir       string
	User             string
	ImagePullSecrets []string
	AcceptReturnCode []int64
	Env              map[string]string
	Secrets          []Secret
	OutputBranch     string
	Service          *Service

	ResourceRequests        *Resources // nil leaves them to the server; empty asks for nothing (2.6, 2.7)
	ResourceLimits          *Resources
	SidecarResourceRequests *Resources
	SidecarResourceLimits   *Resources

	NodeSelector      map[string]string
	PriorityClassName string
	Tolerations       []Toleration
	PodSpec           string // JSON merge patch of the pod
	PodPatch          string // JSON patch of it, applied afterwards
	Labels            map[string]string
	Annotations       map[string]string
}

// Secret gives user code a key of a Kubernetes secret as an environment
// variable, or all of its keys as files below MountPath.
type Secret struct{ Name, Key, EnvVar, MountPath string }

// Service is a Kubernetes service in front of a spout.
type Service struct {
	InternalPort, ExternalPort int32
	Type                       string
}

// Resources are what a container asks for, or may use at most.
type Resources struct {
	CPU          float32
	Memory, Disk string
	GPU          *GPU
}

// GPU is a number of devices of a type, as nvidia.com/gpu.
type GPU struct {
	Type   string
	Number int64
}

// Toleration is one of Kubernetes'; the strings are written as there.
type Toleration struct {
	Key, Operator, Value, Effect string
	Seconds                      *int64
}

// DefaultOutputBranch is what pachd calls the output branch of a pipeline that names none.
const DefaultOutputBranch = "master"

// DefaultServiceType is the type that pachd gives to a service that names none.
const DefaultServiceType = "NodePort"

// Equal compares two specs by meaning: order and absence matter only where
// they do to Pachyderm.
func (s Spec) Equal(o Spec) bool { return reflect.DeepEqual(s.normal().sorted(), o.normal().sorted()) }

func (s Spec) normal() Spec {
	s.Secrets = slices.Clone(s.Secrets)
	slices.SortFunc(s.Secrets, func(a, b Secret) int {
		return cmp.Or(cmp.Compare(a.EnvVar, b.EnvVar), cmp.Compare(a.MountPath, b.MountPath), cmp.Compare(a.Name, b.Name))
	})
	s.OutputBranch = cmp.Or(s.OutputBranch, DefaultOutputBranch)
	if s.Service != nil {
		copied := *s.Service
		copied.Type = cmp.Or(copied.Type, DefaultServiceType)
		s.Service = &copied
	}
	for _, m := range []*map[string]string{&s.Env, &s.NodeSelector, &s.Labels, &s.Annotations} {
		if len(*m) == 0 {
			*m = nil
		}
	}
	for _, l := range []*[]string{&s.Cmd, &s.Stdin, &s.ImagePullSecrets} {
		if len(*l) == 0 {
			*l = nil
		}
	}
	if len(s.AcceptReturnCode) == 0 {
		s.AcceptReturnCode = nil
	}
	if len(s.Secrets) == 0 {
		s.Secrets = nil
	}
	if len(s.Tolerations) == 0 {
		s.Tolerations = nil
	}
	s.PodSpec, s.PodPatch = CanonicalPatch(s.PodSpec), CanonicalPatch(s.PodPatch)
	return s
}

// sorted puts what has no order into one.
func (s Spec) sorted() Spec {
	s.ImagePullSecrets, s.AcceptReturnCode, s.Tolerations = slices.Clone(s.ImagePullSecrets), slices.Clone(s.AcceptReturnCode), slices.Clone(s.Tolerations)
	slices.Sort(s.ImagePullSecrets)
	slices.Sort(s.AcceptReturnCode)
	slices.SortFunc(s.Tolerations, func(a, b Toleration) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Operator, b.Operator), cmp.Compare(a.Value, b.Value), cmp.Compare(a.Effect, b.Effect))
	})
	return s
}

// CanonicalPatch writes a patch in JSON on one line with sorted keys. One that
// changes nothing is the empty text, and what is no JSON stays as it is.
func CanonicalPatch(text string) string {
	if text == "" {
		return ""
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var v any
	if decoder.Decode(&v) != nil {
		return text
	}
	b, err := json.Marshal(v)
	switch canonical := string(b); {
	case err != nil:
		return text
	case canonical == "{}" || canonical == "[]" || canonical == "null":
		return ""
	default:
		return canonical
	}
}

func (s Spec) request(id PipelineID) *pps.CreatePipelineRequest {
	s = s.normal()
	r := &pps.CreatePipelineRequest{
		Pipeline: id.proto(), Description: s.Description, OutputBranch: s.OutputBranch, PodPatch: s.PodPatch, PodSpec: s.PodSpec,
		Spout: &pps.Spout{},
		Transform: &pps.Transform{
			Image: s.Image, Cmd: s.Cmd, Stdin: s.Stdin, WorkingDir: s.WorkingDir, User: s.User,
			ImagePullSecrets: s.ImagePullSecrets, AcceptReturnCode: s.AcceptReturnCode, Env: maps.Clone(s.Env),
		},
		ResourceRequests: s.ResourceRequests.proto(), ResourceLimits: s.ResourceLimits.proto(),
		SidecarResourceRequests: s.SidecarResourceRequests.proto(), SidecarResourceLimits: s.SidecarResourceLimits.proto(),
	}
	for _, secret := range s.Secrets {
		r.Transform.Secrets = append(r.Transform.Secrets, &pps.SecretMount{
			Name: secret.Name, Key: secret.Key, MountPath: secret.MountPath, EnvVar: secret.EnvVar})
	}
	if s.Service != nil {
		r.Spout.Service = &pps.Service{InternalPort: s.Service.InternalPort, ExternalPort: s.Service.ExternalPort, Type: s.Service.Type}
	}
	if s.NodeSelector != nil || s.PriorityClassName != "" {
		r.SchedulingSpec = &pps.SchedulingSpec{NodeSelector: s.NodeSelector, PriorityClassName: s.PriorityClassName}
	}
	if s.Labels != nil || s.Annotations != nil {
		r.Metadata = &pps.Metadata{Labels: s.Labels, Annotations: s.Annotations}
	}
	for _, t := range s.Tolerations {
		r.Tolerations = append(r.Tolerations, t.proto())
	}
	return r
}

func (r *Resources) proto() *pps.ResourceSpec {
	if r == nil {
		return nil
	}
	out := &pps.ResourceSpec{Cpu: r.CPU, Memory: r.Memory, Disk: r.Disk}
	if r.GPU != nil {
		out.Gpu = &pps.GPUSpec{Type: r.GPU.Type, Number: r.GPU.Number}
	}
	return out
}

func resourcesFrom(r *pps.ResourceSpec) *Resources {
	if r == nil {
		return nil
	}
	out := &Resources{CPU: r.Cpu, Memory: r.Memory, Disk: r.Disk}
	if r.Gpu != nil {
		out.GPU = &GPU{Type: r.Gpu.Type, Number: r.Gpu.Number}
	}
	return out
}

var (
	tolerationOperators = map[string]pps.TolerationOperator{"Exists": pps.TolerationOperator_EXISTS, "Equal": pps.TolerationOperator_EQUAL}
	taintEffects        = map[string]pps.TaintEffect{"NoSchedule": pps.TaintEffect_NO_SCHEDULE,
		"PreferNoSchedule": pps.TaintEffect_PREFER_NO_SCHEDULE, "NoExecute": pps.TaintEffect_NO_EXECUTE}
)

func (t Toleration) proto() *pps.Toleration {
	out := &pps.Toleration{Key: t.Key, Value: t.Value, Operator: tolerationOperators[t.Operator], Effect: taintEffects[t.Effect]}
	if t.Seconds != nil {
		out.TolerationSeconds = &types.Int64Value{Value: *t.Seconds}
	}
	return out
}

func tolerationFrom(t *pps.Toleration) Toleration {
	out := Toleration{Key: t.Key, Value: t.Value}
	for name, value := range tolerationOperators {
		if value == t.Operator {
			out.Operator = name
		}
	}
	for name, value := range taintEffects {
		if value == t.Effect {
			out.Effect = name
		}
	}
	if t.TolerationSeconds != nil {
		seconds := t.TolerationSeconds.Value
		out.Seconds = &seconds
	}
	return out
}

// newerFields are those of PipelineInfo that 2.6 does not know. Decoding
// leaves them in XXX_unrecognized.
type newerFields struct {
	UserSpecJSON string `protobuf:"bytes,13,opt,name=user_spec_json,proto3"`
}

func (n *newerFields) Reset()      { *n = newerFields{} }
func (newerFields) String() string { return "" }
func (newerFields) ProtoMessage()  {}
func (n *newerFields) parse(b []byte) bool {
	return len(b) > 0 && proto.Unmarshal(b, n) == nil && n.UserSpecJSON != ""
}

// askedFor returns the request that made a pipeline. Servers from 2.8 on merge
// the cluster's defaults into the details that they show, and keep what the
// user sent beside them; older ones show what was sent.
func askedFor(info *pps.PipelineInfo) *pps.CreatePipelineRequest {
	var newer newerFields
	if newer.parse(info.XXX_unrecognized) {
		var request pps.CreatePipelineRequest
		lenient := jsonpb.Unmarshaler{AllowUnknownFields: true}
		if err := lenient.Unmarshal(strings.NewReader(newer.UserSpecJSON), &request); err == nil && request.Transform != nil {
			return &request
		}
	}
	return detailsRequest(info)
}

// detailsRequest returns the request that asks for what a pipeline is.
func detailsRequest(info *pps.PipelineInfo) *pps.CreatePipelineRequest {
	d := info.Details
	if d == nil {
		d = &pps.PipelineInfo_Details{}
	}
	return &pps.CreatePipelineRequest{
		Pipeline: info.Pipeline, Description: d.Description, Transform: d.Transform, OutputBranch: d.OutputBranch,
		ResourceRequests: d.ResourceRequests, ResourceLimits: d.ResourceLimits,
		SidecarResourceRequests: d.SidecarResourceRequests, SidecarResourceLimits: d.SidecarResourceLimits,
		Spout: d.Spout, Service: d.Service, SchedulingSpec: d.SchedulingSpec, PodPatch: d.PodPatch, PodSpec: d.PodSpec, Metadata: d.Metadata,
		Tolerations: d.Tolerations, Input: d.Input, Egress: d.Egress, ParallelismSpec: d.ParallelismSpec, S3Out: d.S3Out,
		DatumSetSpec: d.DatumSetSpec, DatumTimeout: d.DatumTimeout, JobTimeout: d.JobTimeout, DatumTries: d.DatumTries,
		ReprocessSpec: d.ReprocessSpec, Autoscaling: d.Autoscaling,
	}
}

func specFrom(r *pps.CreatePipelineRequest) Spec {
	t := r.GetTransform()
	if t == nil {
		t = &pps.Transform{}
	}
	s := Spec{
		Description: r.Description, Image: t.Image, Cmd: t.Cmd, Stdin: t.Stdin, WorkingDir: t.WorkingDir, User: t.User,
		ImagePullSecrets: t.ImagePullSecrets, AcceptReturnCode: t.AcceptReturnCode, Env: t.Env,
		OutputBranch: r.OutputBranch, PodPatch: r.PodPatch, PodSpec: r.PodSpec,
		ResourceRequests: resourcesFrom(r.ResourceRequests), ResourceLimits: resourcesFrom(r.ResourceLimits),
		SidecarResourceRequests: resourcesFrom(r.SidecarResourceRequests), SidecarResourceLimits: resourcesFrom(r.SidecarResourceLimits),
		NodeSelector: r.SchedulingSpec.GetNodeSelector(), PriorityClassName: r.SchedulingSpec.GetPriorityClassName(),
		Labels: r.Metadata.GetLabels(), Annotations: r.Metadata.GetAnnotations(),
	}
	for _, secret := range t.Secrets {
		s.Secrets = append(s.Secrets, Secret{Name: secret.Name, Key: secret.Key, MountPath: secret.MountPath, EnvVar: secret.EnvVar})
	}
	if service := r.Spout.GetService(); service != nil {
		s.Service = &Service{InternalPort: service.InternalPort, ExternalPort: service.ExternalPort, Type: service.Type}
	}
	for _, toleration := range r.Tolerations {
		s.Tolerations = append(s.Tolerations, tolerationFrom(toleration))
	}
	return s.normal()
}

// What Pachyderm makes of a specification that leaves these out.
const (
	filledInDatumTries    = 3
	filledInReprocessSpec = "until_success"
)

// leftOut names what a pipeline's specification has and [Spec] has not. What
// Pachyderm fills in itself (2.6) is no loss.
func leftOut(r *pps.CreatePipelineRequest) []string {
	var names []string
	add := func(name string, has bool) {
		if has {
			names = append(names, name)
		}
	}
	add("input", r.Input != nil)
	add("egress", r.Egress != nil)
	add("parallelism_spec", r.ParallelismSpec.GetConstant() > 1)
	add("s3_out", r.S3Out)
	add("autoscaling", r.Autoscaling)
	add("datum_set_spec", r.DatumSetSpec != nil)
	add("datum_timeout", r.DatumTimeout != nil)
	add("datum_tries", r.DatumTries != 0 && r.DatumTries != filledInDatumTries)
	add("job_timeout", r.JobTimeout != nil)
	add("reprocess_spec", r.ReprocessSpec != "" && r.ReprocessSpec != filledInReprocessSpec)
	t := r.GetTransform()
	add("transform.err_cmd", len(t.GetErrCmd()) > 0)
	add("transform.err_stdin", len(t.GetErrStdin()) > 0)
	add("transform.datum_batching", t.GetDatumBatching())
	add("transform.debug", t.GetDebug())
	add("transform.memory_volume", t.GetMemoryVolume())
	return names
}
