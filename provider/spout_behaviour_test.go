// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A spout whose pod never starts fails the apply. Nothing is left of it that
// Terraform would replace.
func TestSpoutWithoutAPod(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		s.OnPipeline(func(e pachtest.PipelineEvent) {
			switch {
			case e.Kind == pachtest.PipelineDeleted:
			case e.Kind == pachtest.PipelineStopped:
				s.ReleasePipelineState(e.Project, e.Name)
			case e.Info.Details.Description == "fails":
				s.SetPipelineState(e.Project, e.Name, pps.PipelineState_PIPELINE_FAILURE, "no such node")
			case e.Info.Details.Description == "no pod":
				s.SetWorkers(e.Project, e.Name, 0)
			case e.Info.Details.Description == "no room":
				s.SetPipelineState(e.Project, e.Name, pps.PipelineState_PIPELINE_CRASHING, "0/3 nodes are available: 3 Insufficient cpu.")
			}
		})
		s.BreakImage("broken:1", "manifest unknown")
		for _, c := range []struct {
			name   string
			config object
			want   []string
		}{
			{"failure", kafkaSpout(object{"description": "fails"}), []string{"no such node"}},
			{"crashing", transformSpout(object{"transform.image": "broken:1"}), []string{"manifest unknown"}},
			{"timeout", kafkaSpout(object{"description": "no pod", "timeouts": object{"create": "7m"}}), []string{"took too long", "0 of 1 workers", "kubectl describe replicationcontrollers,pods", "pipelineProject=default,pipelineName=timeout"}},
			{"memory", kafkaSpout(object{"description": "no pod", "timeouts": object{"create": "7m"}, "resource_limits": object{"memory": "24Mi"}, "runner": object{"memory_budget": "64MiB"}}),
				[]string{"OOMKilled", `resource_limits.memory = "24Mi" allows`, "to 208MiB", "runner.memory_budget = 64MiB"}},
			// A cluster that grows on demand takes its time.
			{"no-node", kafkaSpout(object{"description": "no room", "timeouts": object{"create": "7m"}}), []string{"took too long", "nodes are available"}},
		} {
			c.config["name"] = c.name
			id := pachyderm.PipelineID{Project: "default", Name: c.name}
			deadlines := newDeadlines()
			i := newInstance(t, s, WithDeadlines(deadlines.within))
			created := make(chan []*tfprotov6.Diagnostic, 1)
			creates := s.Inject(pachtest.Fault{Method: "CreatePipeline"})
			go func() { created <- i.apply(c.config) }()
			if c.config["timeouts"] != nil {
				<-creates.Reached()
				awaitLooks(t, s, created, "it does not run")
				deadlines.pass(7 * time.Minute)
			}
			said := <-created
			if err := contains(errorsIn(said), append(c.want, "does not run", "deleted again", "wait_for = \"created\"")...); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			if _, err := client(t, s).InspectPipeline(t.Context(), id); !pachyderm.IsNotFound(err) || !i.state.IsNull() {
				t.Errorf("%s: it is there, %v; in the state it is: %v", c.name, err, !i.state.IsNull())
			}
			// Told otherwise, it is made, and nothing is said.
			if said := i.apply(merged(c.config, object{"wait_for": "created"})); len(said) > 0 && c.name != "memory" { // of which the plan warns
				t.Errorf("%s: wait_for created: %s%s", c.name, errorsIn(said), warningsIn(said))
			}
			if i.must(i.refresh()); i.changes(merged(c.config, object{"wait_for": "created"})) {
				t.Errorf("%s: its state alone plans a change", c.name)
			}
			// A failing update is an error, and the state stays.
			said = i.apply(merged(c.config, object{"timeouts": nil, "description": "fails"}))
			if c.name != "failure" {
				if err := contains(errorsIn(said), "does not run", "no such node"); err != nil || i.get("description") == "fails" {
					t.Errorf("%s: %v, and the state says %v", c.name, err, i.get("description"))
				}
			}
			// Mended, it is updated in place.
			s.BreakImage("broken:1", "")
			i.must(i.apply(merged(c.config, object{"description": "mended", "timeouts": nil})))
			if i.get("state") != "running" {
				t.Errorf("%s: after an update it is %v", c.name, i.get("state"))
			}
			s.BreakImage("broken:1", "manifest unknown")
		}
	})
}

