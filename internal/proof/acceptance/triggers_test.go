// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// connect speaks with pachd itself.
func connect(t *testing.T, c *cluster.Cluster) *pachyderm.Client {
	t.Helper()
	address, err := pachyderm.ParseAddress(c.Address())
	if err != nil {
		t.Fatal(err)
	}
	client, err := pachyderm.Connect(pachyderm.Options{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() }) //nolint:errcheck // the test is over
	return client
}

// triggersConfig has a trigger in every place where there can be one, and a
// service. The repo plain has no branch but those that pipelines need.
func triggersConfig(project, batched string) string {
	return requirements + fmt.Sprintf(`
provider "pachyderm" {
  default_project = %q
}
resource "pachyderm_spout" "sensors" {
  name          = "sensors"
  force_destroy = true
  transform     = { image = "debian:12", cmd = ["sleep", "1000000"] }
}
resource "pachyderm_branch" "batched" {
  repo = pachyderm_spout.sensors.output_repo
  name = "batched"
  %s
}
resource "pachyderm_repo" "plain" {
  name = "plain"
}
resource "pachyderm_branch" "hourly" {
  repo    = pachyderm_repo.plain.name
  name    = "hourly"
  trigger = { branch = "live", rate_limit_spec = "@hourly" }
}
resource "pachyderm_pipeline" "triggered" {
  name = "triggered"
  spec = jsonencode({
    transform     = { image = "debian:12", cmd = ["true"] }
    input         = { pfs = { repo = pachyderm_repo.plain.name, glob = "/", trigger = { commits = 2 } } }
    datum_timeout = "1h"
    autoscaling   = false
  })
}
resource "pachyderm_pipeline" "served" {
  name = "served"
  spec = jsonencode({
    transform = { image = "debian:12", cmd = ["sleep", "1000000"] }
    input     = { pfs = { repo = pachyderm_repo.plain.name, glob = "/", branch = "served" } }
    service   = { internalPort = 8080, externalPort = 30990 }
  })
}
`, project, batched)
}

// TestTriggersAreDestroyed: from 2.9 on Pachyderm refuses to delete branches
// that have to do with a trigger, and repos with such branches.
func TestTriggersAreDestroyed(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	client := connect(t, c)
	project := newProject(t, c)
	w := newWorkspace(t, c)
	const trigger = `trigger = { branch = pachyderm_spout.sensors.output_branch, commits = 2 }`
	for _, batched := range []string{trigger, "", trigger} {
		if err := applyConfig(t.Context(), w, triggersConfig(project, batched)); err != nil {
			t.Fatal(err)
		}
		planIsEmpty(t, w)
	}
	if p, err := client.InspectPipeline(t.Context(), pachyderm.PipelineID{Project: project, Name: "served"}); err != nil || p.Version != 1 {
		t.Errorf("the service is at version %d, %v", p.Version, err)
	}
	own := pachyderm.BranchID{Project: project, Repo: "plain", Name: "triggered-trigger-1"}
	if b, err := client.InspectBranch(t.Context(), own); err != nil || b.Trigger == nil {
		t.Errorf("the pipeline's own trigger is %+v, %v", b, err)
	}
	if err := w.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if repos, err := client.ListRepos(t.Context(), project); err != nil || len(repos) > 0 {
		t.Errorf("after destroy there are %v, %v", repos, err)
	}
}

