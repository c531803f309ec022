// SPDX-License-Identifier: Apache-2.0

// Command bench measures the provider with the real command line of Terraform,
// on a server that takes 5 ms for each call, and prints ratios to what
// Terraform and pachctl need themselves, since absolute figures depend on the
// machine. It also puts them into bench.json, one object a figure.
//
//	make bench
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/figures"
)

// providerVersion is what the provider is installed as.
const providerVersion = "0.1.0"

// bench is what all measurements need.
type bench struct {
	dir      string
	cli      terraformcli.CLI
	provider string // binary
	idle     string // binary of the provider that does nothing
	pachctl  string // binary
	options
}

type options struct {
	spouts  int           // in the state of refresh and plan
	creates int           // by one apply, and by pachctl one after the other
	latency time.Duration // of each call
	rounds  int           // the median counts
}

func main() {
	var o options
	flag.IntVar(&o.spouts, "spouts", 1000, "spouts in the state that is refreshed and planned")
	flag.IntVar(&o.creates, "creates", 100, "spouts that are created")
	flag.DurationVar(&o.latency, "latency", 5*time.Millisecond, "time that the server takes for each call")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; the median counts")
	real := flag.Bool("real", true, "create spouts on a real Pachyderm, too")
	only := flag.String("run", "", "measure only what this regular expression matches: start, plan, create, real, and shortcuts, which nothing else measures")
	output := flag.String("output", "bench.json", "file for the figures")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, *real, *only, *output); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, onReal bool, pattern, output string) (err error) {
	wanted, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	b := &bench{options: o}
	if b.dir, err = os.MkdirTemp("", "provider-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := b.build(ctx); err != nil {
		return err
	}
	var measured []figures.Figure
	for _, m := range []struct {
		name    string
		measure func(context.Context) ([]figures.Figure, error)
	}{{"start", b.start}, {"plan", b.plan}, {"create", b.create}, {"real", b.createOnReal}, {"shortcuts", b.shortcuts}} {
		if !wanted.MatchString(m.name) || m.name == "real" && !onReal || m.name == "shortcuts" && pattern == "" {
			continue
		}
		f, err := m.measure(ctx)
		if err != nil {
			return err
		}
		measured = append(measured, f...)
	}
	all, err := figures.Save(output, measured)
	if err != nil {
		return err
	}
	fmt.Printf("\n%s %s, %d spouts, %v a call, median of %d rounds\n", b.cli.Product, b.cli.Version, o.spouts, o.latency, o.rounds)
	figures.Print(os.Stdout, all)
	return nil
}

func (b *bench) build(ctx context.Context) (err error) {
	if b.cli, err = terraformcli.Find(ctx, os.Stderr); err != nil {
		return err
	}
	if b.provider, err = artifacts.Provider(ctx, b.dir, providerVersion); err != nil {
		return err
	}
	if b.idle, err = artifacts.IdleProvider(ctx, b.dir, providerVersion); err != nil {
		return err
	}
	programs, err := cluster.FindPrograms(ctx, os.Stderr)
	b.pachctl = programs.Dir + "/pachctl"
	return err
}

// processor returns the processor time, in seconds, of all programs that were
// started and have ended, and of those that they started.
func processor() float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &r); err != nil {
		panic(err) // it has no way to fail
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
}

// timed returns how long do took, in seconds.
func timed(do func() error) (float64, error) {
	began := time.Now()
	err := do()
	return time.Since(began).Seconds(), err
}