// A spout that cannot be deleted again stays, with a warning: an error would
// have Terraform replace it.
func TestSpoutWithoutAPodThatStays(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	s.BreakImage("broken:1", "manifest unknown")
	s.Inject(pachtest.Fault{Method: "DeletePipeline", Count: -1, Before: status.Error(codes.Internal, "something broke")})
	i := newInstance(t, s)
	config := transformSpout(object{"transform.image": "broken:1"})
	said := i.apply(config)
	i.must(said)
	if err := contains(warningsIn(said), "manifest unknown", "does not replace it"); err != nil || i.state.IsNull() {
		t.Errorf("%v; in the state it is: %v", err, !i.state.IsNull())
	}
	if p := inspect(t, s, orders); p.Stopped {
		t.Error("it was left stopped")
	}
}

// What the runner, or Pachyderm's worker for other code, says of a spout whose
// pod runs is in the warning of the apply that creates it, and in the error of
// one that updates it.
func TestSpoutThatDoesNotIngest(t *testing.T) {
	t.Parallel()
	const notReady = `{"@message":"not ready","status":"opening the source","problems":["topic ordrs cannot be read: it does not exist, for 5s"]}`
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		s.SilenceRunners()
		lines := map[string]func(project, name string){
			"waits": func(project, name string) { s.AppendLog(project, name, notReady) },
			"stopped": func(project, name string) {
				s.AppendLog(project, name, `{"@message":"stopped: an operator has to decide","reason":"the topic is another one"}`)
			},
			"wrong": func(project, name string) {
				s.AppendLog(project, name, `{"@message":"wrong setting","variable":"SPOUT_A","problem":"must be 1"}`)
			},
			"missing": func(project, name string) {
				s.AppendWorkerLog(project, name, "errored running user code after 1ms: fork/exec /nope: no such file or directory\nstack")
			},
			"ends": func(project, name string) {
				s.AppendLog(project, name, "bye")
				s.AppendWorkerLog(project, name, "finished running user code after 1s")
			},
			"silent": func(string, string) {},
		}
		s.OnPipeline(func(e pachtest.PipelineEvent) {
			if say := lines[e.Info.Details.Description]; say != nil && e.Kind != pachtest.PipelineStopped && e.Kind != pachtest.PipelineDeleted {
				s.AppendWorkerLog(e.Project, e.Name, "beginning to run user code")
				say(e.Project, e.Name)
			}
		})
		for _, c := range []struct {
			name   string
			config object
			want   []string
		}{
			{"waits", kafkaSpout(nil), []string{"does not ingest", "topic ordrs cannot be read: it does not exist, for 5s", "wait_for"}},
			{"stopped", kafkaSpout(nil), []string{"does not ingest", "the topic is another one"}},
			{"wrong", kafkaSpout(nil), []string{"does not ingest", "SPOUT_A must be 1"}},
			{"missing", transformSpout(nil), []string{"does not run", "fork/exec /nope: no such file or directory"}},
			{"ends", transformSpout(nil), []string{"does not run", "exit code 0", "never starts it again", "bye"}},
			{"silent", kafkaSpout(nil), []string{"It is not known"}},
		} {
			config := merged(c.config, object{"name": c.name, "description": c.name})
			i := newInstance(t, s)
			said := i.apply(config)
			i.must(said)
			if err := contains(warningsIn(said), append(c.want, "does not replace it")...); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			if i.state.IsNull() || i.changes(config) {
				t.Errorf("%s: in the state it is: %v", c.name, !i.state.IsNull())
			}
			again := merged(config, object{"restart_triggers": object{"n": "1"}})
			said = i.apply(again)
			if c.name == "silent" { // no reason to send it again
				i.must(said)
				continue
			}
			if err := contains(errorsIn(said), c.want...); err != nil {
				t.Errorf("%s, updated: %v", c.name, err)
			}
			// As told, it is not waited for.
			for _, waitFor := range []string{"running", "created"} {
				if waitFor == "running" && c.config["kafka"] == nil {
					continue
				}
				if said := i.apply(merged(again, object{"wait_for": waitFor, "restart_triggers": object{"n": waitFor}})); len(said) > 0 {
					t.Errorf("%s, %s: %s%s", c.name, waitFor, errorsIn(said), warningsIn(said))
				}
			}
		}
	})
}