// TestProjectWithTriggersIsDestroyed empties a project that others have filled.
func TestProjectWithTriggersIsDestroyed(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	client := connect(t, c)
	const project = "triggers-all-over"
	w := newWorkspace(t, c)
	config := requirements + fmt.Sprintf("resource \"pachyderm_project\" \"this\" {\n  name          = %q\n  force_destroy = true\n}\n", project)
	if err := applyConfig(t.Context(), w, config); err != nil {
		t.Fatal(err)
	}
	spout := fmt.Sprintf(`{"pipeline":{"name":"s","project":{"name":%q}},"spout":{},"transform":{"image":"debian:12","cmd":["sleep","1000000"]}}`, project)
	reader := fmt.Sprintf(`{"pipeline":{"name":"reader","project":{"name":%q}},"input":{"pfs":{"repo":"s","branch":"batched","glob":"/"}},"transform":{"image":"debian:12","cmd":["true"]}}`, project)
	for _, step := range []struct {
		stdin string
		args  []string
	}{
		{spout, []string{"create", "pipeline", "-f", "-"}},
		{"", []string{"create", "branch", "s@batched", "--trigger", "master", "--trigger-commits", "1", "--project", project}},
		{reader, []string{"create", "pipeline", "-f", "-"}},
		{"", []string{"create", "repo", "r", "--project", project}},
		{"", []string{"create", "branch", "r@master", "--project", project}},
		{"", []string{"create", "branch", "r@batched", "--trigger", "master", "--trigger-commits", "1", "--project", project}},
	} {
		if _, err := c.PachctlInput(t.Context(), step.stdin, step.args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.InspectProject(t.Context(), project); !pachyderm.IsNotFound(err) {
		t.Errorf("after destroy the project is there: %v", err)
	}
}

// TestRestartOfReadTransform: the update stops and starts the spout, and what
// the start leaves is repaired, since the spout's own code does not do so.
func TestRestartOfReadTransform(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	client := connect(t, c)
	project := newProject(t, c)
	w := newWorkspace(t, c)
	config := requirements + fmt.Sprintf(`
resource "pachyderm_spout" "sensors" {
  project       = %[1]q
  name          = "sensors"
  force_destroy = true
  transform     = { image = "debian:12", cmd = ["sleep", "1000000"] }
}
resource "pachyderm_pipeline" "reader" {
  project = %[1]q
  name    = "reader"
  spec = jsonencode({
    transform = { image = "debian:12", cmd = ["true"] }
    input     = { pfs = { repo = pachyderm_spout.sensors.output_repo, glob = "/" } }
  })
}
`, project)
	if err := applyConfig(t.Context(), w, config); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Destroy(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	expect(t, newProtocol(t, c).invoke("pachyderm_restart_spout", map[string]any{"project": project, "name": "sensors"}), "runs, at version 2")
	head, err := client.Branch(project, "sensors", "master").Head(t.Context())
	if err != nil || head.Open() {
		t.Errorf("the head is %+v, %v", head, err)
	}
	planIsEmpty(t, w)
}

// TestSpoutWhereAutoscalingIsTheDefault makes and changes a spout in a project
// whose pipelines scale by themselves.
func TestSpoutWhereAutoscalingIsTheDefault(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	if before(t, c, 2, 10) {
		t.Skip("there are no defaults of projects in Pachyderm ", c.Version())
	}
	project := newProject(t, c)
	defaults := `{"createPipelineRequest":{"autoscaling":true}}`
	if out, err := c.PachctlInput(t.Context(), defaults, "update", "defaults", "--project", project, "-f", "-"); err != nil {
		t.Fatal(out, err)
	}
	w := newWorkspace(t, c)
	for _, more := range []string{"", `description = "new"`, `resource_requests = { memory = "64Mi" }`} {
		config := requirements + fmt.Sprintf(`
resource "pachyderm_spout" "this" {
  project       = %q
  name          = "sensors"
  force_destroy = true
  transform     = { image = "debian:12", cmd = ["sleep", "1000000"] }
  %s
}
`, project, more)
		if err := applyConfig(t.Context(), w, config); err != nil {
			t.Fatal(err)
		}
		planIsEmpty(t, w)
	}
	if got := newProtocol(t, c).invoke("pachyderm_restart_spout", map[string]any{"project": project, "name": "sensors"}); !strings.Contains(got, "runs, at version 4") {
		t.Error(got)
	}
	if err := w.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
}
