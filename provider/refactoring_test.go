// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// Another address, and no address any more, change nothing in Pachyderm.
func TestRefactoring(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	nothingSent := func(config string) resource.TestStep {
		writes := 0
		return resource.TestStep{
			PreConfig:        func() { writes = s.Writes() },
			Config:           withProvider(s, config),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			PostApplyFunc: func() {
				if s.Writes() != writes {
					t.Errorf("something was sent for %s", config)
				}
			},
		}
	}
	each := `
resource "pachyderm_spout" "each" {
  for_each = toset(["orders"])
  name     = each.key
  ` + kafkaLines + `
}
`
	unitTest(t,
		resource.TestStep{Config: withProvider(s, spoutConfig())},
		nothingSent(each+"moved {\n  from = pachyderm_spout.test\n  to   = pachyderm_spout.each[\"orders\"]\n}\n"),
		// What Terraform is told not to look at, it does not change.
		resource.TestStep{
			Config:           withProvider(s, spoutConfig(`description = "other"`, "lifecycle {\n ignore_changes = [description]\n}")+"moved {\n  from = pachyderm_spout.each[\"orders\"]\n  to   = pachyderm_spout.test\n}\n"),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
		},
		resource.TestStep{Config: withProvider(s, "removed {\n  from = pachyderm_spout.test\n  lifecycle {\n    destroy = false\n  }\n}\n")},
	)
	if p := inspect(t, s, orders); p.Version != 1 || p.Stopped {
		t.Errorf("the spout is at version %d, stopped: %v", p.Version, p.Stopped)
	}
}
