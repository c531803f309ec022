// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"runtime"
	"slices"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

func TestRepo(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s).as("pachyderm_repo")
		config := func(changes object) object { return merged(object{"name": "images"}, changes) }
		for _, c := range []object{config(object{"description": "one"}), config(object{"description": "two"}), config(nil), config(object{"description": ""}),
			config(object{"force_destroy": true}), config(object{"timeouts": object{"delete": "1m"}})} {
			i.must(i.apply(c))
			settles(t, s, i, c)
		}
		if i.get("id") != "default/images" || i.get("project") != "default" {
			t.Errorf("the state is %v", plain(t, i.state))
		}
		if got := count(s, "CreateRepo"); got != 3 { // create and two descriptions
			t.Errorf("%d calls of CreateRepo", got)
		}
		for _, id := range []string{"default/images", "images"} {
			imported := newInstance(t, s).as("pachyderm_repo")
			imported.must(imported.importID(id, nil))
			if imported.changes(config(nil)) {
				t.Errorf("import of %s: %v", id, plain(t, imported.state))
			}
		}
		imported := newInstance(t, s).as("pachyderm_repo")
		imported.must(imported.importID("", object{"project": "default", "name": "images"}))
		if err := contains(errorsIn(imported.importID("a/b/c", nil)), "project/name", "default_project"); err != nil {
			t.Error(err)
		}
		// Deleted behind Terraform's back.
		if err := client(t, s).DeleteRepo(t.Context(), pachyderm.RepoID{Project: "default", Name: "images"}); err != nil {
			t.Fatal(err)
		}
		if err := contains(errorsIn(i.apply(config(object{"description": "gone"}))), "is gone"); err != nil {
			t.Errorf("update of what is gone: %v", err)
		}
		i.id = nil
		i.must(i.refresh())
		if !i.state.IsNull() {
			t.Error("it is still in the state")
		}
		i.must(i.apply(config(nil)))
		i.must(i.destroy())
		if left := s.Repos(""); len(left) > 0 {
			t.Errorf("after destroy there are %v", left)
		}
		withoutAnswer(t, s, "pachyderm_repo", "CreateRepo", "InspectRepo", config(object{"description": "x"}))
	})
}

// An apply that is interrupted after the server has made the repo has it in the state.
func TestRepoInterrupted(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	i := newInstance(t, s).as("pachyderm_repo")
	ctx, interrupt := context.WithCancel(t.Context())
	i.ctx = ctx
	create := s.Inject(pachtest.Fault{Method: "CreateRepo", StallReply: make(chan struct{})})
	go func() {
		<-create.Reached()
		for !slices.Contains(s.Repos(""), "images") {
			runtime.Gosched()
		}
		interrupt()
	}()
	i.must(i.apply(object{"name": "images"}))
	if i.get("id") != "default/images" {
		t.Errorf("the state is %v", plain(t, i.state))
	}
}

// Data are only deleted for those who say so, and never under readers.
func TestRepoDataIsKept(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s).as("pachyderm_repo")
		config := object{"name": "images"}
		i.must(i.apply(config))
		putFile(t, s, "images", "master", "/a")
		if err := contains(errorsIn(i.destroy()), "holds data", "force_destroy", "state rm"); err != nil {
			t.Error(err)
		}
		reader := &pps.CreatePipelineRequest{Pipeline: &pps.Pipeline{Name: "edges", Project: &pfs.Project{Name: "default"}},
			Transform: &pps.Transform{Image: "x", Cmd: []string{"y"}},
			Input:     &pps.Input{Pfs: &pps.PFSInput{Project: "default", Repo: "images", Branch: "master", Glob: "/"}}}
		if _, err := client(t, s).PPS.CreatePipeline(t.Context(), reader); err != nil {
			t.Fatal(err)
		}
		i.must(i.apply(merged(config, object{"force_destroy": true})))
		if err := contains(errorsIn(i.destroy()), "read by", "default/edges"); err != nil {
			t.Error(err)
		}
		// The pipeline's own repo is the pipeline's.
		output := newInstance(t, s).as("pachyderm_repo")
		if err := contains(errorsIn(output.importID("edges", nil)), "output repo of the pipeline", "pachyderm_spout"); err != nil {
			t.Error(err)
		}
		if err := contains(errorsIn(output.as("pachyderm_repo").apply(object{"name": "edges"})), "exists already"); err != nil {
			t.Error(err)
		}
		if err := client(t, s).DeletePipeline(t.Context(), pachyderm.PipelineID{Project: "default", Name: "edges"}, false); err != nil {
			t.Fatal(err)
		}
		i.must(i.destroy())
		if left := s.Repos(""); !slices.Equal(left, nil) {
			t.Errorf("there are %v", left)
		}
	})
}