// Where a secret has to be that Pachyderm does not find is said.
func TestSpoutWithoutItsSecret(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	s.Inject(pachtest.Fault{Method: "CreatePipeline", Before: status.Error(codes.Unknown, "missing Kubernetes secret kafka-user")})
	if err := contains(errorsIn(newInstance(t, s).apply(kafkaSpout(nil))), "kafka-user", "namespace", "pachyderm_secret", "secret_env"); err != nil {
		t.Error(err)
	}
}

// A repo of the name, as keep_output_repo leaves one, is no pipeline.
func TestSpoutWithARepoInItsWay(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s)
		i.must(i.apply(kafkaSpout(object{"keep_output_repo": true})))
		i.must(i.destroy())
		got := errorsIn(newInstance(t, s).apply(kafkaSpout(nil)))
		if err := contains(got, "Repo default/orders is in the way", "no pipeline", "another name", "pachyderm_repo", "pachctl delete repo --project default orders"); err != nil {
			t.Error(err)
		}
		if strings.Contains(got, "exists already") {
			t.Error(got)
		}
	})
}

// Either of the two ways in which a runner shows that it ingests is enough,
// and what was there before an apply counts for neither.
func TestSpoutIngests(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		s.SilenceRunners()
		s.KeepLogs()
		const ingesting = `{"@message":"ingesting"}`
		say := func(string) {}
		s.OnPipeline(func(e pachtest.PipelineEvent) {
			if e.Kind != pachtest.PipelineStopped && e.Kind != pachtest.PipelineDeleted {
				say(e.Name)
			}
		})
		i := newInstance(t, s)
		step := func(what string, speak func(string), config object, ready bool) {
			t.Helper()
			say = speak
			said := i.apply(config)
			i.must(said)
			if got := warningsIn(said); ready == strings.Contains(got, "It is not known") {
				t.Errorf("%s: %q", what, got)
			}
		}
		logs := func(name string) { s.AppendLog("default", name, ingesting) }
		nothing := func(string) {}
		config := func(more object) object { return kafkaSpout(merged(object{"description": "a"}, more)) }
		step("created, and silent", nothing, config(nil), false)
		step("updated, with a line in the log", logs, config(object{"description": "b"}), true)
		step("updated, and silent, after a version that was not", nothing, config(object{"description": "c"}), false)
		step("updated again", logs, config(object{"description": "d"}), true)
		step("paused", nothing, config(object{"description": "d", "paused": true}), true)
		step("started, and silent, after a pod that was not", nothing, config(object{"description": "d"}), false)
		// Without any log, commits tell: in a new spout the first, later one
		// with records.
		s.Inject(pachtest.Fault{Method: "GetLogs", Count: -1, Before: status.Error(codes.Unknown, "no Loki")})
		commits := func(version, reason string, read int) func(string) {
			return func(name string) {
				commitAs(t, s, pachyderm.PipelineID{Project: "default", Name: name}, spoutcommit.Description{Source: "kafka", Reason: spoutcommit.Reason(reason), Read: int64(read),
					Writer: "default-other-v" + version + "-abcde/1", Position: []byte(`{"topics":{}}`)})
			}
		}
		i = newInstance(t, s)
		other := func(description string) object { return config(object{"name": "other", "description": description}) }
		step("created, with a commit", commits("1", "start", 0), other("a"), true)
		step("updated, with a commit of the version before", commits("1", "age", 7), other("b"), false)
		step("updated, with a commit that an unmet source makes too", commits("3", "start", 0), other("c"), false)
		step("updated, with records", commits("4", "age", 7), other("d"), true)
	})
}

