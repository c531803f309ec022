// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// invoke invokes an action over the protocol, as Terraform 1.14 does.
func (i *instance) invoke(typeName string, config object) (progress string, diagnostics []*tfprotov6.Diagnostic) {
	i.t.Helper()
	schema := i.schemas.ActionSchemas[typeName]
	if schema == nil {
		i.t.Fatalf("there is no action %s", typeName)
	}
	kind := schema.Schema.ValueType()
	encoded := i.dynamic(kind, valueOf(i.t, kind, config))
	//nolint:staticcheck // the only way to call it
	server := i.server.(tfprotov6.ProviderServerWithActions)
	validated, err := server.ValidateActionConfig(i.ctx, &tfprotov6.ValidateActionConfigRequest{ActionType: typeName, Config: encoded})
	if err != nil {
		i.t.Fatal(err)
	}
	if errorsIn(validated.Diagnostics) != "" {
		return "", validated.Diagnostics
	}
	planned, err := server.PlanAction(i.ctx, &tfprotov6.PlanActionRequest{ActionType: typeName, Config: encoded})
	if err != nil {
		i.t.Fatal(err)
	}
	i.must(planned.Diagnostics)
	stream, err := server.InvokeAction(i.ctx, &tfprotov6.InvokeActionRequest{ActionType: typeName, Config: encoded})
	if err != nil {
		i.t.Fatal(err)
	}
	var lines []string
	for event := range stream.Events {
		switch event := event.Type.(type) {
		case tfprotov6.ProgressInvokeActionEventType:
			lines = append(lines, event.Message)
		case tfprotov6.CompletedInvokeActionEventType:
			diagnostics = append(diagnostics, event.Diagnostics...)
		}
	}
	return strings.Join(lines, "\n"), diagnostics
}

const (
	restartSpout = "pachyderm_restart_spout"
	runPipeline  = "pachyderm_run_pipeline"
	finishCommit = "pachyderm_finish_commit"
)

// A restart makes a new pod, and changes nothing else: neither the
// specification, nor the branch, nor what Terraform would plan.
func TestRestartSpout(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s)
		for _, config := range []object{kafkaSpout(object{"resource_requests.memory": "1Gi"}), transformSpout(object{"name": "sensors", "env": object{"A": "b"}})} {
			i = i.as("pachyderm_spout")
			i.must(i.apply(config))
			id := pachyderm.PipelineID{Project: "default", Name: config["name"].(string)}
			writeData(t, s, id)
			before, head := inspect(t, s, id), headOf(t, s, id)
			progress, diagnostics := i.invoke(restartSpout, object{"name": id.Name})
			i.must(diagnostics)
			if err := contains(progress, "Restarting spout "+id.String(), "Version 2 is running", "runs, at version 2"); err != nil {
				t.Error(err)
			}
			after := inspect(t, s, id)
			if after.Version != before.Version+1 || !after.Spec.Equal(before.Spec) || after.Stopped {
				t.Errorf("it was %+v, and is %+v", before, after)
			}
			if now := headOf(t, s, id); now.ID != head.ID && (now.Open() || now.SizeBytes != head.SizeBytes) {
				t.Errorf("the head was %+v, and is %+v", head, now)
			}
			if n := count(s, "StopPipeline"); n > 0 {
				t.Errorf("%d stops", n)
			}
			i.must(i.refresh())
			if i.changes(config) {
				t.Error("a plan after it changes something")
			}
		}
		// One that has failed is tried again.
		s.SetPipelineState("default", "orders", pps.PipelineState_PIPELINE_FAILURE, "no more")
		_, diagnostics := i.invoke(restartSpout, object{"name": "orders", "project": "default", "timeouts": object{"invoke": "1m"}})
		i.must(diagnostics)
		if p := inspect(t, s, orders); p.State != pachyderm.StateRunning {
			t.Errorf("it is %s", p.State)
		}
	})
}

