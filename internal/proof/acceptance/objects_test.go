// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// objectsConfig is a project with a repo and a branch, and data sources that
// read them. The lines go into the repo and into the branch.
func objectsConfig(project, repo, branch, more string) string {
	return requirements + fmt.Sprintf(`
resource "pachyderm_project" "this" {
  name        = %[1]q
  description = "objects"
}
resource "pachyderm_repo" "events" {
  project = pachyderm_project.this.name
  name    = "events"
  %[2]s
}
resource "pachyderm_branch" "batched" {
  project = pachyderm_project.this.name
  repo    = pachyderm_repo.events.name
  name    = "batched"
  %[3]s
}
data "pachyderm_cluster" "this" {}
data "pachyderm_projects" "this" {
  name_prefix = pachyderm_project.this.name
}
data "pachyderm_repos" "this" {
  project    = pachyderm_repo.events.project
  name_regex = "^e"
}
data "pachyderm_branch" "batched" {
  project = pachyderm_branch.batched.project
  repo    = pachyderm_branch.batched.repo
  name    = pachyderm_branch.batched.name
}
data "pachyderm_commit" "batched" {
  project = pachyderm_project.this.name
  repo    = data.pachyderm_branch.batched.repo
  id      = data.pachyderm_branch.batched.head
}
output "seen" {
  value = {
    version  = data.pachyderm_cluster.this.version
    auth     = data.pachyderm_cluster.this.auth_active
    projects = data.pachyderm_projects.this.names
    repos    = data.pachyderm_repos.this.ids
    head     = data.pachyderm_branch.batched.head
    state    = data.pachyderm_commit.batched.state
  }
}
`, project, repo, branch) + more
}

// derived is a branch that has batched in its provenance.
const derived = `
resource "pachyderm_repo" "derived" {
  project = pachyderm_project.this.name
  name    = "derived"
}
resource "pachyderm_branch" "derived" {
  project    = pachyderm_project.this.name
  repo       = pachyderm_repo.derived.name
  name       = "master"
  provenance = [{ repo = "events", branch = pachyderm_branch.batched.name }]
}
`

