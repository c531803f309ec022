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

// makeRepos makes plain repos in the project default.
func makeRepos(t *testing.T, s *pachtest.Server, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := client(t, s).CreateRepo(t.Context(), pachyderm.RepoID{Project: "default", Name: name}, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// readBranch makes a pipeline that reads a branch.
func readBranch(t *testing.T, s *pachtest.Server, pipeline, repo, branch string) {
	t.Helper()
	request := &pps.CreatePipelineRequest{Pipeline: &pps.Pipeline{Name: pipeline, Project: &pfs.Project{Name: "default"}},
		Transform: &pps.Transform{Image: "x", Cmd: []string{"y"}},
		Input:     &pps.Input{Pfs: &pps.PFSInput{Project: "default", Repo: repo, Branch: branch, Glob: "/"}}}
	if _, err := client(t, s).PPS.CreatePipeline(t.Context(), request); err != nil {
		t.Fatal(err)
	}
}

func branchConfig(changes object) object {
	return merged(object{"repo": "events", "name": "batched"}, changes)
}

func inspectBranch(t *testing.T, s *pachtest.Server, name string) *pachyderm.BranchInfo {
	t.Helper()
	b, err := client(t, s).InspectBranch(t.Context(), pachyderm.BranchID{Project: "default", Repo: "events", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// settles says whether there is nothing left to plan, before and after a refresh.
func settles(t *testing.T, s *pachtest.Server, i *instance, config object) {
	t.Helper()
	writes := s.Writes()
	if i.changes(config) {
		t.Errorf("%v: a second plan changes %v", config, plain(t, i.state))
	}
	i.must(i.refresh())
	if i.changes(config) {
		t.Errorf("%v: a plan after refresh changes %v", config, plain(t, i.state))
	}
	if s.Writes() != writes {
		t.Errorf("%v: looking wrote something", config)
	}
}

func TestBranch(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		makeRepos(t, s, "events", "other", "more")
		first := putFile(t, s, "events", "master", "/a")
		second := putFile(t, s, "events", "master", "/b")
		i := newInstance(t, s).as("pachyderm_branch")
		trigger := func(changes object) object {
			return branchConfig(object{"trigger": merged(object{"branch": "master"}, changes)})
		}
		for _, config := range []object{
			branchConfig(nil),
			trigger(object{"commits": 3.0}),
			trigger(object{"commits": 4.0, "size": "100MB", "all": true}),
			trigger(object{"size": "1G"}),
			trigger(object{"rate_limit_spec": "@every 10m"}),
			trigger(object{"rate_limit_spec": "0 */2 * * mon-fri", "commits": 2.0}),
			trigger(object{"all": true}),
			branchConfig(object{"provenance": []any{object{"repo": "other", "branch": "master"}}}),
			branchConfig(object{"provenance": []any{object{"project": "default", "repo": "other", "branch": "live"}, object{"repo": "more", "branch": "master"}}}),
			trigger(object{"commits": 1.0}),
			branchConfig(nil),
			branchConfig(object{"head": first}),
			branchConfig(object{"head": second}),
			branchConfig(nil),
		} {
			i.must(i.apply(config))
			settles(t, s, i, config)
			imported := newInstance(t, s).as("pachyderm_branch")
			imported.must(imported.importID("default/events@batched", nil))
			if config["head"] == nil && config["provenance"] == nil && imported.changes(config) {
				t.Errorf("after import of %v: %v", config, plain(t, imported.state))
			}
		}
		if got := inspectBranch(t, s, "batched"); got.Head != second || got.Trigger != nil || len(got.Provenance) > 0 {
			t.Errorf("the branch is %+v", got)
		}
		if i.get("id") != "default/events@batched" {
			t.Errorf("id %v", i.get("id"))
		}
		imported := newInstance(t, s).as("pachyderm_branch")
		imported.must(imported.importID("", object{"repo": "events", "name": "batched"}))
		if err := contains(errorsIn(imported.importID("events", nil)), "project/repo@name", "repo@name for one"); err != nil {
			t.Error(err)
		}
		// Other words, no change.
		i.must(i.apply(trigger(object{"size": "1000MB", "rate_limit_spec": "@every 60m"})))
		if i.changes(trigger(object{"size": "1 GB", "rate_limit_spec": "@every 1h"})) {
			t.Error("other words change something")
		}
		i.must(i.destroy())
		withoutAnswer(t, s, "pachyderm_branch", "CreateBranch", "InspectBranch", branchConfig(object{"provenance": []any{object{"repo": "other", "branch": "master"}}}))
	})
}

// The head moves back when it is managed, and is left alone otherwise.
func TestBranchDrift(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		makeRepos(t, s, "events")
		first := putFile(t, s, "events", "batched", "/a")
		i := newInstance(t, s).as("pachyderm_branch")
		i.must(i.importID("events@batched", nil))
		pinned := branchConfig(object{"head": first})
		i.must(i.apply(pinned))
		if count(s, "CreateBranch") > 0 {
			t.Error("a branch that is where it should be was set")
		}
		second := putFile(t, s, "events", "batched", "/b")
		i.must(i.refresh())
		if i.get("head") != second || !i.changes(pinned) {
			t.Errorf("the head is %v", i.get("head"))
		}
		i.must(i.apply(pinned))
		if got := inspectBranch(t, s, "batched").Head; got != first {
			t.Errorf("the head is %s", got)
		}
		free := branchConfig(nil)
		i.must(i.apply(free))
		putFile(t, s, "events", "batched", "/c")
		settles(t, s, i, free)
		// A trigger that somebody has set, and one that somebody has changed.
		id := pachyderm.BranchID{Project: "default", Repo: "events", Name: "batched"}
		if err := client(t, s).SetBranch(t.Context(), id, "", nil, &pachyderm.Trigger{Branch: "master", Commits: 2}); err != nil {
			t.Fatal(err)
		}
		i.must(i.refresh())
		if i.get("trigger.commits") != 2.0 || !i.changes(free) {
			t.Errorf("trigger %v", i.get("trigger"))
		}
		i.must(i.apply(free))
		// Deleted.
		if err := client(t, s).DeleteBranch(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if err := contains(errorsIn(i.apply(pinned)), "is gone", "Plan again"); err != nil {
			t.Error(err)
		}
		i.id = nil
		i.must(i.refresh())
		if !i.state.IsNull() {
			t.Error("it is still in the state")
		}
	})
}

// Removing a trigger loses no commit and breaks no reader.
func TestBranchWithoutTriggerAgain(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		makeRepos(t, s, "events")
		i := newInstance(t, s).as("pachyderm_branch")
		with := branchConfig(object{"trigger": object{"branch": "master", "commits": 1.0}})
		i.must(i.apply(with))
		moved := putFile(t, s, "events", "master", "/a")
		if got := inspectBranch(t, s, "batched").Head; got != moved {
			t.Fatalf("the trigger did not fire: %s", got)
		}
		i.must(i.apply(branchConfig(nil)))
		if got := inspectBranch(t, s, "batched"); got.Head != moved || got.Trigger != nil {
			t.Errorf("without a trigger: %+v", got)
		}
		if _, err := client(t, s).InspectBranch(t.Context(), pachyderm.BranchID{Project: "default", Repo: "events", Name: "batched-without-trigger"}); !pachyderm.IsNotFound(err) {
			t.Errorf("a branch is left behind: %v", err)
		}
		// Read by a pipeline, it cannot be made anew by any server.
		i.must(i.apply(with))
		readBranch(t, s, "report", "events", "batched")
		i.must(i.apply(branchConfig(nil)))
		settles(t, s, i, branchConfig(nil))
		putFile(t, s, "events", "master", "/b")
		if got := inspectBranch(t, s, "batched"); got.Head != moved || got.Trigger != nil || len(got.Readers) != 1 {
			t.Errorf("without a trigger, and read: %+v", got)
		}
		if err := contains(errorsIn(i.destroy()), "read by", "default/report"); err != nil {
			t.Error(err)
		}
		i.must(i.apply(with))
		putFile(t, s, "events", "master", "/c")
		if got := inspectBranch(t, s, "batched"); got.Head == moved {
			t.Error("the trigger does not fire any more")
		}
		// The name that is needed for a moment is somebody's.
		makeRepos(t, s, "two")
		putFile(t, s, "events", "live", "/d")
		taken := pachyderm.BranchID{Project: "default", Repo: "events", Name: "fast-without-trigger"}
		if err := client(t, s).SetBranch(t.Context(), taken, "", nil, nil); err != nil {
			t.Fatal(err)
		}
		fast := newInstance(t, s).as("pachyderm_branch")
		fast.must(fast.apply(merged(with, object{"name": "fast"})))
		said := errorsIn(fast.apply(branchConfig(object{"name": "fast"})))
		if err := contains(said, "in the way"); s.Version() == pachtest.Version26 && err != nil || s.Version() != pachtest.Version26 && said != "" {
			t.Errorf("a name that is taken: %s", said)
		}
	})
}