// Pachyderm says OK to a delete by those who may not.
func TestRepoDeleteNotAllowed(t *testing.T) {
	t.Parallel()
	for _, version := range []string{pachtest.Version26, pachtest.Version211} {
		s := pachtest.New(t, pachtest.WithVersion(version), pachtest.WithAuth("root"))
		s.AddToken("reader", "robot:reader", auth.RepoReaderRole)
		i := newInstanceOf(t, object{"address": s.Address(), "auth_token": "root"}).as("pachyderm_repo")
		i.must(i.apply(object{"name": "images"}))
		reader := newInstanceOf(t, object{"address": s.Address(), "auth_token": "reader"}).as("pachyderm_repo")
		reader.state, reader.id = i.state, i.id
		if err := contains(errorsIn(reader.destroy()), "still there", "repoOwner"); err != nil {
			t.Errorf("%s: %v", version, err)
		}
		if reader.state.IsNull() {
			t.Errorf("%s: it is gone from the state", version)
		}
	}
}

func TestRepoErrors(t *testing.T) {
	t.Parallel()
	config := object{"name": "images"}
	eachFailure(t, "pachyderm_repo", config, nil, []callCase{
		{method: "InspectRepo", run: func(i *instance) []*tfprotov6.Diagnostic { return i.refresh() }},
		{method: "InspectRepo", run: func(i *instance) []*tfprotov6.Diagnostic { return i.destroy() }},
		{method: "InspectRepo", run: func(i *instance) []*tfprotov6.Diagnostic {
			return i.apply(object{"name": "images", "description": "x"})
		}},
		{method: "InspectPipeline", run: func(i *instance) []*tfprotov6.Diagnostic { return i.destroy() }},
		{method: "ListCommit", run: func(i *instance) []*tfprotov6.Diagnostic { return i.destroy() }},
		{method: "DeleteRepo", run: func(i *instance) []*tfprotov6.Diagnostic { return i.destroy() }},
		{method: "CreateRepo", run: func(i *instance) []*tfprotov6.Diagnostic {
			return i.apply(object{"name": "images", "description": "x"})
		}},
		{method: "CreateRepo", creates: true, run: func(i *instance) []*tfprotov6.Diagnostic {
			other := i.as("pachyderm_repo")
			return other.apply(object{"name": "other"})
		}},
	})
}

// putFile writes a file to a branch of a plain repo.
func putFile(t *testing.T, s *pachtest.Server, repo, branch, path string) string {
	t.Helper()
	return putFileIn(t, s, "default", repo, branch, path)
}

func putFileIn(t *testing.T, s *pachtest.Server, project, repo, branch, path string) string {
	t.Helper()
	b := client(t, s).Branch(project, repo, branch)
	id, err := b.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	files, err := b.NewFileSet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := files.Put(path, []byte("data")); err != nil {
		t.Fatal(err)
	}
	set, err := files.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.AddFileSet(t.Context(), id, set); err != nil {
		t.Fatal(err)
	}
	if err := b.Finish(t.Context(), id, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := b.WaitFinished(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return id
}
