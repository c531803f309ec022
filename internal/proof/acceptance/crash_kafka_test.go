// SPDX-License-Identifier: Apache-2.0

//go:build acceptance && brokers

package acceptance

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

// TestRealKafkaCrash does the rounds of the crash campaign that TestCrash
// cannot do: an Apache Kafka is killed, and the runner's clock is set.
func TestRealKafkaCrash(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "image")
	runner, err := artifacts.RunnerWithClock(t.Context(), folder, "crash")
	if err != nil {
		t.Fatal(err)
	}
	c := cluster.Start(t)
	if err := c.SetImage(crash.Image, folder); err != nil {
		t.Fatal(err)
	}
	faults := regexp.MustCompile("^(SIGKILL of the source's server|the clock set forward|the clock set back)$")
	const rounds = 6 // each of them twice
	result, err := crash.Run(t.Context(), crash.Options{Cluster: c, Runner: runner, MovableClock: true, Source: "kafka", Dir: dir,
		Seed: rand.Uint64N(1e9), Rounds: rounds, Faults: faults, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	if !result.OK() || result.Rounds != rounds || result.Records == 0 {
		t.Errorf("%s\n%v", result, result.Problems)
	}
}