func headOf(t *testing.T, s *pachtest.Server, id pachyderm.PipelineID) *pachyderm.Commit {
	t.Helper()
	head, err := client(t, s).Branch(id.Project, id.Name, "master").Head(t.Context())
	if err != nil || head == nil {
		t.Fatalf("%v %v", head, err)
	}
	return head
}

func TestRestartSpoutSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	transformPipeline(t, s, "edges", nil)
	i := newInstance(t, s, onlyOnce)
	i.must(i.apply(kafkaSpout(nil)))
	fails := func(config object, want ...string) string {
		t.Helper()
		progress, diagnostics := i.invoke(restartSpout, config)
		if err := contains(errorsIn(diagnostics), want...); err != nil {
			t.Error(err)
		}
		return progress
	}
	orders := object{"name": "orders"}
	fails(object{}, "name")
	fails(object{"name": "none"}, "spout default/none", "not found")
	fails(object{"name": "edges"}, "not a spout", "pachyderm_run_pipeline")
	for _, f := range failures {
		for _, method := range []string{"InspectPipeline", "CreatePipeline"} {
			if method == "CreatePipeline" && f.isUnanswered() {
				continue
			}
			fault := f.inject(s, method)
			fails(orders, "spout default/orders", f.want)
			fault.Remove()
		}
	}
	// An update that got no answer is followed up.
	s.Inject(pachtest.Fault{Method: "CreatePipeline", LoseReply: true})
	_, diagnostics := i.invoke(restartSpout, orders)
	i.must(diagnostics)
	s.Inject(pachtest.Fault{Method: "CreatePipeline", Before: status.Error(codes.Unavailable, "going down")})
	fails(orders, "probably not updated")
	// The new pod does not come up: it says why, and how far it was.
	s.OnPipeline(func(e pachtest.PipelineEvent) {
		s.SetPipelineState(e.Project, e.Name, pps.PipelineState_PIPELINE_CRASHING, "ErrImagePull")
	})
	if err := contains(fails(orders, "does not run", "ErrImagePull"), "crashing"); err != nil {
		t.Error(err)
	}
	if err := client(t, s).StopPipeline(t.Context(), pachyderm.PipelineID{Project: "default", Name: "orders"}); err != nil {
		t.Fatal(err)
	}
	fails(orders, "is paused", "paused = false")
}

// transformPipeline makes a pipeline that is no spout.
func transformPipeline(t *testing.T, s *pachtest.Server, name string, input *pps.Input) {
	t.Helper()
	if input == nil {
		i := newInstance(t, s).as("pachyderm_repo")
		i.must(i.apply(object{"name": name + "-input"}))
		input = &pps.Input{Pfs: &pps.PFSInput{Project: "default", Repo: name + "-input", Branch: "master", Glob: "/"}}
	}
	if _, err := client(t, s).PPS.CreatePipeline(t.Context(), &pps.CreatePipelineRequest{Input: input, ReprocessSpec: "every_job", DatumTries: 2,
		Pipeline:  &pps.Pipeline{Name: name, Project: &pfs.Project{Name: "default"}},
		Transform: &pps.Transform{Image: "x", Cmd: []string{"y"}}}); err != nil {
		t.Fatal(err)
	}
}

