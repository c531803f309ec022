// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// Terraform's own binary agrees with what the tests over the protocol say:
// everything around a spout is created, updated, imported, generated, read and
// destroyed in the right order.
func TestObjectsWithTerraform(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	config := func(commits, more string) string {
		return withProvider(s, `
resource "pachyderm_project" "test" {
  name        = "team-a"
  description = "Team A"
}
resource "pachyderm_repo" "test" {
  project = pachyderm_project.test.name
  name    = "events"
}
resource "pachyderm_branch" "test" {
  project = pachyderm_repo.test.project
  repo    = pachyderm_repo.test.name
  name    = "batched"
  trigger = { branch = "master", commits = `+commits+`, size = "100MB" }
}
resource "pachyderm_branch" "derived" {
  project    = pachyderm_repo.test.project
  repo       = pachyderm_repo.derived.name
  name       = "master"
  provenance = [{ repo = pachyderm_repo.test.name, branch = pachyderm_branch.test.name }]
}
resource "pachyderm_repo" "derived" {
  project     = pachyderm_project.test.name
  name        = "derived"
  description = "What is made of them"
}
data "pachyderm_branch" "test" {
  project = pachyderm_branch.test.project
  repo    = pachyderm_branch.test.repo
  name    = pachyderm_branch.test.name
}
data "pachyderm_commit" "test" {
  project = data.pachyderm_branch.test.project
  repo    = data.pachyderm_branch.test.repo
  id      = data.pachyderm_branch.test.head
}
data "pachyderm_repos" "test" {
  project    = pachyderm_project.test.name
  name_regex = "^e"
  depends_on = [pachyderm_repo.test]
}
data "pachyderm_cluster" "test" {}
output "seen" {
  value = {
    version  = data.pachyderm_cluster.test.version
    repos    = data.pachyderm_repos.test.ids
    commits  = data.pachyderm_branch.test.trigger.commits
    state    = data.pachyderm_commit.test.state
  }
}
`+more)
	}
	updated := emptyPlan
	updated.PreApply = []plancheck.PlanCheck{plancheck.ExpectResourceAction("pachyderm_branch.test", plancheck.ResourceActionUpdate),
		plancheck.ExpectResourceAction("pachyderm_repo.test", plancheck.ResourceActionNoop)}
	steps := []resource.TestStep{
		{Config: config("3", ""), ConfigPlanChecks: emptyPlan},
		{Config: config("4", ""), ConfigPlanChecks: updated},
	}
	for address, id := range map[string]string{"pachyderm_project.test": "team-a", "pachyderm_repo.test": "team-a/events", "pachyderm_repo.derived": "team-a/derived",
		"pachyderm_branch.test": "team-a/events@batched", "pachyderm_branch.derived": "team-a/derived@master"} {
		steps = append(steps,
			resource.TestStep{ResourceName: address, ImportState: true, ImportStateId: id, ImportStateVerify: true},
			resource.TestStep{ResourceName: address, ImportState: true, ImportStateKind: resource.ImportBlockWithID, ImportStateId: id, GenerateConfig: true})
	}
	unitTest(t, steps...)
	if left := s.Repos("team-a"); len(left) > 0 {
		t.Errorf("after destroy there are %v", left)
	}
}