// What the spout reads from elsewhere restarts it by a value that changes with
// it, which nobody but Terraform sees.
func TestSpoutRestartTriggers(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s)
		version := 1.0
		i.must(i.apply(kafkaSpout(nil)))
		spec := inspect(t, s, orders).Spec
		for _, step := range []struct {
			triggers any
			restarts bool
		}{{object{"secret": "2026-01-31"}, true}, {object{"secret": "2026-01-31"}, false}, {object{"secret": "2026-02-28"}, true}, {nil, true}, {nil, false}} {
			config := kafkaSpout(object{"restart_triggers": step.triggers})
			if i.changes(config) != step.restarts {
				t.Errorf("%v: a change is planned: %v", step.triggers, !step.restarts)
			}
			i.must(i.apply(config))
			if step.restarts {
				version++
			}
			i.must(i.refresh())
			if i.changes(config) || i.get("version") != version || i.get("state") != "running" {
				t.Errorf("%v: it is %v at version %v, want %v", step.triggers, i.get("state"), i.get("version"), version)
			}
			if now := inspect(t, s, orders).Spec; !now.Equal(spec) {
				t.Errorf("%v: Pachyderm has been told: %+v", step.triggers, now)
			}
		}
	})
}

func TestSpoutPause(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		for name, config := range map[string]func(object) object{"kafka": kafkaSpout, "transform": transformSpout} {
			id := pachyderm.PipelineID{Project: "default", Name: name}
			i := newInstance(t, s)
			paused, running := config(object{"name": name, "paused": true}), config(object{"name": name})
			i.must(i.apply(paused))
			if p := inspect(t, s, id); !p.Stopped || i.get("state") != "paused" {
				t.Errorf("%s: created paused, it is %s", name, p.State)
			}
			i.must(i.apply(running))
			if i.get("state") != "running" || i.get("version") != 1.0 {
				t.Errorf("%s: resumed, it is %v at version %v", name, i.get("state"), i.get("version"))
			}
			if name == "kafka" && s.Version() != pachtest.Version26 {
				finishHead(t, s, id) // as the bundled runner does
			}
			writeData(t, s, id) // on 2.11, only if nobody has left the head open
			i.must(i.apply(paused))
			said := i.apply(running)
			i.must(said)
			emptied := name == "transform" && s.Version() == pachtest.Version26
			if got := warningsIn(said); emptied != strings.Contains(got, "not on the head any more") {
				t.Errorf("%s: resuming says %q", name, got)
			}
			// Stopped by somebody else, it is started again; and an update goes with it.
			if err := client(t, s).StopPipeline(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			i.must(i.refresh())
			if i.get("paused") != true || !i.changes(running) {
				t.Errorf("%s: that it was stopped is not seen", name)
			}
			i.must(i.apply(merged(running, object{"description": "back"})))
			if p := inspect(t, s, id); p.Stopped || p.Spec.Description != "back" {
				t.Errorf("%s: it was not brought back", name)
			}
			// Paused together with an update, the new version does not run before.
			i.must(i.apply(merged(paused, object{"description": "later"})))
			if p := inspect(t, s, id); !p.Stopped || p.Version != 3 || p.State != "paused" {
				t.Errorf("%s: paused by an update, it is %s at version %d", name, p.State, p.Version)
			}
		}
	})
}

