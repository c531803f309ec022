// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"slices"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pps"
)

func fullSpec() Spec {
	seconds := int64(60)
	return Spec{
		Description: "all", Image: "x:1", Cmd: []string{"a", "b"}, Stdin: []string{"line"}, WorkingDir: "/w", User: "1000",
		ImagePullSecrets: []string{"pull"}, AcceptReturnCode: []int64{3}, Env: map[string]string{"A": "1", "B": ""},
		Secrets:      []Secret{{Name: "s", Key: "k", EnvVar: "S"}, {Name: "m", MountPath: "/m"}},
		OutputBranch: "live", Service: &Service{InternalPort: 80, ExternalPort: 30080, Type: "NodePort"},
		ResourceRequests: &Resources{CPU: 0.1, Memory: "1Gi", Disk: "2Gi", GPU: &GPU{Type: "nvidia.com/gpu", Number: 1}}, ResourceLimits: &Resources{Memory: "2Gi"},
		SidecarResourceRequests: &Resources{}, SidecarResourceLimits: &Resources{CPU: 2},
		NodeSelector: map[string]string{"pool": "a"}, PriorityClassName: "high",
		Tolerations: []Toleration{{Key: "k", Operator: "Equal", Value: "v", Effect: "NoExecute", Seconds: &seconds}, {Operator: "Exists"}},
		PodPatch:    "[]", Labels: map[string]string{"l": "1"}, Annotations: map[string]string{"a": "1"},
	}
}

func detailsOf(t *testing.T, r *pps.CreatePipelineRequest) *pps.PipelineInfo_Details {
	t.Helper()
	return &pps.PipelineInfo_Details{Transform: r.Transform, Description: r.Description, OutputBranch: r.OutputBranch,
		ResourceRequests: r.ResourceRequests, ResourceLimits: r.ResourceLimits, SidecarResourceRequests: r.SidecarResourceRequests, SidecarResourceLimits: r.SidecarResourceLimits,
		Spout: r.Spout, SchedulingSpec: r.SchedulingSpec, PodPatch: r.PodPatch, Metadata: r.Metadata, Tolerations: r.Tolerations}
}

func TestSpecThereAndBack(t *testing.T) {
	t.Parallel()
	id := PipelineID{"default", "orders"}
	for _, spec := range []Spec{{}, {Image: "x", Cmd: []string{"y"}}, fullSpec()} {
		info := &pps.PipelineInfo{Pipeline: id.proto(), Version: 3, State: pps.PipelineState_PIPELINE_RUNNING, Details: detailsOf(t, spec.request(id))}
		p := pipelineFrom(id, info)
		if !p.Spec.Equal(spec) || p.State != StateRunning || p.Version != 3 || !p.IsSpout || len(p.LeftOut) > 0 {
			t.Errorf("%+v\nbecame\n%+v", spec, p)
		}
	}
	changed := fullSpec()
	changed.ResourceRequests.CPU = 0.2
	if changed.Equal(fullSpec()) {
		t.Error("a change was not seen")
	}
	changed = fullSpec()
	changed.SidecarResourceRequests = nil
	if changed.Equal(fullSpec()) {
		t.Error("no resources and resources left to the server are taken for the same")
	}
}

// Newer servers show the details with defaults merged into them, and what was
// asked for as JSON in a field that 2.6 does not know.
func TestSpecOfNewerServer(t *testing.T) {
	t.Parallel()
	id := PipelineID{"default", "orders"}
	asked := `{"pipeline":{"project":{"name":"default"},"name":"orders"},"transform":{"image":"x:1","cmd":["a"],"env":{"A":"1"}},
		"spout":{},"update":true,"determined":{"workspaces":["w"]},"resourceLimits":{"cpu":0.1},
		"tolerations":[{"operator":"EXISTS","tolerationSeconds":"60","effect":"NO_EXECUTE"}],"schedulingSpec":{"nodeSelector":{"pool":"a"}}}`
	newer, err := proto.Marshal(&newerFields{UserSpecJSON: asked})
	if err != nil {
		t.Fatal(err)
	}
	details := detailsOf(t, fullSpec().request(id))
	info := &pps.PipelineInfo{Pipeline: id.proto(), Version: 1, Type: pps.PipelineInfo_PIPELINE_TYPE_SPOUT, Details: details}
	wire, err := proto.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	var received pps.PipelineInfo
	if err := proto.Unmarshal(append(wire, newer...), &received); err != nil {
		t.Fatal(err)
	}
	seconds := int64(60)
	want := Spec{Image: "x:1", Cmd: []string{"a"}, Env: map[string]string{"A": "1"}, ResourceLimits: &Resources{CPU: 0.1},
		Tolerations: []Toleration{{Operator: "Exists", Effect: "NoExecute", Seconds: &seconds}}, NodeSelector: map[string]string{"pool": "a"}}
	if p := pipelineFrom(id, &received); !p.Spec.Equal(want) {
		t.Errorf("%+v, not %+v", p.Spec, want)
	}
	// What cannot be read is not believed.
	broken, err := proto.Marshal(&newerFields{UserSpecJSON: "{"})
	if err != nil {
		t.Fatal(err)
	}
	received = pps.PipelineInfo{}
	if err := proto.Unmarshal(append(wire, broken...), &received); err != nil {
		t.Fatal(err)
	}
	if p := pipelineFrom(id, &received); !p.Spec.Equal(fullSpec()) {
		t.Errorf("%+v", p.Spec)
	}
}

func TestWhatSpecLeavesOut(t *testing.T) {
	t.Parallel()
	r := Spec{Image: "x"}.request(PipelineID{"default", "orders"})
	r.DatumTries, r.ReprocessSpec = 3, "until_success" // as Pachyderm fills them in
	if got := leftOut(r); len(got) > 0 {
		t.Error(got)
	}
	r.S3Out, r.ParallelismSpec, r.Autoscaling = true, &pps.ParallelismSpec{Constant: 3}, true
	r.DatumTimeout, r.JobTimeout, r.DatumTries, r.ReprocessSpec = types.DurationProto(time.Hour), types.DurationProto(time.Hour), 5, "every_job"
	r.DatumSetSpec, r.Input, r.Egress = &pps.DatumSetSpec{Number: 1}, &pps.Input{}, &pps.Egress{}
	r.Transform.ErrCmd, r.Transform.ErrStdin, r.Transform.DatumBatching, r.Transform.MemoryVolume, r.Transform.Debug = []string{"x"}, []string{"x"}, true, true, true
	want := []string{"input", "egress", "parallelism_spec", "s3_out", "autoscaling", "datum_set_spec", "datum_timeout", "datum_tries", "job_timeout", "reprocess_spec",
		"transform.err_cmd", "transform.err_stdin", "transform.datum_batching", "transform.debug", "transform.memory_volume"}
	if got := leftOut(r); !slices.Equal(got, want) {
		t.Error(got)
	}
}