// Where the oldest branch has a trigger, 2.6 would look for a circle of triggers
// for ever. Nothing is sent that makes it do so.
func TestBranchTriggerThatNeverEnds(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		makeRepos(t, s, "events", "stuck")
		with := func(name string, commits float64) object {
			return branchConfig(object{"name": name, "trigger": object{"branch": "master", "commits": commits}})
		}
		i := newInstance(t, s).as("pachyderm_branch")
		i.must(i.apply(with("batched", 1)))
		readBranch(t, s, "report", "events", "batched")
		i.must(i.apply(with("batched", 2))) // the branch that it follows was made before it
		other := newInstance(t, s).as("pachyderm_branch")
		other.must(other.apply(with("other", 2)))

		// Made by somebody else, before there was anything to follow.
		old := pachyderm.BranchID{Project: "default", Repo: "stuck", Name: "batched"}
		if s.Version() != pachtest.Version26 { // which would refuse it
			putFile(t, s, "stuck", "master", "/first")
		}
		request := &pfs.CreateBranchRequest{Branch: &pfs.Branch{Name: "batched", Repo: &pfs.Repo{Name: "stuck", Type: pfs.UserRepoType, Project: &pfs.Project{Name: "default"}}},
			Trigger: &pfs.Trigger{Branch: "master", Commits: 1}}
		if _, err := client(t, s).PFS.CreateBranch(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		head := putFile(t, s, "stuck", "master", "/a")
		new26 := s.Version() == pachtest.Version26
		second := newInstance(t, s).as("pachyderm_branch")
		said := second.apply(merged(with("second", 1), object{"repo": "stuck"}))
		if err := contains(errorsIn(said), "not sent", "default/stuck@batched", "2.7"); new26 && err != nil || !new26 && errorsIn(said) != "" {
			t.Errorf("another branch: %s", errorsIn(said))
		}
		stuck := newInstance(t, s).as("pachyderm_branch")
		stuck.must(stuck.importID("stuck@batched", nil))
		config := merged(with("batched", 3), object{"repo": "stuck"})
		stuck.must(stuck.apply(config)) // made anew where it has to be
		settles(t, s, stuck, config)
		b, err := client(t, s).InspectBranch(t.Context(), old)
		if err != nil || b.Head != head || b.Trigger.Commits != 3 {
			t.Errorf("the branch is %+v, %v", b, err)
		}
		if panics := s.Panics(); len(panics) > 0 {
			t.Errorf("a 2.6 server would hang: %v", panics)
		}
	})
}

