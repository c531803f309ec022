// SPDX-License-Identifier: Apache-2.0

// Command bench measures the runner on a real Pachyderm and prints ratios,
// since absolute figures depend on the machine. It also writes bench.json,
// with one object a figure.
//
//	make bench
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
)

// figure is one line of the table, and one object of bench.json.
type figure struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Target float64 `json:"target,omitempty"` // 0 if there is none
	Better string  `json:"better"`           // higher or lower
	Unit   string  `json:"unit"`
}

func main() {
	size := flag.Int("size", 512, "MiB to ingest in each round")
	rounds := flag.Int("rounds", 3, "rounds; the median counts")
	output := flag.String("output", "bench.json", "file for the figures")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *size<<20, *rounds, *output); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, size, rounds int, output string) error {
	b, err := start(ctx)
	if err != nil {
		return err
	}
	defer b.stop()
	var figures []figure
	for _, record := range []int{1024, 100} {
		var ends, puts, ratios []float64
		for round := range rounds {
			end, put, err := b.round(ctx, fmt.Sprintf("bench-%d-%d", record, round), record, size)
			if err != nil {
				return err
			}
			fmt.Printf("%d B records, round %d: end to end %.1f MB/s, plain put %.1f MB/s\n", record, round+1, end, put)
			ends, puts, ratios = append(ends, end), append(puts, put), append(ratios, end/put)
		}
		name := fmt.Sprintf("%dB", record)
		figures = append(figures,
			figure{"end_to_end_" + name, median(ends), 0, "higher", "MB/s"},
			figure{"plain_put_" + name, median(puts), 0, "higher", "MB/s"},
			figure{"end_to_end_to_put_" + name, median(ratios), map[int]float64{1024: 0.9, 100: 0.8}[record], "higher", "ratio"})
	}
	fmt.Printf("\n%d cores, %d MiB a round, median of %d rounds\n", runtime.NumCPU(), size>>20, rounds)
	for _, f := range figures {
		target := ""
		if f.Target != 0 {
			target = fmt.Sprintf("  (target %.2f)", f.Target)
		}
		fmt.Printf("%-28s %8.2f %s%s\n", f.Name, f.Value, f.Unit, target)
	}
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(output, append(text, '\n'), 0o644)
}

func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
