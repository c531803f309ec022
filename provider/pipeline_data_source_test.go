// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutlog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestPipelineDataSources(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		withImages(t, s)
		i := newInstance(t, s)
		i.must(i.apply(kafkaSpout(object{"description": "all orders"})))
		other := newInstance(t, s)
		other.must(other.apply(transformSpout(object{"name": "payments", "paused": true})))
		pipeline := i.as(pipelineType)
		pipeline.must(pipeline.apply(edgesPipeline(nil, nil)))
		read := func(typeName string, config object) object {
			t.Helper()
			got, said := i.read("pachyderm_"+typeName, config)
			if text := errorsIn(said); text != "" {
				t.Errorf("%s %v: %s", typeName, config, text)
			}
			return got
		}
		got := read("spout", object{"name": "orders"})
		equalValues(t, "spout", got, object{"id": "default/orders", "project": "default", "description": "all orders", "type": "spout", "state": "running", "reason": nil,
			"healthy": true, "paused": false, "version": 1.0, "image": testImage, "workers_available": 1.0, "workers_requested": 1.0, "output_repo": "orders", "output_branch": "master", "last_job_state": nil})
		writeData(t, s, orders)
		if got := read("spout", object{"name": "orders"}); got["last_commit"].(object)["state"] != "finished" {
			t.Errorf("the last commit is %v", got["last_commit"])
		}
		s.SetWorkers("", "orders", 0)
		equalValues(t, "spout without a pod", read("spout", object{"name": "orders"}), object{"healthy": false, "workers_available": 0.0})
		s.SetPipelineState("", "orders", pps.PipelineState_PIPELINE_CRASHING, "ErrImagePull")
		equalValues(t, "crashing spout", read("spout", object{"name": "orders"}), object{"healthy": false, "state": "crashing", "reason": "ErrImagePull"})
		equalValues(t, "paused spout", read("spout", object{"name": "payments"}), object{"healthy": false, "paused": true, "state": "paused"})
		equalValues(t, "pipeline", read("pipeline", object{"name": "edges"}), object{"type": "transform", "healthy": true, "last_commit": nil,
			"spec": `{"input":{"pfs":{"glob":"/*","repo":"images"}},"transform":{"cmd":["python3","/edges.py"],"image":"edges:1"}}`})
		equalValues(t, "pipeline", read("pipeline", object{"name": "orders"}), object{"type": "spout"})
		equalValues(t, "spouts", read("spouts", object{}), object{"ids": []any{"default/orders", "default/payments"}})
		equalValues(t, "spouts", read("spouts", object{"name_prefix": "pay", "project": "default"}), object{"ids": []any{"default/payments"}})
		equalValues(t, "spouts", read("spouts", object{"name_regex": "^edges$"}), object{"ids": []any{}, "spouts": []any{}})
		for config, want := range map[string]string{"edges": "is not a spout", "nobody": "does not exist"} {
			if _, said := i.read("pachyderm_spout", object{"name": config}); !strings.Contains(errorsIn(said), want) {
				t.Errorf("%s: %s", config, errorsIn(said))
			}
		}
	})
}

// The data source of a spout tells what it waits for, the newest commit with
// data, and the newest position, which need not be the same.
func TestSpoutDataSource(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		s.SilenceRunners()
		i := newInstance(t, s)
		i.must(i.apply(kafkaSpout(object{"wait_for": "created"})))
		i.must(i.as("pachyderm_spout").apply(transformSpout(object{"name": "sensors", "wait_for": "created"})))
		sensors := pachyderm.PipelineID{Project: "default", Name: "sensors"}
		for _, id := range []pachyderm.PipelineID{orders, sensors} {
			if err := s.AwaitPipelineState(t.Context(), "default", id.Name, pps.PipelineState_PIPELINE_RUNNING); err != nil {
				t.Fatal(err)
			}
		}
		look := func(what, name string, want object) {
			t.Helper()
			got, said := i.read("pachyderm_spout", object{"name": name})
			if len(said) > 0 {
				t.Errorf("%s: %s%s", what, errorsIn(said), warningsIn(said))
			}
			for _, commit := range []string{"last_commit", "head_commit"} {
				if c, ok := got[commit].(object); ok {
					got[commit] = c["description"]
					if d, ok := c["spout"].(object); ok {
						got[commit] = d["reason"]
					}
				}
			}
			equalValues(t, what, got, want)
		}
		commit := func(reason spoutcommit.Reason, written int64, next int) {
			id := commitAs(t, s, orders, spoutcommit.Description{Source: "kafka", Reason: reason, Read: written, Written: written, Writer: "w/1",
				Position: fmt.Appendf(nil, `{"topics":{"t":{"partitions":{"0":[%d,0]}}}}`, next)})
			if _, err := client(t, s).Branch("default", "orders", "master").WaitFinished(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		at := func(next float64) any { return object{"t": object{"0": next}} }
		look("silent", "orders", object{"healthy": true, "runner_ready": nil, "last_error": nil, "last_commit": nil, "offsets": nil})
		s.AppendLog("", "orders", `{"@message":"not ready","problems":["no broker"]}`)
		look("waiting", "orders", object{"healthy": false, "runner_ready": false, "last_error": "no broker"})
		s.AppendLog("", "orders", `{"@message":"ingesting"}`)
		commit("start", 0, 5)
		look("started", "orders", object{"healthy": true, "runner_ready": true, "last_error": nil, "last_commit": nil, "head_commit": "start", "offsets": at(5)})
		commit("age", 2, 7)
		look("with data", "orders", object{"runner_ready": true, "last_commit": "age", "head_commit": "age", "offsets": at(7)})
		commit("start", 0, 8)
		look("started again", "orders", object{"runner_ready": true, "last_commit": "age", "head_commit": "start", "offsets": at(8)})
		s.AppendWorkerLog("", "orders", "errored running user code after 1s: signal: killed\nstack")
		look("killed", "orders", object{"healthy": false, "runner_ready": false, "last_error": spoutlog.Killed + ". Most likely it takes more memory than its node has left. Set resource_requests.memory to what it needs, so that Kubernetes finds a node for it"})
		s.AppendLog("", "orders", `{"@message":"ingesting"}`)
		unread := s.Inject(pachtest.Fault{Method: "GetLogs", Count: -1, Before: status.Error(codes.Unknown, "no Loki")})
		look("without a log", "orders", object{"healthy": true, "runner_ready": true, "last_error": nil})
		unread.Remove()
		s.SetWorkers("", "orders", 0)
		look("without a pod", "orders", object{"healthy": false, "runner_ready": false})

		look("other code", "sensors", object{"healthy": true, "runner_ready": nil, "last_error": nil, "last_commit": nil})
		writeData(t, s, sensors)
		look("other code, with data", "sensors", object{"healthy": true, "runner_ready": nil, "offsets": nil})
		s.AppendWorkerLog("", "sensors", "errored running user code after 1s: exit status 3")
		look("other code that fails", "sensors", object{"healthy": false, "last_error": "its command fails (exit status 3), and Pachyderm starts it again and again"})
	})
}

