// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command cmd runs a crash campaign against a real Pachyderm on this machine;
// see package crash.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kubernetes"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/crash"
)

const about = `Kills, stops, cuts off and fills up a spout that ingests on a real Pachyderm,
round after round, and then compares every commit with what its source holds.

Its last line is "crash: rounds N, records N, lost N, duplicated N, reordered N";
the exit code is 0 only if nothing was wrong.`

type options struct {
	Seed   uint64        `env:"SEED" help:"Decides what happens in which round (default: any)."`
	Rounds int           `env:"ROUNDS" default:"100" help:"Faults, each with its recovery, which takes some seconds (default: 100)."`
	For    time.Duration `env:"FOR" help:"Begin no round after this time, such as 10m (default: do all)."`
	Source string        `env:"SOURCE" default:"kafka" help:"What the spout reads: ${sources} (default: kafka)."`
	Broker string        `env:"BROKER" enum:"kafka,small" default:"kafka" help:"With the source kafka: kafka is a real Apache Kafka, which takes Java 17 and Maven; small is a broker of this project, which cannot be killed, only restarted (default: kafka)."`
	Faults string        `env:"FAULTS" help:"Regular expression of the faults to do, as 'clock|server' (default: all)."`
	Keep   bool          `help:"Keep Pachyderm's logs, and say where."`
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("crash"), kong.Description(about), kong.Vars{"sources": strings.Join(crash.SourceNames(), ", ")})
	if o.Seed == 0 {
		o.Seed = rand.Uint64N(1e9) + 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, ran := cluster.IsolateAfter(ctx, func(dir string) error {
		_ = os.Setenv("SEED", strconv.FormatUint(o.Seed, 10)) // which is chosen
		_, _, err := programs(ctx, o, dir)
		return err
	})
	if ran {
		os.Exit(code)
	}
	result, err := run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
	}
	if result == nil {
		os.Exit(1)
	}
	if err != nil || !result.OK() {
		lab := ""
		if kubernetes.Inside() {
			lab = " LAB=kubernetes"
		}
		fmt.Printf("again: make crash%s SOURCE=%s SEED=%d ROUNDS=%d BROKER=%s FAULTS='%s'\n", lab, o.Source, o.Seed, o.Rounds, o.Broker, o.Faults)
	}
	fmt.Println(result)
	if err != nil || !result.OK() || result.Rounds == 0 || o.For == 0 && result.Rounds < int64(o.Rounds) {
		os.Exit(1)
	}
}

// programs builds the runner, and the broker if it is to be the small one.
func programs(ctx context.Context, o options, dir string) (runner, broker string, err error) {
	if runner, err = artifacts.RunnerWithClock(ctx, filepath.Join(dir, "image"), "crash"); err != nil || o.Broker != "small" {
		return runner, "", err
	}
	broker, err = artifacts.Broker(ctx, dir)
	return runner, broker, err
}

func run(ctx context.Context, o options) (result *crash.Result, err error) {
	faults, err := regexp.Compile(o.Faults)
	if err != nil {
		return nil, fmt.Errorf("FAULTS: %w", err)
	}
	dir, err := os.MkdirTemp("", "spout-crash-")
	if err != nil {
		return nil, err
	}
	runner, broker, err := programs(ctx, o, dir)
	if err != nil {
		return nil, err
	}
	disk, unmount := mountDisk(dir)
	c, err := cluster.New(ctx, cluster.Options{Dir: filepath.Join(dir, "cluster"), Storage: disk, Fast: true, BackOff: cluster.TestOptions.BackOff,
		Images: map[string]string{crash.Image: filepath.Dir(runner)}, Log: os.Stdout})
	if err == nil {
		result, err = crash.Run(ctx, crash.Options{Cluster: c, Runner: runner, MovableClock: true, Source: o.Source, Broker: broker, Dir: dir, Disk: disk,
			Seed: o.Seed, Rounds: o.Rounds, For: o.For, Faults: faults, Log: os.Stdout})
		err = errors.Join(err, c.Stop())
	}
	err = errors.Join(err, unmount())
	if o.Keep {
		fmt.Println("the logs are in", dir)
		return result, err
	}
	return result, errors.Join(err, os.RemoveAll(dir))
}

// mountDisk has Pachyderm keep its data on a small file system, if this
// process may make one.
func mountDisk(dir string) (disk string, unmount func() error) {
	disk = filepath.Join(dir, "storage")
	unmount, err := crash.MountDisk(disk, 1<<30)
	if err != nil {
		fmt.Println("no round will fill the disk:", err)
		return "", func() error { return nil }
	}
	return disk, unmount
}
