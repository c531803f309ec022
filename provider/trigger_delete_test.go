// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// setTrigger makes a branch that follows master, as a user of pachctl would.
func setTrigger(t *testing.T, s *pachtest.Server, id pachyderm.BranchID) {
	t.Helper()
	if err := client(t, s).SetBranch(t.Context(), id, "", nil, &pachyderm.Trigger{Branch: "master", Commits: 1}); err != nil {
		t.Fatal(err)
	}
}

// Servers from 2.9 on refuse to delete what has to do with a trigger.
func TestDestroyOfTriggers(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		makeRepos(t, s, "events")
		with := branchConfig(object{"trigger": object{"branch": "master", "commits": 1.0}})
		i := newInstance(t, s).as("pachyderm_branch")
		i.must(i.apply(with))
		// The branch that is followed stays, and with it the trigger.
		followed := newInstance(t, s).as("pachyderm_branch")
		followed.must(followed.importID("events@master", nil))
		if err := contains(errorsIn(followed.destroy()), "followed by a trigger", "default/events@batched", "trigger.branch"); err != nil {
			t.Error(err)
		}
		if inspectBranch(t, s, "batched").Trigger == nil {
			t.Error("the trigger is gone")
		}
		i.must(i.destroy())
		// One whose trigger was removed.
		i = newInstance(t, s).as("pachyderm_branch")
		i.must(i.apply(with))
		i.must(i.apply(branchConfig(nil)))
		i.must(i.destroy())
		followed.must(followed.destroy())

		repo := newInstance(t, s).as("pachyderm_repo")
		repo.must(repo.importID("events", nil))
		setTrigger(t, s, pachyderm.BranchID{Project: "default", Repo: "events", Name: "batched"})
		setTrigger(t, s, pachyderm.BranchID{Project: "default", Repo: "events", Name: "hourly"})
		readBranch(t, s, "report", "events", "batched")
		if err := contains(errorsIn(repo.destroy()), "read by", "default/report"); err != nil {
			t.Error(err)
		}
		if b := inspectBranch(t, s, "batched"); b.Trigger == nil || len(b.Readers) != 1 {
			t.Errorf("a refused destroy has changed %+v", b)
		}
		if err := client(t, s).DeletePipeline(t.Context(), pachyderm.PipelineID{Project: "default", Name: "report"}, false); err != nil {
			t.Fatal(err)
		}
		repo.must(repo.destroy())
		if left := s.Repos(""); len(left) > 0 {
			t.Errorf("there are %v", left)
		}
	})
}

func TestDestroyOfSpoutWithTriggers(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s)
		config := kafkaSpout(object{"force_destroy": true})
		i.must(i.apply(config))
		writeData(t, s, orders)
		batched := pachyderm.BranchID{Project: "default", Repo: "orders", Name: "batched"}
		setTrigger(t, s, batched)
		readBranch(t, s, "report", "orders", "batched")
		if err := contains(errorsIn(i.destroy()), "read by other pipelines", "default/report"); err != nil {
			t.Error(err)
		}
		if b, err := client(t, s).InspectBranch(t.Context(), batched); err != nil || b.Trigger == nil {
			t.Errorf("a refused destroy has changed %+v, %v", b, err)
		}
		report := pachyderm.PipelineID{Project: "default", Name: "report"}
		if err := client(t, s).DeletePipeline(t.Context(), report, false); err != nil {
			t.Fatal(err)
		}
		i.must(i.destroy())
		if left := append(s.Repos(""), s.Pipelines("")...); len(left) > 0 {
			t.Errorf("there are %v", left)
		}
	})
}

func TestDestroyOfProjectWithTriggers(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		project := newInstance(t, s).as("pachyderm_project")
		config := object{"name": "team-a", "force_destroy": true}
		project.must(project.apply(config))
		spout := newInstance(t, s)
		spout.must(spout.apply(kafkaSpout(object{"project": "team-a"})))
		setTrigger(t, s, pachyderm.BranchID{Project: "team-a", Repo: "orders", Name: "batched"})
		plainRepo := pachyderm.RepoID{Project: "team-a", Name: "events"}
		if err := client(t, s).CreateRepo(t.Context(), plainRepo, ""); err != nil {
			t.Fatal(err)
		}
		setTrigger(t, s, pachyderm.BranchID{Project: "team-a", Repo: "events", Name: "batched"})
		reader := newInstance(t, s).as(pipelineType)
		reader.must(reader.apply(edgesPipeline(object{"project": "team-a"}, object{"input.pfs": object{"repo": "orders", "branch": "batched", "glob": "/"}})))
		project.must(project.destroy())
		if left := append(s.Repos("team-a"), s.Pipelines("team-a")...); len(left) > 0 {
			t.Errorf("there are %v", left)
		}
	})
}