// Who reads how far a paused spout has got, to begin another one there, must
// find nothing that changes any more: an apply that pauses outlasts the worker,
// which Pachyderm ends after it has said "paused", and the last commit.
func TestSpoutPauseOutlastsItsWriter(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s)
		i.must(i.apply(kafkaSpout(nil)))
		s.SetWorkers("default", "orders", 1)
		release := s.HoldFinishing()
		defer release()
		writeUnfinished(t, s, orders, "/a", "data")
		said := make(chan []*tfprotov6.Diagnostic, 1)
		go func() { said <- i.apply(kafkaSpout(object{"paused": true})) }()
		awaitPaused(t, s)
		awaitLooks(t, s, said, "its worker is there")
		s.SetWorkers("default", "orders", 0)
		awaitLooks(t, s, said, "its last commit is not finished")
		release()
		i.must(<-said)
		if i.get("state") != "paused" || i.get("workers_available") != 0.0 {
			t.Errorf("it is %v with %v workers", i.get("state"), i.get("workers_available"))
		}
	})
}

// awaitPaused waits until pachd calls the spout orders paused.
func awaitPaused(t *testing.T, s *pachtest.Server) {
	t.Helper()
	if err := s.AwaitPipelineState(t.Context(), "default", "orders", pps.PipelineState_PIPELINE_PAUSED); err != nil {
		t.Fatal(err)
	}
}

// awaitLooks waits until an operation that must not be done yet has looked
// again, more often than it needs to find an end.
func awaitLooks(t *testing.T, s *pachtest.Server, said <-chan []*tfprotov6.Diagnostic, why string) {
	t.Helper()
	for range quickWait.Stable + 2 {
		select {
		case <-s.Inject(pachtest.Fault{Method: "InspectPipeline"}).Reached():
		case <-said:
			t.Fatalf("it did not wait, although %s", why)
		}
	}
}

func finishHead(t *testing.T, s *pachtest.Server, id pachyderm.PipelineID) {
	t.Helper()
	if _, err := client(t, s).RepairHead(t.Context(), id, "master"); err != nil {
		t.Fatal(err)
	}
}

// A create whose answer is lost is neither lost nor taken for another's.
func TestSpoutCreateWithoutAnswer(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s)
		s.Inject(pachtest.Fault{Method: "CreatePipeline", LoseReply: true})
		i.must(i.apply(kafkaSpout(object{"service": object{"internal_port": 80, "external_port": 30080}})))
		if got := count(s, "CreatePipeline"); got != 1 || i.get("version") != 1.0 || i.get("state") != "running" {
			t.Errorf("after %d calls the state is %v", got, plain(t, i.state))
		}
		// It did not arrive at all.
		lost := newInstance(t, s)
		s.Inject(pachtest.Fault{Method: "CreatePipeline", Before: status.Error(codes.Unavailable, "gone")})
		if err := contains(errorsIn(lost.apply(kafkaSpout(object{"name": "lost"}))), "probably not created", "default/lost"); err != nil {
			t.Error(err)
		}
		lost.must(lost.apply(kafkaSpout(object{"name": "lost"})))
		// Another one was faster.
		raced := newInstance(t, s)
		create := s.Inject(pachtest.Fault{Method: "CreatePipeline", Delay: 1, Before: status.Error(codes.DeadlineExceeded, "slow")})
		go func() {
			<-create.Reached()
			spec := pachyderm.Spec{Image: "x", Cmd: []string{"y"}}
			if err := client(t, s).CreatePipeline(context.Background(), pachyderm.PipelineID{Project: "default", Name: "raced"}, spec, ""); err != nil {
				t.Error(err)
			}
		}()
		if err := contains(errorsIn(raced.apply(kafkaSpout(object{"name": "raced"}))), "terraform import"); err != nil {
			t.Error(err)
		}
		// It was there before.
		if err := contains(errorsIn(newInstance(t, s).apply(kafkaSpout(nil))), "exists already", "terraform import <address of this resource> default/orders"); err != nil {
			t.Error(err)
		}
		// An update without an answer.
		s.Inject(pachtest.Fault{Method: "CreatePipeline", LoseReply: true})
		i.must(i.apply(kafkaSpout(object{"description": "new"})))
		if i.get("version") != 2.0 {
			t.Errorf("version is %v", i.get("version"))
		}
		s.Inject(pachtest.Fault{Method: "CreatePipeline", Before: status.Error(codes.Unavailable, "gone")})
		if err := contains(errorsIn(i.apply(kafkaSpout(object{"description": "newer"}))), "probably not updated"); err != nil {
			t.Error(err)
		}
	})
}

