// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

func TestProject(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s).as("pachyderm_project")
		config := func(changes object) object { return merged(object{"name": "team-a"}, changes) }
		for _, c := range []object{config(nil), config(object{"description": "one"}), config(object{"description": "two"}), config(object{"description": ""}), config(nil),
			config(object{"force_destroy": true}), config(object{"timeouts": object{"delete": "1m"}})} {
			i.must(i.apply(c))
			settles(t, s, i, c)
		}
		if got := count(s, "CreateProject"); got != 4 { // create and three descriptions
			t.Errorf("%d calls of CreateProject", got)
		}
		for _, identity := range []object{nil, {"name": "team-a"}} {
			id := "team-a"
			if identity != nil {
				id = ""
			}
			imported := newInstance(t, s).as("pachyderm_project")
			imported.must(imported.importID(id, identity))
			if imported.changes(config(nil)) {
				t.Errorf("import: %v", plain(t, imported.state))
			}
		}
		if err := client(t, s).DeleteProject(t.Context(), "team-a"); err != nil {
			t.Fatal(err)
		}
		if err := contains(errorsIn(i.apply(config(object{"description": "gone"}))), "is gone"); err != nil {
			t.Error(err)
		}
		i.id = nil
		i.must(i.refresh())
		if !i.state.IsNull() {
			t.Error("it is still in the state")
		}
		withoutAnswer(t, s, "pachyderm_project", "CreateProject", "InspectProject", config(object{"description": "x"}))
	})
}

func TestProjectNames(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	for _, name := range []string{"_a", "-a", "a b", "", "a.b", "a1234567890123456789012345678901234567890123456789012"} {
		_, said := newInstance(t, s).as("pachyderm_project").plan(object{"name": name})
		if err := contains(errorsIn(said), "name"); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	// Names that Pachyderm takes, but not for spouts.
	i := newInstance(t, s).as("pachyderm_project")
	said := i.apply(object{"name": "Team_A"})
	i.must(said)
	if err := contains(warningsIn(said), "No spouts"); err != nil {
		t.Error(err)
	}
	if _, said := i.plan(object{"name": "Team_A", "description": "x"}); len(said) > 0 {
		t.Errorf("it warns again: %s", warningsIn(said))
	}
	// The project that all have.
	standard := newInstance(t, s).as("pachyderm_project")
	if err := contains(errorsIn(standard.apply(object{"name": "default"})), "exists already", "terraform import"); err != nil {
		t.Error(err)
	}
	standard = newInstance(t, s).as("pachyderm_project")
	standard.must(standard.importID("default", nil))
	standard.must(standard.apply(object{"name": "default", "description": "of all", "force_destroy": true}))
	if err := contains(errorsIn(standard.destroy()), "not deleted", "state rm"); err != nil {
		t.Error(err)
	}
}

// What is in a project is only deleted for those who say so.
func TestProjectWithContent(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s).as("pachyderm_project")
		config := object{"name": "team-a"}
		i.must(i.apply(config))
		c := client(t, s)
		for _, name := range []string{"one", "two", "three", "four", "five", "six", "seven"} {
			if err := c.CreateRepo(t.Context(), pachyderm.RepoID{Project: "team-a", Name: name}, ""); err != nil {
				t.Fatal(err)
			}
		}
		spec := pachyderm.Spec{Image: "x", Cmd: []string{"y"}}
		if err := c.CreatePipeline(t.Context(), pachyderm.PipelineID{Project: "team-a", Name: "spout"}, spec, ""); err != nil {
			t.Fatal(err)
		}
		if err := contains(errorsIn(i.destroy()), "not empty", "the repo five", "and 3 more repos", "force_destroy", "pachyderm_project.<name>.name"); err != nil {
			t.Error(err)
		}
		if count(s, "DeleteProject")+count(s, "DeletePipelines")+count(s, "DeleteRepos") > 0 {
			t.Error("something was deleted")
		}
		i.must(i.apply(merged(config, object{"force_destroy": true})))
		elsewhere := &pps.CreatePipelineRequest{Pipeline: &pps.Pipeline{Name: "reader", Project: &pfs.Project{Name: "default"}},
			Transform: &pps.Transform{Image: "x", Cmd: []string{"y"}},
			Input:     &pps.Input{Pfs: &pps.PFSInput{Project: "team-a", Repo: "spout", Branch: "master", Glob: "/"}}}
		if _, err := c.PPS.CreatePipeline(t.Context(), elsewhere); err != nil {
			t.Fatal(err)
		}
		if err := contains(errorsIn(i.destroy()), "another project", "team-a/spout", "default/reader"); err != nil {
			t.Error(err)
		}
		if p := inspect(t, s, pachyderm.PipelineID{Project: "team-a", Name: "spout"}); p.Stopped {
			t.Error("the spout was stopped")
		}
		if err := c.DeletePipeline(t.Context(), pachyderm.PipelineID{Project: "default", Name: "reader"}, false); err != nil {
			t.Fatal(err)
		}
		i.must(i.destroy())
		if left := append(s.Repos("team-a"), s.Pipelines("team-a")...); len(left) > 0 {
			t.Errorf("there are %v", left)
		}
		// What comes in between is not deleted.
		i.must(i.apply(config))
		held := make(chan struct{})
		stop := s.Inject(pachtest.Fault{Method: "DeleteProject", Stall: held})
		go func() {
			<-stop.Reached()
			if err := c.CreateRepo(t.Context(), pachyderm.RepoID{Project: "team-a", Name: "late"}, ""); err != nil {
				t.Error(err)
			}
			close(held)
		}()
		if err := contains(errorsIn(i.destroy()), "late", "meanwhile"); err != nil {
			t.Error(err)
		}
	})
}

func TestProjectErrors(t *testing.T) {
	t.Parallel()
	config := object{"name": "team-a", "force_destroy": true}
	destroy := func(i *instance) []*tfprotov6.Diagnostic { return i.destroy() }
	full := func(run func(*instance) []*tfprotov6.Diagnostic) func(*instance) []*tfprotov6.Diagnostic {
		return func(i *instance) []*tfprotov6.Diagnostic {
			i.as("pachyderm_repo").apply(object{"project": "team-a", "name": "images"}) // it may be there already
			return run(i)
		}
	}
	eachFailure(t, "pachyderm_project", config, nil, []callCase{
		{method: "InspectProject", run: func(i *instance) []*tfprotov6.Diagnostic { return i.refresh() }},
		{method: "InspectProject", run: destroy},
		{method: "ListRepo", run: destroy},
		{method: "DeleteProject", run: destroy},
		{method: "CreateProject", run: func(i *instance) []*tfprotov6.Diagnostic {
			return i.apply(merged(config, object{"description": "x"}))
		}},
		{method: "DeletePipelines", run: full(destroy)},
		{method: "DeleteRepos", run: full(destroy)},
		{method: "CreateProject", creates: true, run: func(i *instance) []*tfprotov6.Diagnostic {
			return i.as("pachyderm_project").apply(object{"name": "other"})
		}},
	})
}
