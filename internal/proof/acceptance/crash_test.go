// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/crash"
)

// TestCrash does a few rounds of the crash campaign; "make crash" does more.
// It is not parallel: a round may restart what all tests need.
func TestCrash(t *testing.T) {
	const rounds = 6
	c := cluster.Start(t)
	if err := c.SetImage(crash.Image, built.image); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	broker, err := artifacts.Broker(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	result, err := crash.Run(t.Context(), crash.Options{Cluster: c, Runner: built.image + "/spout-runner", Source: "kafka", Broker: broker, Dir: dir,
		Seed: rand.Uint64N(1e9), Rounds: rounds, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	if !result.OK() || result.Rounds != rounds || result.Records == 0 {
		t.Errorf("%s\n%v", result, result.Problems)
	}
}