// The output branch is the pipeline's, whether it runs or not.
func TestBranchOfPipeline(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		spout := newInstance(t, s)
		spout.must(spout.apply(transformSpout(nil)))
		output := object{"repo": "orders", "name": "master"}
		for _, paused := range []bool{false, true} {
			spout.must(spout.apply(transformSpout(object{"paused": paused})))
			i := newInstance(t, s).as("pachyderm_branch")
			if err := contains(errorsIn(i.as("pachyderm_branch").apply(output)), "exists already"); err != nil {
				t.Error(err)
			}
			want := []string{"output branch", "default/orders", "trigger"}
			if err := contains(errorsIn(i.importID("orders@master", nil)), want...); err != nil {
				t.Errorf("import, paused %v: %v", paused, err)
			}
			// As if it had become one later.
			if err := contains(errorsIn(i.apply(merged(output, object{"trigger": object{"branch": "x", "commits": 1.0}}))), want...); err != nil {
				t.Errorf("update, paused %v: %v", paused, err)
			}
			if err := contains(errorsIn(i.destroy()), want...); err != nil {
				t.Errorf("destroy, paused %v: %v", paused, err)
			}
		}
		spout.must(spout.apply(transformSpout(nil)))
		batched := newInstance(t, s).as("pachyderm_branch")
		config := object{"repo": "orders", "name": "batched", "trigger": object{"branch": "master", "commits": 2.0}}
		batched.must(batched.apply(config))
		settles(t, s, batched, config)
		batched.must(batched.destroy())
	})
}

func TestBranchCronNeedsNewerServer(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		makeRepos(t, s, "events")
		i := newInstance(t, s).as("pachyderm_branch")
		config := branchConfig(object{"trigger": object{"branch": "master", "cron_spec": "@hourly"}})
		said := i.apply(config)
		if s.Version() == pachtest.Version26 {
			if err := contains(errorsIn(said), "trigger", "cron_spec", "2.7", "2.6.0", "rate_limit_spec"); err != nil {
				t.Error(err)
			}
			return
		}
		i.must(said)
		settles(t, s, i, config)
		if got := inspectBranch(t, s, "batched").Trigger; got.Cron != "@hourly" || got.RateLimit != "" {
			t.Errorf("the trigger is %+v", got)
		}
	})
}

