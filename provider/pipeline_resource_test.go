// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

const pipelineType = "pachyderm_pipeline"

var edges = pachyderm.PipelineID{Project: "default", Name: "edges"}

// spec is a specification, with changes by their dotted names.
func spec(changes object) string {
	base := object{"transform": object{"image": "edges:1", "cmd": []any{"python3", "/edges.py"}},
		"input": object{"pfs": object{"repo": "images", "glob": "/*"}}}
	text, err := json.Marshal(merged(base, changes))
	if err != nil {
		panic(err)
	}
	return string(text)
}

func edgesPipeline(changes, specChanges object) object {
	return merged(object{"name": "edges", "spec": spec(specChanges)}, changes)
}

func withImages(t *testing.T, s *pachtest.Server) {
	t.Helper()
	if err := client(t, s).CreateRepo(t.Context(), pachyderm.RepoID{Project: "default", Name: "images"}, ""); err != nil {
		t.Fatal(err)
	}
}

func TestPipeline(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		withImages(t, s)
		i := newInstance(t, s).as(pipelineType)
		settled := func(config object) {
			t.Helper()
			writes := s.Writes()
			if i.changes(config) {
				t.Errorf("a second plan changes %v", plain(t, i.state))
			}
			i.must(i.refresh())
			if i.changes(config) {
				t.Errorf("a plan after refresh changes %v", plain(t, i.state))
			}
			if s.Writes() != writes {
				t.Error("looking wrote something")
			}
		}
		i.must(i.apply(edgesPipeline(nil, nil)))
		settled(edgesPipeline(nil, nil))
		wanted := object{"id": "default/edges", "project": "default", "name": "edges", "version": 1.0, "type": "transform", "state": "running",
			"reason": "", "workers_available": 1.0, "workers_requested": 1.0, "output_repo": "edges", "output_branch": "master", "paused": false}
		for name, want := range wanted {
			if got := i.get(name); got != want {
				t.Errorf("%s is %v, not %v", name, got, want)
			}
		}
		// In other words, nothing is sent.
		for _, same := range []object{
			{"name": "edges", "spec": `{"input":{"pfs":{"glob":"*","repo":"images","branch":"master"}},"transform":{"cmd":["python3","/edges.py"],"image":"edges:1"},"output_branch":"master","autoscaling":false}`},
			{"spec": spec(object{"pipeline": object{"name": "edges", "project": object{"name": "default"}}})},
			{"name": "edges", "project": "default", "spec": spec(object{"update": true, "parallelism_spec": object{"constant": 1}})},
		} {
			before := count(s, "CreatePipeline")
			i.must(i.apply(same))
			settled(same)
			if count(s, "CreatePipeline") != before || i.get("version") != 1.0 {
				t.Errorf("%v is an update", same)
			}
		}
		// What is not part of the specification sends nothing either.
		for _, quiet := range []object{{"force_destroy": true}, {"keep_output_repo": true}, {"wait_for": "created"}, {"reprocess_on_update": true}, {"timeouts": object{"update": "1m"}}, {}} {
			writes := s.Writes()
			config := edgesPipeline(quiet, nil)
			i.must(i.apply(config))
			settled(config)
			if s.Writes() != writes {
				t.Errorf("%v wrote something", quiet)
			}
		}
		before := inspect(t, s, edges)
		i.must(i.apply(edgesPipeline(object{"reprocess_on_update": true}, object{"description": "again"})))
		if calls := s.Calls("CreatePipeline"); !calls[len(calls)-1].Request.(*pps.CreatePipelineRequest).Reprocess {
			t.Error("it is not to be reprocessed")
		}
		if before.Version+1 != inspect(t, s, edges).Version || i.get("version") != 2.0 {
			t.Errorf("the version is %v", i.get("version"))
		}
		for id, identity := range map[string]object{"default/edges": nil, "edges": nil, "": {"project": "default", "name": "edges"}} {
			imported := newInstance(t, s).as(pipelineType)
			imported.must(imported.importID(id, identity))
			if imported.changes(edgesPipeline(nil, object{"description": "again"})) {
				t.Errorf("a plan after import by %q %v changes %v", id, identity, plain(t, imported.state))
			}
		}
		// Paused and back.
		config := edgesPipeline(object{"paused": true}, nil)
		i.must(i.apply(config))
		settled(config)
		if i.get("state") != "paused" {
			t.Errorf("the state is %v", i.get("state"))
		}
		i.must(i.apply(edgesPipeline(nil, nil)))
		if count(s, "FinishCommit") > 0 {
			t.Error("a head was finished that a job works on")
		}
		settled(edgesPipeline(nil, nil))
		i.must(i.destroy())
		if left := s.Pipelines(""); len(left) > 0 || !i.state.IsNull() {
			t.Errorf("there are %v", left)
		}
		// Created paused.
		i.must(i.apply(config))
		settled(config)
		i.must(i.destroy())
		withoutAnswer(t, s, pipelineType, "CreatePipeline", "InspectPipeline", config)
	})
}

