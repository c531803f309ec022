// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"fmt"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// TestConformance runs the suite that the fake pachd passes on the real one:
// it is the reason to believe the fake.
func TestConformance(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	pachtest.Conformance(t, pachtest.Target{
		Version: c.Version(), Address: c.Address(), Prefix: "conformance",
		Sidecar: func(project, pipeline string) string {
			address, stop, err := c.StartSidecar(t.Context(), project, pipeline)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
			return address
		},
	})
}

// before says whether the cluster runs a Pachyderm that is older than a release.
func before(t *testing.T, c *cluster.Cluster, major, minor uint32) bool {
	t.Helper()
	var v pachyderm.Version
	if _, err := fmt.Sscanf(c.Version(), "%d.%d.%d", &v.Major, &v.Minor, &v.Micro); err != nil {
		t.Fatalf("version %q: %v", c.Version(), err)
	}
	return v.Before(major, minor)
}