func TestRunPipeline(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s)
		transformPipeline(t, s, "edges", nil)
		transformPipeline(t, s, "nightly", &pps.Input{Cron: &pps.CronInput{Name: "tick", Spec: "@daily"}})
		for _, c := range []struct {
			config      object
			crons, puts int
			want        []string
		}{
			{object{"name": "edges"}, 0, 1, []string{"as version 2", `"created"`, `"running"`, `"success": 3 of 3 datums`}},
			{object{"name": "edges", "reprocess": true}, 0, 1, []string{"as version 3, with all of its input", `"success"`}},
			{object{"name": "edges", "wait": false}, 0, 1, []string{"as version 4"}},
			{object{"name": "nightly"}, 1, 0, []string{"a tick", `"success"`}},
			{object{"name": "nightly", "reprocess": true, "wait": true}, 0, 1, []string{"as version 2, with all of its input", `"success"`}},
		} {
			before := inspect(t, s, pachyderm.PipelineID{Project: "default", Name: c.config["name"].(string)})
			crons, puts := count(s, "RunCron"), count(s, "CreatePipeline")+count(s, "CreatePipelineV2")
			progress, diagnostics := i.invoke(runPipeline, c.config)
			i.must(diagnostics)
			if err := contains(progress, c.want...); err != nil {
				t.Error(err)
			}
			if c.config["wait"] == false && strings.Contains(progress, "Job") {
				t.Errorf("it has waited: %s", progress)
			}
			if got := fmt.Sprint(count(s, "RunCron")-crons, count(s, "CreatePipeline")+count(s, "CreatePipelineV2")-puts); got != fmt.Sprint(c.crons, c.puts) {
				t.Errorf("%v: %s calls of RunCron and CreatePipeline", c.config, got)
			}
			after := inspect(t, s, before.ID)
			if !after.Document().Means(before.Document(), before.ID) {
				t.Errorf("%v: the specification has changed", c.config)
			}
		}
		s.EndJobs("default", "edges", pps.JobState_JOB_FAILURE, "out of memory")
		_, diagnostics := i.invoke(runPipeline, object{"name": "edges"})
		if err := contains(errorsIn(diagnostics), "Pipeline default/edges has failed", "out of memory", "3 failed", "pachctl logs"); err != nil {
			t.Error(err)
		}
		s.EndJobs("default", "edges", pps.JobState_JOB_STATE_UNKNOWN, "")
		_, diagnostics = i.invoke(runPipeline, object{"name": "edges", "timeouts": object{"invoke": "3s"}}) // for all but the job
		if err := contains(errorsIn(diagnostics), "Stopped waiting", `"running"`, "continues without Terraform"); err != nil {
			t.Error(err)
		}
	})
}

func TestRunPipelineSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	transformPipeline(t, s, "nightly", &pps.Input{Cron: &pps.CronInput{Name: "tick", Spec: "@daily"}})
	i := newInstance(t, s, onlyOnce)
	i.must(i.apply(kafkaSpout(nil)))
	fails := func(config object, want ...string) {
		t.Helper()
		_, diagnostics := i.invoke(runPipeline, config)
		if err := contains(errorsIn(diagnostics), want...); err != nil {
			t.Error(err)
		}
	}
	fails(object{"name": ""}, "name")
	fails(object{"name": "none"}, "pipeline default/none", "not found")
	fails(object{"name": "orders"}, "has no jobs", "pachyderm_restart_spout")
	for _, f := range failures {
		for _, method := range []string{"InspectPipeline", "ListJob", "RunCron"} {
			if method == "RunCron" && f.name == "unavailable" {
				continue // below
			}
			fault := f.inject(s, method)
			fails(object{"name": "nightly"}, "pipeline default/nightly", f.want)
			fault.Remove()
		}
	}
	// A tick is not given twice.
	before := count(s, "RunCron")
	s.Inject(pachtest.Fault{Method: "RunCron", LoseReply: true})
	fails(object{"name": "nightly"}, "cannot be reached")
	if got := count(s, "RunCron") - before; got != 1 {
		t.Errorf("%d ticks", got)
	}
	// The server is away while the job runs.
	s.Inject(pachtest.Fault{Method: "ListJob", Nth: 2, Count: 2, Before: status.Error(codes.Unavailable, "going down")})
	_, diagnostics := i.invoke(runPipeline, object{"name": "nightly"})
	i.must(diagnostics)
	if err := client(t, s).StopPipeline(t.Context(), pachyderm.PipelineID{Project: "default", Name: "nightly"}); err != nil {
		t.Fatal(err)
	}
	fails(object{"name": "nightly"}, "is paused", "paused = false")
}