func TestLogsDataSource(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		withImages(t, s)
		s.SilenceRunners()
		i := newInstance(t, s)
		i.must(i.apply(kafkaSpout(object{"wait_for": "created"})))
		pipeline := i.as(pipelineType)
		pipeline.must(pipeline.apply(edgesPipeline(nil, nil)))
		for _, name := range []string{"orders", "edges"} {
			s.AppendLog("", name, "an old line")
			s.Advance(time.Hour)
			for n := range 300 {
				s.AppendLog("", name, fmt.Sprint("line ", n))
				s.AppendWorkerLog("", name, "the worker's")
			}
			read := func(config object) object {
				t.Helper()
				got, said := i.read("pachyderm_logs", merged(object{"pipeline": name}, config))
				if text := errorsIn(said); text != "" {
					t.Errorf("%v: %s", config, text)
				}
				return got
			}
			messages := func(config object) []any { return read(config)["messages"].([]any) }
			if got := messages(nil); len(got) != 100 || got[99] != "line 299" || got[0] != "line 200" {
				t.Errorf("%s: %d lines", name, len(got))
			}
			if got := messages(object{"lines": 1000, "since": "30m"}); len(got) != 300 || got[0] != "line 0" {
				t.Errorf("%s: %d lines", name, len(got))
			}
			if got := messages(object{"lines": 1000}); len(got) != 301 || got[0] != "an old line" {
				t.Errorf("%s: %d lines", name, len(got))
			}
			entries := read(object{"lines": 2, "worker_lines": true})["entries"].([]any)
			if last := entries[1].(object); len(entries) != 2 || last["message"] != "the worker's" || last["time"] == nil || last["worker"] == nil {
				t.Errorf("%s: %v", name, entries)
			}
			job := entries[0].(object)["job"]
			if (job == nil) != (name == "orders") {
				t.Errorf("%s: the job is %v", name, job)
			}
		}
		i.must(i.apply(kafkaSpout(object{"paused": true})))
		got, said := i.read("pachyderm_logs", object{"pipeline": "orders"})
		if err := contains(warningsIn(said), "no pod", "paused"); err != nil || errorsIn(said) != "" || len(got["messages"].([]any)) > 0 {
			t.Errorf("%v %v", err, got)
		}
		for _, c := range []struct {
			config object
			want   string
		}{{object{"pipeline": "nobody"}, "does not exist"}, {object{"pipeline": "orders", "since": "0s"}, "more than 0"}} {
			if _, said := i.read("pachyderm_logs", c.config); !strings.Contains(errorsIn(said), c.want) {
				t.Errorf("%v: %s", c.config, errorsIn(said))
			}
		}
	})
}

func TestPipelineDataSourceErrors(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	i := newInstance(t, s, onlyOnce)
	i.must(i.apply(kafkaSpout(nil)))
	for _, c := range []struct {
		typeName, method string
		config           object
	}{
		{"spout", "InspectPipeline", object{"name": "orders"}},
		{"spout", "InspectBranch", object{"name": "orders"}},
		{"spout", "ListCommit", object{"name": "orders"}},
		{"pipeline", "InspectPipeline", object{"name": "orders"}},
		{"spouts", "ListPipeline", object{}},
		{"logs", "InspectPipeline", object{"pipeline": "orders"}},
		{"logs", "GetLogs", object{"pipeline": "orders"}},
	} {
		for _, f := range failures {
			fault := f.inject(s, c.method)
			_, said := i.read("pachyderm_"+c.typeName, c.config)
			fault.Remove()
			if err := contains(errorsIn(said), f.want); err != nil {
				t.Errorf("%s: %s answers %s: %v", c.typeName, c.method, f.name, err)
			}
		}
	}
}