// Each error of each call is an error that says what to do, and never removes
// a spout from the state.
func TestSpoutErrors(t *testing.T) {
	t.Parallel()
	answers := map[codes.Code]string{
		codes.Unauthenticated:  "auth_token",
		codes.PermissionDenied: "role",
		codes.Unavailable:      "cannot be reached",
		codes.DeadlineExceeded: "request_timeout",
		codes.Internal:         "broke",
		codes.Unknown:          "broke",
		codes.InvalidArgument:  "broke",
	}
	for _, c := range []struct {
		method string
		run    func(i *instance) string
	}{
		{"InspectPipeline", func(i *instance) string { return errorsIn(i.refresh()) }},
		{"InspectPipeline", func(i *instance) string { return errorsIn(i.destroy()) }},
		{"CreatePipeline", func(i *instance) string { return errorsIn(i.apply(kafkaSpout(object{"description": "new"}))) }},
		{"StopPipeline", func(i *instance) string { return errorsIn(i.apply(kafkaSpout(object{"paused": true}))) }},
		{"StopPipeline", func(i *instance) string { return errorsIn(i.destroy()) }},
		{"InspectBranch", func(i *instance) string { return errorsIn(i.destroy()) }},
		{"InspectRepo", func(i *instance) string { return errorsIn(i.destroy()) }},
		{"DeletePipeline", func(i *instance) string { return errorsIn(i.destroy()) }},
	} {
		for code, want := range answers {
			if c.method == "CreatePipeline" && (code == codes.Unavailable || code == codes.DeadlineExceeded) {
				continue // TestSpoutCreateWithoutAnswer
			}
			s := pachtest.New(t)
			i := newInstance(t, s, onlyOnce)
			i.must(i.apply(kafkaSpout(nil)))
			fault := s.Inject(pachtest.Fault{Method: c.method, Count: -1, Before: status.Error(code, "something broke")})
			got := c.run(i)
			fault.Remove()
			if err := contains(got, want); err != nil {
				t.Errorf("%s answers %s: %v", c.method, code, err)
			}
			if i.state.IsNull() {
				t.Errorf("%s answers %s: the spout is gone from the state", c.method, code)
			}
			if p := inspect(t, s, orders); p.Stopped {
				t.Errorf("%s answers %s: the spout was left stopped", c.method, code)
			}
		}
	}
}

func TestSpoutImport(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	if err := createProject(t, s, "other"); err != nil {
		t.Fatal(err)
	}
	made := newInstance(t, s)
	made.must(made.apply(transformSpout(object{"project": "other"})))
	for _, c := range []struct {
		id       string
		identity object
		want     string // of the error
	}{
		{id: "other/orders"},
		{identity: object{"project": "other", "name": "orders"}},
		{identity: object{"name": "orders"}, want: "orders"},
		{id: "orders", want: ""},
		{id: "", want: "project/name"},
		{id: "/orders", want: "project/name"},
		{id: "a/b/c", want: "project/name"},
	} {
		i := newInstance(t, s)
		if c.id == "orders" || c.identity != nil && c.identity["project"] == nil {
			i = newInstanceOf(t, object{"address": s.Address(), "default_project": "other"})
			c.want = ""
		}
		got := errorsIn(i.importID(c.id, c.identity))
		switch {
		case c.want != "" && !strings.Contains(got, c.want), c.want == "" && got != "":
			t.Errorf("import of %q %v: %s", c.id, c.identity, got)
		case c.want == "" && !i.state.Equal(made.state):
			t.Errorf("import of %q %v gives\n%v, not\n%v", c.id, c.identity, plain(t, i.state), plain(t, made.state))
		}
	}
	// What is no spout cannot become one.
	transform := &pps.CreatePipelineRequest{Pipeline: &pps.Pipeline{Name: "batch", Project: &pfs.Project{Name: "other"}},
		Transform: &pps.Transform{Image: "x", Cmd: []string{"y"}}, Input: &pps.Input{Pfs: &pps.PFSInput{Project: "other", Repo: "orders", Branch: "master", Glob: "/"}}}
	if _, err := client(t, s).PPS.CreatePipeline(t.Context(), transform); err != nil {
		t.Fatal(err)
	}
	if err := contains(errorsIn(newInstance(t, s).importID("other/batch", nil)), "not a spout"); err != nil {
		t.Error(err)
	}
}