func TestFinishCommit(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s)
		repo := i.as("pachyderm_repo")
		repo.must(repo.apply(object{"name": "images"}))
		b := client(t, s).Branch("default", "images", "live")
		open := func() string {
			t.Helper()
			id, err := b.Start(t.Context(), "as it was described")
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		for _, c := range []struct {
			config object
			failed bool
			want   []string
		}{
			{object{"repo": "images", "branch": "live"}, false, []string{"Finishing commit", "is finished"}},
			{object{"repo": "images", "branch": "live", "project": "default", "discard": true}, true, []string{"is finished: discarded"}},
		} {
			id := open()
			progress, diagnostics := i.invoke(finishCommit, c.config)
			i.must(diagnostics)
			if err := contains(progress, append(c.want, id, "default/images@live")...); err != nil {
				t.Error(err)
			}
			now, err := b.Inspect(t.Context(), id)
			if err != nil || now.Open() || (now.Error != "") != c.failed || !c.failed && now.Description != "as it was described" {
				t.Errorf("%v %+v", err, now)
			}
			writes := s.Writes()
			progress, diagnostics = i.invoke(finishCommit, c.config)
			i.must(diagnostics)
			if err := contains(progress, "nothing to finish"); err != nil || s.Writes() != writes {
				t.Errorf("%v, %d writes", err, s.Writes()-writes)
			}
		}
		fails := func(config object, want ...string) {
			t.Helper()
			_, diagnostics := i.invoke(finishCommit, config)
			if err := contains(errorsIn(diagnostics), want...); err != nil {
				t.Error(err)
			}
		}
		fails(object{"repo": "none"}, "default/none@master", "not found")
		fails(object{"repo": "images", "branch": "none"}, "default/images@none", "not found")
		once := newInstance(t, s, onlyOnce)
		open()
		for _, f := range failures {
			for _, method := range []string{"InspectBranch", "FinishCommit"} {
				fault := f.inject(s, method)
				_, diagnostics := once.invoke(finishCommit, object{"repo": "images", "branch": "live"})
				fault.Remove()
				if err := contains(errorsIn(diagnostics), "default/images@live", f.want); err != nil {
					t.Errorf("%s answers %s: %v", method, f.name, err)
				}
			}
		}
		s.Inject(pachtest.Fault{Method: "InspectCommit", Nth: 2, Before: status.Error(codes.PermissionDenied, "not authorized to perform this operation")})
		fails(object{"repo": "images", "branch": "live"}, "finished, but not validated", "role")
	})
}

// A spout's own commit is left to the spout, and Pachyderm's own is finished.
func TestFinishCommitOfSpout(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s)
		i.must(i.apply(transformSpout(nil)))
		writeData(t, s, orders)
		c := client(t, s)
		if err := c.StopPipeline(t.Context(), orders); err != nil {
			t.Fatal(err)
		}
		if err := c.StartPipeline(t.Context(), orders); err != nil {
			t.Fatal(err)
		}
		left := headOf(t, s, orders).Open()
		if left != (s.Version() != pachtest.Version26) {
			t.Fatalf("the head is open: %v", left)
		}
		_, diagnostics := i.invoke(finishCommit, object{"repo": "orders"})
		i.must(diagnostics)
		if headOf(t, s, orders).Open() {
			t.Error("the head is still open")
		}
		address, err := pachyderm.ParseAddress(s.Sidecar("default", "orders"))
		if err != nil {
			t.Fatal(err)
		}
		sidecar, err := pachyderm.Connect(pachyderm.Options{Address: address})
		if err != nil {
			t.Fatal(err)
		}
		defer sidecar.Close()
		if _, err := sidecar.Branch("default", "orders", "master").Start(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		_, diagnostics = i.invoke(finishCommit, object{"repo": "orders"})
		if err := contains(errorsIn(diagnostics), "written by a spout", "pachyderm_restart_spout", "discard = true"); err != nil {
			t.Error(err)
		}
		if !headOf(t, s, orders).Open() {
			t.Error("it was finished")
		}
		_, diagnostics = i.invoke(finishCommit, object{"repo": "orders", "discard": true})
		i.must(diagnostics)
		if head := headOf(t, s, orders); head.Open() || head.Error == "" {
			t.Errorf("the head is %+v", head)
		}
	})
}
