// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"google.golang.org/grpc/status"
)

// fails fails the test unless values are those that are expected.
func equalValues(t *testing.T, what string, got object, want object) {
	t.Helper()
	for name, v := range want {
		if !reflect.DeepEqual(got[name], v) {
			t.Errorf("%s: %s is %#v, not %#v", what, name, got[name], v)
		}
	}
}

func TestClusterDataSource(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		got, said := newInstance(t, s).read("pachyderm_cluster", object{})
		if errorsIn(said) != "" {
			t.Fatal(errorsIn(said))
		}
		equalValues(t, "cluster", got, object{"version": s.Version(), "auth_active": false, "whoami": nil, "token_expires_at": nil, "address": s.Address()})
		if got["id"] == nil || got["deployment_id"] == nil {
			t.Errorf("cluster: %v", got)
		}
		secured := pachtest.New(t, pachtest.WithVersion(s.Version()), pachtest.WithAuth("root"))
		secured.AddToken("robot", "robot:terraform", auth.ClusterAdminRole)
		got, said = newInstanceOf(t, object{"address": secured.Address(), "auth_token": "robot"}).read("pachyderm_cluster", object{})
		if errorsIn(said) != "" {
			t.Fatal(errorsIn(said))
		}
		equalValues(t, "cluster", got, object{"auth_active": true, "whoami": "robot:terraform"})
	})
}

func TestProjectAndRepoDataSources(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := newInstance(t, s)
		for _, name := range []string{"team-a", "team-b"} {
			project := i.as("pachyderm_project")
			project.must(project.apply(object{"name": name, "description": "of " + name}))
		}
		for _, id := range [][2]string{{"team-a", "images"}, {"team-a", "texts"}, {"team-b", "images"}} {
			repo := i.as("pachyderm_repo")
			repo.must(repo.apply(object{"project": id[0], "name": id[1], "description": "holds " + id[1]}))
		}
		makeRepos(t, s, "plain")
		putFile(t, s, "plain", "master", "/a")
		putFile(t, s, "plain", "live", "/b")
		read := func(typeName string, config object) object {
			t.Helper()
			got, said := i.read("pachyderm_"+typeName, config)
			if errorsIn(said) != "" {
				t.Errorf("%s %v: %s", typeName, config, errorsIn(said))
			}
			return got
		}
		equalValues(t, "project", read("project", object{"name": "team-a"}), object{"id": "team-a", "description": "of team-a"})
		if got := read("project", object{"name": "default"}); got["created_at"] == nil || got["description"] != nil {
			t.Errorf("project default: %v", got)
		}
		equalValues(t, "projects", read("projects", object{}), object{"names": []any{"default", "team-a", "team-b"}})
		equalValues(t, "projects", read("projects", object{"name_prefix": "team", "name_regex": "b$"}), object{"names": []any{"team-b"}})
		equalValues(t, "projects", read("projects", object{"name_prefix": "nobody"}), object{"names": []any{}, "projects": []any{}})
		equalValues(t, "repo", read("repo", object{"name": "plain"}), object{"id": "default/plain", "project": "default", "size_bytes": 4.0, "branches": []any{"live", "master"}})
		equalValues(t, "repos", read("repos", object{}), object{"ids": []any{"default/plain", "team-a/images", "team-a/texts", "team-b/images"}})
		equalValues(t, "repos", read("repos", object{"project": "team-a", "name_regex": "^im"}), object{"ids": []any{"team-a/images"}})
		if got := fmt.Sprint(read("repos", object{"name_regex": "mag"})["repos"]); got == "" || contains(got, "holds images", "team-a", "team-b") != nil {
			t.Errorf("repos: %s", got)
		}
		// Missing things are errors, wrong filters too.
		for typeName, c := range map[string]struct {
			config object
			want   []string
		}{
			"project":  {object{"name": "nobody"}, []string{"Project nobody does not exist", "refer to the resource"}},
			"repo":     {object{"name": "nothing"}, []string{"Repo default/nothing does not exist"}},
			"branch":   {object{"repo": "plain", "name": "b"}, []string{"Branch default/plain@b does not exist"}},
			"commit":   {object{"repo": "plain", "branch": "b"}, []string{"Commit default/plain@b does not exist"}},
			"repos":    {object{"name_regex": "("}, []string{"name_regex", "missing closing"}},
			"projects": {object{"name_regex": "["}, []string{"name_regex"}},
		} {
			_, said := i.read("pachyderm_"+typeName, c.config)
			if err := contains(errorsIn(said), c.want...); err != nil {
				t.Errorf("%s: %v", typeName, err)
			}
		}
		other := newInstanceOf(t, object{"address": s.Address(), "default_project": "team-b"})
		got, said := other.read("pachyderm_repo", object{"name": "images"})
		if errorsIn(said) != "" || got["id"] != "team-b/images" {
			t.Errorf("with a default project: %v, %s", got, errorsIn(said))
		}
	})
}