func TestPipelineMistakes(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	for _, c := range []struct {
		config object
		want   []string
	}{
		{object{"name": "a", "spec": "{"}, []string{"spec", "JSON object", "jsonencode"}},
		{object{"name": "a", "spec": spec(object{"transform.imgae": "x"})}, []string{"spec.transform.imgae is not a field", "Did you mean image?"}},
		{object{"name": "a", "spec": spec(object{"paralelism_spec": object{}})}, []string{"Did you mean parallelism_spec?"}},
		{object{"name": "a", "spec": spec(object{"cache_size": "1G"})}, []string{"spec.cache_size is not a field of a pipeline's specification. There are: ", "datumTimeout, "}},
		{object{"name": "a", "spec": spec(object{"input": object{"cross": []any{object{"pfs": object{"repo": "images", "glob": "/", "name": "a"}}, object{"pfs": object{"repo": "images", "branch": "b", "glob": "/", "name": "b"}}}}})},
			[]string{"reads the branches master and b of the repo images", "one branch of each repo"}},
		{object{"name": "a", "spec": spec(object{"transform.env": object{"A": strings.Repeat("x", 131072)}})}, []string{`spec.transform.env["A"] takes 131075 bytes`}},
		{object{"name": "a", "spec": spec(object{"metadata": object{"labels": object{"a": "b c"}}})}, []string{`spec.metadata.labels["a"] must have at most 63`}},
		{object{"name": "a", "spec": spec(object{"schedulingSpec": object{"nodeSelector": object{"a b": "c"}, "priorityClassName": "X"}})}, []string{`spec.schedulingSpec.nodeSelector["a b"]`, "spec.schedulingSpec.priorityClassName"}},
		{object{"name": "a", "spec": spec(object{"input.pfs.globb": "/"})}, []string{"spec.input.pfs.globb", "Did you mean glob?"}},
		{object{"name": "a", "spec": spec(object{"spout": object{}})}, []string{"pachyderm_spout"}},
		{object{"name": "a", "spec": spec(object{"transform.cmd": nil})}, []string{"transform.cmd is missing"}},
		{object{"spec": spec(nil)}, []string{"name", "pipeline.name"}},
		{object{"name": "a", "spec": spec(object{"pipeline": object{"name": "b"}})}, []string{`name = "a"`, `"b"`, "Leave one of them out"}},
		{object{"name": "a", "project": "x", "spec": spec(object{"pipeline": object{"name": "a", "project": object{"name": "y"}}})}, []string{`project = "x"`, `"y"`}},
		{object{"name": "a b", "spec": spec(nil)}, []string{`name = "a b" must have letters`}},
		{object{"name": strings.Repeat("a", 52), "spec": spec(nil)}, []string{"52 characters", "51"}},
		{object{"name": strings.Repeat("a", 50), "project": "long-project", "spec": spec(nil)}, []string{"Shorten"}},
		{object{"name": "images", "spec": spec(nil)}, []string{"own output repo"}},
	} {
		i := newInstance(t, s).as(pipelineType)
		_, diagnostics := i.plan(c.config)
		if err := contains(errorsIn(diagnostics), c.want...); err != nil {
			t.Errorf("%v: %v", c.config, err)
		}
	}
	// What is not known yet is no mistake, and is looked at when it is known.
	i := newInstance(t, s).as(pipelineType)
	planned, diagnostics := i.plan(object{"name": "a", "spec": unknown{}})
	i.must(diagnostics)
	for spec, want := range map[string]string{spec(object{"spout": object{}}): "pachyderm_spout", "{": "JSON", spec(object{"pipeline": object{"name": "b"}}): "Leave one"} {
		config := i.dynamic(i.kind, valueOf(t, i.kind, object{"name": "a", "spec": spec}))
		var fields map[string]tftypes.Value
		if err := i.value(planned.PlannedState).As(&fields); err != nil {
			t.Fatal(err)
		}
		fields["spec"] = tftypes.NewValue(tftypes.String, spec)
		if err := contains(errorsIn(i.change(config, i.dynamic(i.kind, tftypes.NewValue(i.kind, fields)))), want); err != nil {
			t.Error(err)
		}
	}
	if len(s.Pipelines("")) > 0 {
		t.Error("something was created")
	}
}

