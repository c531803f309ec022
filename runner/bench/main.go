// SPDX-License-Identifier: Apache-2.0

// Command bench measures the runner on a real Pachyderm and prints ratios,
// since absolute figures depend on the machine. It also puts them into
// bench.json, one object a figure.
//
//	make bench
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/figures"
)

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
	var measured []figures.Figure
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
		measured = append(measured,
			figures.Figure{Name: "end_to_end_" + name, Value: figures.Median(ends), Better: figures.Higher, Unit: "MB/s"},
			figures.Figure{Name: "plain_put_" + name, Value: figures.Median(puts), Better: figures.Higher, Unit: "MB/s"},
			figures.Figure{Name: "end_to_end_to_put_" + name, Value: figures.Median(ratios), Target: figures.Target(map[int]float64{1024: 0.9, 100: 0.8}[record]),
				Better: figures.Higher, Unit: "ratio"})
	}
	fmt.Printf("\n%d cores, %d MiB a round, median of %d rounds\n", runtime.NumCPU(), size>>20, rounds)
	all, err := figures.Save(output, measured)
	if err != nil {
		return err
	}
	figures.Print(os.Stdout, all)
	return nil
}
