// SPDX-License-Identifier: Apache-2.0

// Command bench measures this project on a real Pachyderm and prints ratios,
// since absolute figures depend on the machine. It also writes bench.json,
// with one object a figure.
//
//	make bench
//	make bench ARGS='-run latency'
//
// To add figures, write a function that measures them and list it in
// measurements; docs/guides/performance explains each.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"syscall"
)

// measurement is something that is measured in one go.
type measurement struct {
	name    string // for -run, and in messages
	doc     string // what it measures, in a line
	measure func(ctx context.Context, b *bench) ([]figure, error)
}

var measurements = []measurement{
	{"end-to-end", "Kafka to FINISHED commits, against a plain put and against consuming alone", endToEnd},
	{"latency", "a single record on an idle topic, until it is in a FINISHED commit", latency},
}

// figure is one line of the table, and one object of bench.json.
type figure struct {
	Name   string  `json:"name"` // snake_case; it does not change between releases
	Value  float64 `json:"value"`
	Target float64 `json:"target,omitempty"` // 0 if there is none
	Better string  `json:"better"`           // higher or lower
	Unit   string  `json:"unit"`
}

// What is better.
const (
	higher = "higher"
	lower  = "lower"
)

// misses says whether the figure falls short of its target.
func (f figure) misses() bool {
	return f.Target != 0 && (f.Better == higher && f.Value < f.Target || f.Better == lower && f.Value > f.Target)
}

func main() {
	b := &bench{}
	flag.IntVar(&b.mib, "size", 512, "MiB to ingest in each round")
	flag.IntVar(&b.rounds, "rounds", 3, "rounds; the median counts")
	pattern := flag.String("run", "", "measure only what this regular expression matches")
	output := flag.String("output", "bench.json", "file for the figures")
	flag.Usage = usage
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, b, *pattern, *output); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func usage() {
	out := flag.CommandLine.Output()
	fmt.Fprintln(out, "What can be measured:") //nolint:errcheck // help
	for _, m := range measurements {
		fmt.Fprintf(out, "  %-14s %s\n", m.name, m.doc) //nolint:errcheck // help
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
	var figures []figure
	for _, m := range measurements {
		if !wanted.MatchString(m.name) {
			continue
		}
		fmt.Printf("%s: %s\n", m.name, m.doc)
		got, err := m.measure(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		figures = append(figures, got...)
	}
	if len(figures) == 0 {
		return fmt.Errorf("-run %s: nothing of that name can be measured", pattern)
	}
	fmt.Printf("\n%d cores, %d MiB a round, median of %d rounds\n", runtime.NumCPU(), b.mib, b.rounds)
	table(os.Stdout, figures)
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(output, append(text, '\n'), 0o644)
}

// table prints the figures, and marks those that fall short.
func table(out io.Writer, figures []figure) {
	width := 0
	for _, f := range figures {
		width = max(width, len(f.Name))
	}
	for _, f := range figures {
		line := fmt.Sprintf("%-*s %10.2f %s", width, f.Name, f.Value, f.Unit)
		if f.Target != 0 {
			line += fmt.Sprintf("  (%s is better, target %.2f)", f.Better, f.Target)
		}
		if f.misses() {
			line += "  MISSED"
		}
		fmt.Fprintln(out, line) //nolint:errcheck // the terminal
	}
}

func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