// Drift shows, and so do a spout and a pipeline that is gone.
func TestPipelineReadsWhatOthersWrote(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		withImages(t, s)
		i := newInstance(t, s).as(pipelineType)
		i.must(i.apply(edgesPipeline(nil, nil)))
		d, err := pachyderm.ParseDocument(spec(object{"transform.image": "edges:2"}))
		if err != nil {
			t.Fatal(err)
		}
		if err := client(t, s).UpdateDocument(t.Context(), edges, d, false); err != nil {
			t.Fatal(err)
		}
		i.must(i.refresh())
		if got := i.get("spec"); got != `{"input":{"pfs":{"glob":"/*","repo":"images"}},"transform":{"cmd":["python3","/edges.py"],"image":"edges:2"}}` {
			t.Errorf("the specification is %v", got)
		}
		if !i.changes(edgesPipeline(nil, nil)) {
			t.Error("drift plans nothing")
		}
		i.must(i.apply(edgesPipeline(nil, nil)))
		if got := inspect(t, s, edges).Image; got != "edges:1" {
			t.Errorf("the image is %s", got)
		}
		if _, diagnostics := i.plan(edgesPipeline(nil, object{"service": object{"internalPort": 80, "externalPort": 30080}})); !strings.Contains(errorsIn(diagnostics), "another name") {
			t.Errorf("a change of the kind: %v", errorsIn(diagnostics))
		}
		renamed, diagnostics := i.plan(edgesPipeline(object{"name": "corners"}, nil))
		if err := contains(warningsIn(diagnostics), "Pipeline default/edges is replaced", "keep_output_repo"); err != nil || len(renamed.RequiresReplace) == 0 {
			t.Error(err)
		}
		// A name that comes from what is not known yet is no reason to replace.
		if planned, _ := i.plan(object{"spec": unknown{}}); len(planned.RequiresReplace) > 0 {
			t.Errorf("an unknown specification replaces: %v", planned.RequiresReplace)
		}
		spout := newInstance(t, s)
		spout.must(spout.apply(kafkaSpout(nil)))
		other := newInstance(t, s).as(pipelineType)
		if err := contains(errorsIn(other.importID("orders", nil)), "is a spout", "pachyderm_spout"); err != nil {
			t.Error(err)
		}
		if err := client(t, s).DeletePipeline(t.Context(), edges, false); err != nil {
			t.Fatal(err)
		}
		if err := contains(errorsIn(i.apply(edgesPipeline(nil, object{"description": "gone"}))), "is gone"); err != nil {
			t.Errorf("update of what is gone: %v", err)
		}
		i.id = nil
		i.must(i.refresh())
		if !i.state.IsNull() {
			t.Error("it is still in the state")
		}
	})
}

func TestPipelineDataIsKept(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		withImages(t, s)
		i := newInstance(t, s).as(pipelineType)
		i.must(i.apply(edgesPipeline(nil, nil)))
		writeResult(t, s, edges)
		if err := contains(errorsIn(i.destroy()), "holds data", "force_destroy", "keep_output_repo"); err != nil {
			t.Error(err)
		}
		reader := newInstance(t, s).as(pipelineType)
		reader.must(reader.apply(object{"name": "corners", "spec": spec(object{"input.pfs.repo": "edges"})}))
		i.must(i.apply(edgesPipeline(object{"force_destroy": true}, nil)))
		if err := contains(errorsIn(i.destroy()), "default/corners", "runs on"); err != nil {
			t.Error(err)
		}
		reader.must(reader.destroy())
		i.must(i.apply(edgesPipeline(object{"keep_output_repo": true}, nil)))
		i.must(i.destroy())
		if left := s.Repos(""); !slices.Equal(left, []string{"edges", "images"}) {
			t.Errorf("there are %v", left)
		}
	})
}