const spoutDescription = `spout/1 {"source":"kafka","writer":"orders-v1-x/1","epoch":3,"reason":"records","read":10,"written":9,"files":2,"bytes":900,` +
	`"gaps":[{"topic":"orders","partition":1,"from":3,"to":9,"reason":"retention"}],"position":{"cluster":"c","topics":{"orders":{"id":"i","partitions":{"0":[1200,5],"1":[9,-1]}}}}}`

func TestBranchAndCommitDataSources(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		makeRepos(t, s, "events", "other")
		i := newInstance(t, s)
		first := putFile(t, s, "events", "master", "/a")
		b := client(t, s).Branch("default", "events", "master")
		second, err := b.Start(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Finish(t.Context(), second, spoutDescription); err != nil {
			t.Fatal(err)
		}
		if _, err := b.WaitFinished(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		third, err := b.Start(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		read := func(typeName string, config object) object {
			t.Helper()
			got, said := i.read("pachyderm_"+typeName, config)
			if errorsIn(said) != "" {
				t.Fatalf("%s %v: %s", typeName, config, errorsIn(said))
			}
			return got
		}
		open := object{"id": third, "parent_id": second, "state": "open", "origin": "user", "finished_at": nil, "spout": nil}
		equalValues(t, "head", read("commit", object{"repo": "events", "branch": "master"}), open)
		got := read("commit", object{"repo": "events", "branch": "master", "finished": true})
		equalValues(t, "finished head", got, object{"id": second, "state": "finished", "size_bytes": 4.0, "error": nil, "description": spoutDescription})
		equalValues(t, "by id", read("commit", object{"repo": "events", "id": second}), object{"spout": got["spout"], "size_bytes": 4.0})
		spout, _ := got["spout"].(object)
		equalValues(t, "spout", spout, object{"source": "kafka", "writer": "orders-v1-x/1", "reason": "records", "records_read": 10.0, "records_written": 9.0, "records_filtered": 0.0, "records_dead_lettered": 0.0, "files": 2.0,
			"bytes": 900.0, "restored": nil, "offsets": object{"orders": object{"0": 1200.0, "1": 9.0}},
			"marks":    []any{object{"stream": "orders", "partition": 0.0, "generation": 0.0, "next": 1200.0}, object{"stream": "orders", "partition": 1.0, "generation": 0.0, "next": 9.0}},
			"gaps":     []any{object{"stream": "orders", "partition": 1.0, "from": 3.0, "to": 9.0, "reason": "retention"}},
			"position": `{"cluster":"c","topics":{"orders":{"id":"i","partitions":{"0":[1200,5],"1":[9,-1]}}}}`})
		equalValues(t, "first", read("commit", object{"repo": "events", "id": first}), object{"id": first, "parent_id": nil, "spout": nil, "description": nil})

		if err := b.RollBack(t.Context(), third, "broken"); err != nil {
			t.Fatal(err)
		}
		branch := read("branch", object{"repo": "events", "name": "master"})
		equalValues(t, "branch", branch, object{"id": "default/events@master", "head": third, "trigger": nil, "provenance": []any{}, "readers": []any{}})
		head, _ := branch["head_commit"].(object)
		equalValues(t, "head commit", head, object{"id": third, "error": "broken"})
		equalValues(t, "not rolled back", read("commit", object{"repo": "events", "branch": "master", "finished": true}), object{"id": second})

		id := pachyderm.BranchID{Project: "default", Repo: "events", Name: "batched"}
		if err := client(t, s).SetBranch(t.Context(), id, "", nil, &pachyderm.Trigger{Branch: "master", Commits: 5, RateLimit: "@hourly", All: true}); err != nil {
			t.Fatal(err)
		}
		readBranch(t, s, "report", "events", "batched")
		batched := read("branch", object{"repo": "events", "name": "batched"})
		equalValues(t, "batched", batched, object{"readers": []any{"default/report"},
			"trigger": object{"branch": "master", "all": true, "commits": 5.0, "rate_limit_spec": "@hourly"}})
		equalValues(t, "output", read("branch", object{"repo": "report", "name": "master"}),
			object{"provenance": []any{object{"project": "default", "repo": "events", "branch": "batched"}}})

		// Nothing finished yet; a description of another release; both or neither of id and branch.
		fresh, err := client(t, s).Branch("default", "other", "master").Start(t.Context(), "spout/9 ?")
		if err != nil {
			t.Fatal(err)
		}
		if got := read("commit", object{"repo": "other", "id": fresh}); got["spout"] != nil {
			t.Errorf("spout: %v", got["spout"])
		}
		_, said := i.read("pachyderm_commit", object{"repo": "other", "id": fresh})
		if err := contains(warningsIn(said), "another release"); err != nil {
			t.Error(err)
		}
		for _, c := range []struct {
			config object
			want   string
		}{
			{object{"repo": "other", "branch": "master", "finished": true}, "no commit that is finished"},
			{object{"repo": "other"}, "id"},
			{object{"repo": "other", "id": fresh, "branch": "master"}, "branch"},
			{object{"repo": "other", "id": "master"}, "id of a commit"},
		} {
			_, said := i.read("pachyderm_commit", c.config)
			if err := contains(errorsIn(said), c.want); err != nil {
				t.Errorf("%v: %v", c.config, err)
			}
		}
	})
}

func TestDataSourceErrors(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	makeRepos(t, s, "events")
	putFile(t, s, "events", "master", "/a")
	i := newInstance(t, s, onlyOnce)
	for _, c := range []struct {
		typeName, method string
		config           object
	}{
		{"cluster", "GetVersion", object{}},
		{"cluster", "InspectCluster", object{}},
		{"cluster", "WhoAmI", object{}},
		{"project", "InspectProject", object{"name": "default"}},
		{"projects", "ListProject", object{}},
		{"repo", "InspectRepo", object{"name": "events"}},
		{"repos", "ListRepo", object{}},
		{"branch", "InspectBranch", object{"repo": "events", "name": "master"}},
		{"branch", "InspectCommit", object{"repo": "events", "name": "master"}},
		{"commit", "InspectBranch", object{"repo": "events", "branch": "master"}},
		{"commit", "InspectCommit", object{"repo": "events", "branch": "master"}},
		{"commit", "ListCommit", object{"repo": "events", "branch": "master", "finished": true}},
	} {
		for _, f := range failures {
			fault := f.inject(s, c.method)
			_, said := i.read("pachyderm_"+c.typeName, c.config)
			fault.Remove()
			if fault.Fired() == 0 {
				t.Errorf("%s: %s was not called", c.typeName, c.method)
			}
			if err := contains(errorsIn(said), f.want); err != nil {
				t.Errorf("%s: %s answers %s (%s): %v", c.typeName, c.method, f.name, status.Code(f.err), err)
			}
		}
	}
	unconfigured := newInstanceOf(t, object{"address": s.Address(), "default_project": unknown{}})
	_, said := unconfigured.read("pachyderm_repo", object{"name": "events"})
	if err := contains(errorsIn(said), "project", "not known yet"); err != nil {
		t.Error(err)
	}
}