func TestBranchValidation(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	trigger := func(changes object) object { return object{"trigger": merged(object{"branch": "master"}, changes)} }
	for name, c := range map[string]struct {
		change object
		want   []string
	}{
		"name":           {object{"name": "a/b"}, []string{"name", "'-' and '_'"}},
		"commit as name": {object{"name": "0123456789abcdef0123456789abcdef"}, []string{"commit's id"}},
		"repo":           {object{"repo": "a b"}, []string{"repo"}},
		"project":        {object{"project": "_a"}, []string{"project", "begin"}},
		"head":           {object{"head": "master"}, []string{"head", "id of a commit", "trigger"}},
		"head, trigger":  {merged(trigger(object{"commits": 1.0}), object{"head": "0123456789abcdef0123456789abcdef"}), []string{"head and trigger", "Leave one"}},
		"both": {merged(trigger(object{"commits": 1.0}), object{"provenance": []any{object{"repo": "other", "branch": "master"}}}),
			[]string{"trigger and provenance", "Leave one"}},
		"itself":       {trigger(object{"branch": "batched", "commits": 1.0}), []string{"trigger", "itself"}},
		"no condition": {trigger(nil), []string{"no condition", "commits, size"}},
		"no commits":   {trigger(object{"commits": 0.0}), []string{"commits", "at least 1"}},
		"size":         {trigger(object{"size": "much"}), []string{"size", "amount of data", "100MB"}},
		"no size":      {trigger(object{"size": "0MB"}), []string{"size", "more than 0"}},
		"schedule":     {trigger(object{"rate_limit_spec": "61 * * * *"}), []string{"rate_limit_spec", "minute", "0 to 59"}},
		"cron and all": {trigger(object{"cron_spec": "@daily", "commits": 1.0}), []string{"cron_spec", "rate_limit_spec"}},
		"own repo":     {object{"provenance": []any{object{"repo": "events", "branch": "master"}}}, []string{"provenance", "other repos"}},
		"two branches": {object{"provenance": []any{object{"repo": "other", "branch": "a"}, object{"project": "default", "repo": "other", "branch": "b"}}}, []string{"the branches a and b of the repo default/other", "one branch of each repo"}},
	} {
		_, diagnostics := newInstance(t, s).as("pachyderm_branch").plan(branchConfig(c.change))
		if err := contains(errorsIn(diagnostics), c.want...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What is not known yet is left alone.
	for _, change := range []object{{"trigger": unknown{}}, {"provenance": unknown{}}, {"head": unknown{}}, trigger(object{"commits": unknown{}}),
		trigger(object{"branch": unknown{}, "size": unknown{}, "commits": 1.0}), {"name": unknown{}}, {"provenance": []any{object{"repo": unknown{}, "branch": "master"}}}} {
		if _, diagnostics := newInstance(t, s).as("pachyderm_branch").plan(branchConfig(change)); errorsIn(diagnostics) != "" {
			t.Errorf("%v: %s", change, errorsIn(diagnostics))
		}
	}
}

func TestBranchErrors(t *testing.T) {
	t.Parallel()
	config := branchConfig(object{"trigger": object{"branch": "master", "commits": 1.0}})
	update := func(i *instance) []*tfprotov6.Diagnostic {
		return i.apply(branchConfig(object{"trigger": object{"branch": "master", "commits": 2.0}}))
	}
	destroy := func(i *instance) []*tfprotov6.Diagnostic { return i.destroy() }
	eachFailure(t, "pachyderm_branch", config, func(t *testing.T, s *pachtest.Server) { makeRepos(t, s, "events") }, []callCase{
		{method: "InspectBranch", run: func(i *instance) []*tfprotov6.Diagnostic { return i.refresh() }},
		{method: "InspectBranch", run: update},
		{method: "InspectBranch", run: destroy},
		{method: "InspectPipeline", run: update},
		{method: "InspectPipeline", run: destroy},
		{method: "ListBranch", run: update},
		{method: "CreateBranch", run: update},
		{method: "BatchTransaction", run: func(i *instance) []*tfprotov6.Diagnostic { return i.apply(branchConfig(nil)) }},
		{method: "DeleteBranch", run: destroy},
		{method: "CreateBranch", creates: true, run: func(i *instance) []*tfprotov6.Diagnostic {
			return i.as("pachyderm_branch").apply(branchConfig(object{"name": "other"}))
		}},
	})
}