// Fields that 2.6 does not know, and zeros that are to take the place of the
// cluster's defaults, are sent as they are to those who can take them.
func TestPipelineNewerFields(t *testing.T) {
	t.Parallel()
	newer := edgesPipeline(nil, object{"autoscaling": true, "maximum_expected_uptime": "3600s", "input.pfs.trigger": object{"branch": "master", "rateLimitSpec": "@hourly"}})
	old := pachtest.New(t)
	withImages(t, old)
	i := newInstance(t, old).as(pipelineType)
	if err := contains(errorsIn(i.apply(newer)), "older than 2.8", "maximum_expected_uptime", "input.pfs.trigger.rateLimitSpec"); err != nil {
		t.Error(err)
	}
	zero := edgesPipeline(nil, object{"autoscaling": false})
	i.must(i.apply(zero))
	if i.changes(zero) {
		t.Error("a zero is a change")
	}

	s := pachtest.New(t, pachtest.WithVersion(pachtest.Version211),
		pachtest.WithClusterDefaults(`{"createPipelineRequest":{"autoscaling":true,"datumTries":"7","resourceRequests":{"cpu":2}}}`))
	withImages(t, s)
	for n, config := range []object{newer, zero, edgesPipeline(nil, nil), edgesPipeline(nil, object{"datumTries": 3})} {
		i := newInstance(t, s).as(pipelineType)
		i.must(i.apply(config))
		if i.changes(config) {
			t.Errorf("%d: a second plan changes something", n)
		}
		i.must(i.refresh())
		if i.changes(config) {
			t.Errorf("%d: a plan after refresh changes %v", n, i.get("spec"))
		}
		imported := newInstance(t, s).as(pipelineType)
		imported.must(imported.importID("edges", nil))
		if imported.changes(config) {
			t.Errorf("%d: a plan after import changes %v", n, imported.get("spec"))
		}
		if auto := inspect(t, s, edges).Autoscaling; auto != (n != 1) {
			t.Errorf("%d: autoscaling is %v", n, auto)
		}
		i.must(i.apply(merged(config, object{"paused": true})))
		i.must(i.destroy())
	}
}

func TestPipelineErrors(t *testing.T) {
	t.Parallel()
	changed := edgesPipeline(nil, object{"description": "x"})
	eachFailure(t, pipelineType, edgesPipeline(nil, nil), withImages, []callCase{
		{method: "InspectPipeline", run: func(i *instance) []*tfprotov6.Diagnostic { return i.refresh() }},
		{method: "InspectPipeline", run: func(i *instance) []*tfprotov6.Diagnostic { return i.destroy() }},
		{method: "InspectPipeline", run: func(i *instance) []*tfprotov6.Diagnostic { return i.apply(changed) }},
		{method: "CreatePipeline", creates: true, run: func(i *instance) []*tfprotov6.Diagnostic { return i.apply(changed) }},
		{method: "CreatePipeline", creates: true, run: func(i *instance) []*tfprotov6.Diagnostic {
			return i.as(pipelineType).apply(object{"name": "other", "spec": spec(nil)})
		}},
		{method: "StopPipeline", run: func(i *instance) []*tfprotov6.Diagnostic { return i.apply(edgesPipeline(object{"paused": true}, nil)) }},
		{method: "StartPipeline", run: func(i *instance) []*tfprotov6.Diagnostic {
			i.must(i.apply(edgesPipeline(object{"paused": true}, nil)))
			return i.apply(edgesPipeline(nil, nil))
		}},
		{method: "DeletePipeline", run: func(i *instance) []*tfprotov6.Diagnostic { return i.destroy() }},
		{method: "InspectBranch", run: func(i *instance) []*tfprotov6.Diagnostic { return i.destroy() }},
		{method: "InspectRepo", run: func(i *instance) []*tfprotov6.Diagnostic { return i.destroy() }},
	})
}

