// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes && linux

package kubernetes

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/crash"
)

// TestCrash does rounds of the crash campaign in which Kubernetes deletes or
// evicts the pod in the midst of a commit, drains its node, or is itself started
// again: nothing is lost, doubled or out of order. "make crash LAB=kubernetes"
// does those of all faults.
func TestCrash(t *testing.T) {
	const rounds = 8
	c := cluster.Start(t)
	dir := t.TempDir()
	runner, err := artifacts.Runner(t.Context(), filepath.Join(dir, "image"), providerVersion)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetImage(crash.Image, filepath.Dir(runner)); err != nil {
		t.Fatal(err)
	}
	broker, err := artifacts.Broker(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	result, err := crash.Run(t.Context(), crash.Options{Cluster: c, Runner: runner, Source: "kafka", Broker: broker, Dir: dir,
		Seed: rand.Uint64N(1e9), Rounds: rounds, Faults: regexp.MustCompile("^(the pod|the node|a restart of (the kubelet|the API server|Kubernetes))"), Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(result)
	if !result.OK() || result.Rounds != rounds || result.Records == 0 {
		t.Errorf("%s\n%v", result, result.Problems)
	}
}