// A spout whose Terraform knew no identities can be found gone too.
func TestSpoutGoneWithoutIdentity(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	i := newInstance(t, s)
	i.must(i.apply(kafkaSpout(object{"force_destroy": true})))
	if err := client(t, s).DeletePipeline(t.Context(), orders, false); err != nil {
		t.Fatal(err)
	}
	i.id = nil
	i.must(i.refresh())
	if !i.state.IsNull() {
		t.Error("it is still in the state")
	}
}

// A spout that was made for the bundled runner by other means is read as kafka
// as far as kafka can say it, and as a transform otherwise.
func TestSpoutReadsWhatOthersWrote(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	s.AddKubernetesSecret("user", map[string]string{"username": "u", "password": "p"})
	env := map[string]string{"SPOUT_KAFKA_BROKERS": "a:1, b:2", "SPOUT_KAFKA_TOPICS": "t", "SPOUT_BATCH_MAX_AGE": "120s", "OWN": "x"}
	for n, c := range []struct {
		change func(*pachyderm.Spec)
		kafka  bool
	}{
		{func(*pachyderm.Spec) {}, true},
		{func(p *pachyderm.Spec) {
			p.Env["SPOUT_KAFKA_SASL_MECHANISM"], p.Env["SPOUT_KAFKA_TLS"] = "plain", "true"
			p.Secrets = []pachyderm.Secret{{Name: "user", Key: "username", EnvVar: "SPOUT_KAFKA_SASL_USERNAME"}, {Name: "user", Key: "password", EnvVar: "SPOUT_KAFKA_SASL_PASSWORD"}}
		}, true},
		{func(p *pachyderm.Spec) { p.Env["SPOUT_KAFKA_SASL_PASSWORD"] = "plain" }, false},
		{func(p *pachyderm.Spec) { p.Env["SPOUT_NONSENSE"] = "1" }, false},
		{func(p *pachyderm.Spec) { p.Env["SPOUT_OUTPUT_BRANCH"] = "elsewhere" }, false},
		{func(p *pachyderm.Spec) { p.WorkingDir = "/" }, false},
		{func(p *pachyderm.Spec) { p.Cmd = []string{"/spout-runner", "-v"} }, false},
	} {
		spec := pachyderm.Spec{Image: "mirror/runner:1", Cmd: []string{"/spout-runner"}, Env: map[string]string{}}
		for k, v := range env {
			spec.Env[k] = v
		}
		c.change(&spec)
		id := pachyderm.PipelineID{Project: "default", Name: fmt.Sprint("case-", n)}
		if err := client(t, s).CreatePipeline(t.Context(), id, spec, ""); err != nil {
			t.Fatal(err)
		}
		i := newInstance(t, s)
		i.must(i.importID(id.Name, nil))
		if kafka := i.get("kafka") != nil; kafka != c.kafka || kafka == (i.get("transform") != nil) {
			t.Errorf("%d: kafka is %v, transform %v", n, i.get("kafka"), i.get("transform"))
			continue
		}
		config, ok := plain(t, i.state).(object)
		if !ok {
			t.Fatal("no state")
		}
		for _, computed := range []string{"id", "version", "state", "reason", "workers_available", "workers_requested", "output_repo"} {
			delete(config, computed)
		}
		if n > 2 || c.kafka { // 2 has a secret in plain text, which the configuration is not to repeat
			if i.changes(config) {
				t.Errorf("%d: what was read changes something", n)
			}
		}
	}
}