// A pipeline that does not come up is in the state, with a warning.
func TestPipelineThatDoesNotComeUp(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	withImages(t, s)
	s.BreakImage("broken:1", "manifest unknown")
	i := newInstance(t, s).as(pipelineType)
	config := edgesPipeline(nil, object{"transform.image": "broken:1"})
	said := i.apply(config)
	i.must(said)
	if err := contains(warningsIn(said), "Pipeline default/edges does not run", "manifest unknown", "does not replace it"); err != nil || i.changes(config) {
		t.Error(err)
	}
	i.must(i.apply(edgesPipeline(nil, nil)))
	if err := contains(errorsIn(i.apply(config)), "does not run", "manifest unknown"); err != nil {
		t.Error(err)
	}
}

// By Terraform's own CLI: names by reference, import, generated configuration.
func TestPipelineByTerraform(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		const config = `
resource "pachyderm_repo" "images" { name = "images" }
resource "pachyderm_pipeline" "test" {
  name = "edges"
  spec = jsonencode({
    description = "a < b & c"
    transform   = { image = "edges:1", cmd = ["python3", "/edges.py"], env = { LEVEL = "1" } }
    input       = { pfs = { repo = pachyderm_repo.images.name, glob = "/*" } }
    parallelism_spec = { constant = 2 }
  })
}`
		unitTest(t,
			resource.TestStep{Config: withProvider(s, config), ConfigPlanChecks: emptyPlan},
			resource.TestStep{Config: withProvider(s, strings.Replace(config, "parallelism_spec = { constant = 2 }", `parallelismSpec = { constant = "2" }, s3Out = false`, 1)),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}}},
			resource.TestStep{ResourceName: "pachyderm_pipeline.test", ImportState: true, ImportStateId: "edges", ImportStateVerify: true, ImportStateVerifyIgnore: []string{"spec"}},
			resource.TestStep{ResourceName: "pachyderm_pipeline.test", ImportState: true, ImportStateKind: resource.ImportBlockWithID, ImportStateId: "default/edges"},
			resource.TestStep{Config: withProvider(s, strings.Replace(config, "edges:1", "edges:2", 1)),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction("pachyderm_pipeline.test", plancheck.ResourceActionUpdate)}}},
		)
	})
}

// writeResult lets a pipeline's job write a file.
func writeResult(t *testing.T, s *pachtest.Server, id pachyderm.PipelineID) {
	t.Helper()
	c := client(t, s)
	b := c.Branch(id.Project, id.Name, "master")
	head, err := b.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	files, err := b.NewFileSet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := files.Put("/result", []byte("data")); err != nil {
		t.Fatal(err)
	}
	set, err := files.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.AddFileSet(t.Context(), head.ID, set); err != nil {
		t.Fatal(err)
	}
	output := &pfs.Branch{Name: b.Name, Repo: &pfs.Repo{Name: id.Name, Type: pfs.UserRepoType, Project: &pfs.Project{Name: id.Project}}}
	if _, err := c.PFS.FinishCommit(t.Context(), &pfs.FinishCommitRequest{Commit: &pfs.Commit{Branch: output, Repo: output.Repo, ID: head.ID}, Force: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.WaitFinished(t.Context(), head.ID); err != nil {
		t.Fatal(err)
	}
}

// Terraform can write the configuration of a pipeline that exists.
func TestPipelineGeneratedConfiguration(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	withImages(t, s)
	unitTest(t, resource.TestStep{Config: withProvider(s, fmt.Sprintf("resource \"pachyderm_pipeline\" \"test\" {\n  name = \"edges\"\n  spec = %q\n}\n", spec(object{"description": "a < b"})))},
		resource.TestStep{ResourceName: "pachyderm_pipeline.test", ImportState: true, ImportStateKind: resource.ImportBlockWithID, ImportStateId: "default/edges", GenerateConfig: true},
		resource.TestStep{ResourceName: "pachyderm_pipeline.test", ImportState: true, ImportStateKind: resource.ImportBlockWithID, ImportStateId: "default/edges"})
}
