// SPDX-License-Identifier: Apache-2.0

// Command bench measures the runner on a real Pachyderm and prints ratios,
// since absolute figures depend on the machine. It also puts them into
// bench.json, one object a figure.
//
//	make bench
//	go run ./internal/proof/bench -run latency
//	LAB=kubernetes go run ./internal/proof/bench -run waking
//
// To add figures, write a function that measures them and list it in
// measurements, or list a source's supply in suppliers; docs/guides/performance explains each.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/figures"
)

// measurement is something that is measured in one go.
type measurement struct {
	name    string // for -run, and in messages
	doc     string // what it measures, in a line
	measure func(ctx context.Context, b *bench) ([]figures.Figure, error)
}

func measurements() []measurement {
	waking := measurement{"waking", "spouts from their creation, and from the end of their runner, to the next FINISHED commit", wakingUp}
	if cluster.WantsKubernetes() {
		return []measurement{waking}
	}
	var list []measurement
	for _, p := range suppliers {
		list = append(list, measurement{"end-to-end " + p.source,
			p.source + " to FINISHED commits, against a plain put and against consuming alone", p.endToEnd})
	}
	return append(list,
		measurement{"end-to-end formats", "JSON to compressed JSON lines, and a registry's Avro to Parquet, to FINISHED commits", formatsEndToEnd},
		measurement{"formats", "processor time a record of the formats, of rules and of a registry's values", formatsTime},
		measurement{"processor", "processor time a record, against franz-go and kafka-go, and with 1,000 partitions", processorTime},
		measurement{"growth", "what commits cost as there get more of them, and whose share it is", growth},
		measurement{"files", "the runner's share, and its memory, with thousands of files in each commit", manyFilesShare},
		waking,
		measurement{"latency", "a single record on an idle topic, until it is in a FINISHED commit", latency})
}

func main() {
	b := &bench{}
	flag.IntVar(&b.mib, "size", 512, "MiB to ingest in each round")
	flag.IntVar(&b.rounds, "rounds", 3, "rounds; the median counts")
	flag.IntVar(&b.commits, "commits", 250, "commits that -run growth makes")
	flag.IntVar(&b.files, "files", 30_000, "files that -run growth makes in larger commits")
	flag.BoolVar(&b.hold, "hold", false, "have -run growth wait at its end until it is interrupted, to look at what it has made")
	pattern := flag.String("run", "", "measure only what this regular expression matches")
	output := flag.String("output", "bench.json", "file for the figures")
	serve := flag.Int("serve", 0, "be a broker with records of so many bytes (what -run processor starts)")
	batch := flag.Int("batch", 1<<20, "bytes of the batches of -serve")
	client := flag.String("consume", "", "be a client (the same): each line on its input begins a turn")
	brokers := flag.String("brokers", "", "brokers of -consume")
	making := flag.String("make", "", "be a maker of files (what -run formats starts): each line on its input begins a turn")
	profile := flag.String("profile", "", "file for a profile of the processor time of -consume and -make")
	count := flag.Int("partitions", partitions, "partitions of -serve and -consume")
	flag.Usage = usage
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case *serve > 0:
		err = beBroker(*serve, *batch, *count)
	case *client != "":
		err = beClient(ctx, *client, strings.Split(*brokers, ","), *count, *profile)
	case *making != "":
		err = beMaker(ctx, *making, *profile)
	default:
		code, ran := cluster.IsolateAfter(ctx, func(dir string) error {
			_, err := artifacts.Runner(ctx, dir, "bench")
			return err
		})
		if ran {
			os.Exit(code)
		}
		err = run(ctx, b, *pattern, *output)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func usage() {
	out := flag.CommandLine.Output()
	fmt.Fprintln(out, "What can be measured:") //nolint:errcheck // help
	for _, m := range measurements() {
		fmt.Fprintf(out, "  %-20s %s\n", m.name, m.doc) //nolint:errcheck // help
	}
	fmt.Fprintln(out, "Flags:") //nolint:errcheck // help
	flag.PrintDefaults()
}

func run(ctx context.Context, b *bench, pattern, output string) (err error) {
	wanted, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	var measured []figures.Figure
	for _, m := range measurements() {
		if !wanted.MatchString(m.name) {
			continue
		}
		fmt.Printf("%s: %s\n", m.name, m.doc)
		got, err := m.measure(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		measured = append(measured, got...)
	}
	if len(measured) == 0 {
		return fmt.Errorf("-run %s: nothing of that name can be measured", pattern)
	}
	fmt.Printf("\n%d cores, %d MiB a round, median of %d rounds\n", runtime.NumCPU(), b.mib, b.rounds)
	all, err := figures.Save(output, measured)
	if err != nil {
		return err
	}
	figures.Print(os.Stdout, all)
	return nil
}