// A pipeline's own trigger needs a branch to follow, and leaves one behind.
func TestPipelineWithTrigger(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		withImages(t, s)
		i := newInstance(t, s).as(pipelineType)
		config := edgesPipeline(nil, object{"input.pfs.trigger": object{"commits": 2}})
		i.must(i.apply(config))
		settles(t, s, i, config)
		own := pachyderm.BranchID{Project: "default", Repo: "images", Name: "edges-trigger-1"}
		b, err := client(t, s).InspectBranch(t.Context(), own)
		if err != nil || b.Trigger == nil || b.Trigger.Branch != "master" {
			t.Fatalf("its branch is %+v, %v", b, err)
		}
		i.must(i.destroy())
		if _, err := client(t, s).InspectBranch(t.Context(), own); !pachyderm.IsNotFound(err) {
			t.Errorf("its branch is left: %v", err)
		}
		// Missing repos are for pachd to name.
		missing := newInstance(t, s).as(pipelineType)
		if err := contains(errorsIn(missing.apply(edgesPipeline(nil, object{"input.pfs": object{"repo": "none", "glob": "/", "trigger": object{"commits": 2}}}))), "none", "not found"); err != nil {
			t.Error(err)
		}
		// What pachctl has left is in nobody's way.
		setTrigger(t, s, own)
		followed := newInstance(t, s).as("pachyderm_branch")
		followed.must(followed.importID("images@master", nil))
		followed.must(followed.destroy())
		repo := newInstance(t, s).as("pachyderm_repo")
		repo.must(repo.importID("images", nil))
		repo.must(repo.destroy())
	})
}

// A paused pipeline does not show as the reader of its trigger's branch.
func TestDestroyOfWhatAPausedPipelineFollows(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		withImages(t, s)
		i := newInstance(t, s).as(pipelineType)
		i.must(i.apply(edgesPipeline(object{"paused": true}, object{"input.pfs.trigger": object{"commits": 2}})))
		followed := newInstance(t, s).as("pachyderm_branch")
		followed.must(followed.importID("images@master", nil))
		if err := contains(errorsIn(followed.destroy()), "followed by a trigger", "default/images@edges-trigger-1"); err != nil {
			t.Error(err)
		}
	})
}

// Where all pipelines of a cluster scale by themselves, spouts do not.
func TestSpoutWhereAutoscalingIsTheDefault(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t, pachtest.WithVersion(pachtest.Version211), pachtest.WithClusterDefaults(`{"createPipelineRequest":{"autoscaling":true}}`))
	i := newInstance(t, s)
	for _, config := range []object{
		kafkaSpout(nil), kafkaSpout(object{"description": "new", "resource_requests.memory": "1Gi"}),
		kafkaSpout(object{"env": object{"A": "b"}, "metadata": object{"labels": object{"team": "data"}}}),
	} {
		i.must(i.apply(config))
		settles(t, s, i, config)
	}
	_, diagnostics := i.invoke(restartSpout, object{"name": "orders"})
	i.must(diagnostics)
	if p := inspect(t, s, orders); p.Version != 4 || p.Autoscaling {
		t.Errorf("version %d, autoscaling: %v", p.Version, p.Autoscaling)
	}
}

// An update of a spout that others read stops and starts it. The head that the
// start leaves is for the bundled runner, and for nobody else, to deal with.
func TestRestartOfSpoutReadByOthers(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		for name, c := range map[string]struct {
			config object
			left   bool // open, where the server leaves it so
		}{
			"orders":  {kafkaSpout(nil), true},
			"runner":  {transformSpout(object{"name": "runner", "transform.cmd": []any{"/spout-runner"}}), true},
			"sensors": {transformSpout(object{"name": "sensors"}), false},
		} {
			i := newInstance(t, s)
			i.must(i.apply(c.config))
			id := pachyderm.PipelineID{Project: "default", Name: name}
			writeData(t, s, id)
			readBranch(t, s, "report-"+name, name, "master")
			_, diagnostics := i.invoke(restartSpout, object{"name": name})
			i.must(diagnostics)
			if open := headOf(t, s, id).Open(); open != (c.left && s.Version() == pachtest.Version211) {
				t.Errorf("restart of %s: an open head is %v", name, open)
			}
			if p := inspect(t, s, id); p.Version != 2 || p.Stopped {
				t.Errorf("restart of %s: version %d, stopped: %v", name, p.Version, p.Stopped)
			}
		}
	})
}

// The server fills in the address of a service.
func TestPipelineWithService(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		withImages(t, s)
		for _, service := range []object{{"internalPort": 8000, "externalPort": 31000}, {"internal_port": 80, "external_port": 80, "type": "ClusterIP", "ip": "10.0.0.1"}} {
			i := newInstance(t, s).as(pipelineType)
			config := edgesPipeline(nil, object{"service": service})
			i.must(i.apply(config))
			settles(t, s, i, config)
			imported := newInstance(t, s).as(pipelineType)
			imported.must(imported.importID("edges", nil))
			if imported.changes(config) {
				t.Errorf("a plan after import changes %v", imported.get("spec"))
			}
			if text := imported.get("spec").(string); strings.Contains(text, `"ip"`) {
				t.Errorf("imported as %s", text)
			}
			i.must(i.destroy())
		}
	})
}

// Durations may be written as pachctl takes them, also beside zeros, which go to
// newer servers as JSON.
func TestPipelineDurations(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		withImages(t, s)
		for text, want := range map[string]string{"1h": "3600s", "90m": "5400s", "1.5s": "1.500s", "3600s": "3600s"} {
			i := newInstance(t, s).as(pipelineType)
			config := edgesPipeline(nil, object{"datum_timeout": text, "jobTimeout": text, "autoscaling": false})
			i.must(i.apply(config))
			settles(t, s, i, config)
			same := edgesPipeline(nil, object{"datum_timeout": want, "jobTimeout": want})
			if i.changes(same) {
				t.Errorf("%s is not %s", text, want)
			}
			i.must(i.destroy())
		}
	})
}