// TestTriggerOlderThanItsBranch changes the trigger of the oldest branch of a
// repo. Sent as it is, 2.6 would never answer, and be busy for ever.
func TestTriggerOlderThanItsBranch(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	project := newProject(t, c)
	branches := [][]string{{"create", "branch", "events@batched", "--trigger", "master", "--trigger-commits", "1"}, {"create", "branch", "events@master"}}
	if !before(t, c, 2, 9) { // they refuse a trigger on a branch that is missing
		slices.Reverse(branches)
	}
	for _, args := range append([][]string{{"create", "repo", "events"}}, branches...) {
		if _, err := c.Pachctl(t.Context(), append(args, "--project", project)...); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorkspace(t, c)
	config := func(lines string) string {
		return requirements + fmt.Sprintf("provider \"pachyderm\" {\n  default_project = %q\n  request_timeout = \"20s\"\n}\n"+`
resource "pachyderm_branch" "batched" {
  repo = "events"
  name = "batched"
  %s
}
`, project, lines)
	}
	if err := w.Write("main.tf", config(`trigger = { branch = "master", commits = 1 }`)); err != nil {
		t.Fatal(err)
	}
	if err := w.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Import(t.Context(), "pachyderm_branch.batched", "events@batched"); err != nil {
		t.Fatal(err)
	}
	planIsEmpty(t, w)
	for _, lines := range []string{`trigger = { branch = "master", commits = 2 }`, `trigger = { branch = "master", size = "1GB", commits = 3, all = true }`, ``} {
		if err := applyConfig(t.Context(), w, config(lines)); err != nil {
			t.Fatal(err)
		}
		planIsEmpty(t, w)
	}
}

// TestObjects creates what is around a spout, changes it, imports it, and
// destroys it; with data in it, not before it was told to.
func TestObjects(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	w := newWorkspace(t, c)
	address, err := pachyderm.ParseAddress(c.Address())
	if err != nil {
		t.Fatal(err)
	}
	client, err := pachyderm.Connect(pachyderm.Options{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const project = "objects"
	batched := pachyderm.BranchID{Project: project, Repo: "events", Name: "batched"}
	inspect := func() *pachyderm.BranchInfo {
		t.Helper()
		b, err := client.InspectBranch(t.Context(), batched)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	apply := func(repo, branch, more string) {
		t.Helper()
		if err := applyConfig(t.Context(), w, objectsConfig(project, repo, branch, more)); err != nil {
			t.Fatal(err)
		}
		planIsEmpty(t, w)
	}
	trigger := `trigger = { branch = "master", commits = 2, size = "1GB" }`
	apply(`description = "what happened"`, trigger, derived)
	outputs, err := w.Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var seen map[string]any
	if err := json.Unmarshal(outputs["seen"].Value, &seen); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(seen["version"], seen["auth"], seen["projects"], seen["repos"], seen["state"], seen["head"]); got !=
		fmt.Sprint(c.Version(), false, []string{project}, []string{project + "/events"}, "finished", inspect().Head) {
		t.Errorf("the data sources say %s", got)
	}

	// The trigger does what it is for: with four commits it moves twice. The
	// empty one that a branch begins with counts in older versions.
	moved := 3
	if before(t, c, 2, 9) {
		moved = 2
	}
	master := client.Branch(project, "events", "master")
	var commits []string
	for _, name := range []string{"a", "b", "c", "d"} {
		if _, err := c.PachctlInput(t.Context(), name, "put", "file", "events@master:/"+name, "--project", project); err != nil {
			t.Fatal(err)
		}
		head, err := master.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := master.WaitFinished(t.Context(), head.ID); err != nil {
			t.Fatal(err)
		}
		commits = append(commits, head.ID)
	}
	await(t, "the trigger moves the branch twice", func() (bool, error) {
		head := inspect().Head
		return head == commits[moved], fmt.Errorf("the branch is at %s, and the commits are %v", head, commits)
	})
	if err := w.Refresh(t.Context()); err != nil { //nolint:staticcheck // the outputs have changed
		t.Fatal(err)
	}
	planIsEmpty(t, w)

	// Without the trigger it stays: read by others, and then not.
	apply("", "", derived)
	if b := inspect(); b.Head != commits[moved] || b.Trigger != nil || len(b.Readers) != 1 {
		t.Errorf("without the trigger: %+v", b)
	}
	apply("", `trigger = { branch = "master", rate_limit_spec = "@hourly", all = true }`, "")
	apply("", "", "")
	if b := inspect(); b.Head != commits[moved] || b.Trigger != nil || len(b.Readers) != 0 {
		t.Errorf("without the trigger and readers: %+v", b)
	}
	switch err := applyConfig(t.Context(), w, objectsConfig(project, "", `trigger = { branch = "master", cron_spec = "@yearly" }`, "")); {
	case before(t, c, 2, 7):
		expectMessage(t, err, "needs Pachyderm 2.7", c.Version())
	case err != nil:
		t.Error(err)
	default:
		planIsEmpty(t, w)
		apply("", "", "")
	}
	// Moved back, and let go again.
	apply("", fmt.Sprintf("head = %q", commits[1]), "")
	if b := inspect(); b.Head != commits[1] {
		t.Errorf("the head is %s, not %s", b.Head, commits[1])
	}
	apply("", "", "")

	// Forgotten and imported.
	for address, id := range map[string]string{"pachyderm_project.this": project, "pachyderm_repo.events": project + "/events", "pachyderm_branch.batched": batched.String()} {
		if err := w.StateRm(t.Context(), address); err != nil {
			t.Fatal(err)
		}
		if err := w.Import(t.Context(), address, id); err != nil {
			t.Fatal(err)
		}
	}
	planIsEmpty(t, w)

	// Data are kept.
	expectMessage(t, w.Destroy(t.Context()), "Repo objects/events holds data", "force_destroy = true")
	apply("force_destroy = true", "", "")
	if err := w.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.InspectProject(t.Context(), project); !pachyderm.IsNotFound(err) {
		t.Errorf("after destroy the project is there: %v", err)
	}
}
