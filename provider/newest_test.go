// SPDX-License-Identifier: Apache-2.0

//go:build linux

package provider

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// What only Terraform from 1.14 on has, by its own program: a query finds what
// nobody manages yet and writes its configuration, which is imported by
// identity as it is; and an action is invoked.
func TestQueryImportByIdentityAndAction(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	for _, name := range []string{"orders", "clicks"} {
		id := pachyderm.PipelineID{Project: "default", Name: name}
		if err := client(t, s).CreatePipeline(t.Context(), id, pachyderm.Spec{Image: "busybox", Cmd: []string{"sleep", "3600"}, OutputBranch: "master"}, ""); err != nil {
			t.Fatal(err)
		}
	}
	p := newProcess(t, s, "", nil)
	if p.cli.Product != terraformcli.Terraform || p.cli.Older("1.14.0") {
		t.Skipf("%s %s has no query and no actions", p.cli.Product, p.cli.Version)
	}
	p.write("spouts.tfquery.hcl", "list \"pachyderm_spout\" \"all\" {\n  provider = pachyderm\n}\n")
	if err := contains(p.run(0, "query", "-generate-config-out=found.tf"), "name=clicks,project=default", "name=orders,project=default"); err != nil {
		t.Error(err)
	}
	found, err := os.ReadFile(filepath.Join(p.Dir, "found.tf"))
	if err == nil {
		err = contains(string(found), "identity", `"orders"`)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := contains(p.run(0, "apply", "-auto-approve"), "2 imported, 0 added, 0 changed, 0 destroyed"); err != nil {
		t.Error(err)
	}
	p.run(0, "plan", "-detailed-exitcode")

	p.write("restart.tf", "action \"pachyderm_restart_spout\" \"orders\" {\n  config {\n    name = \"orders\"\n  }\n}\n")
	before := fmt.Sprint(inspect(t, s, orders).Version, count(s, "StopPipeline"))
	p.run(0, "apply", "-auto-approve", "-invoke=action.pachyderm_restart_spout.orders")
	if after := fmt.Sprint(inspect(t, s, orders).Version, count(s, "StopPipeline")); after == before {
		t.Error("the spout was not restarted")
	}
	p.run(0, "plan", "-detailed-exitcode")
}
