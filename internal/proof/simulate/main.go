// SPDX-License-Identifier: Apache-2.0

// Command simulate says how many shards a stream needs, and what they cost and
// how long records take, by costs that "make bench" has measured.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/figures"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

const about = `Says how many shards a stream needs, and what they cost, by measured costs.

The costs are those of bench.json, where "make bench" puts them, or else those
of the machine that the guide "Operations" names. A flag goes before both.`

type command struct {
	Rate       settings.Bytes `default:"100MiB" help:"Bytes a second that the stream has on average (default: ${default})."`
	Peak       float64        `default:"1.5" help:"Rate at peaks, in relation to the average (default: ${default})."`
	Partitions int            `default:"100" help:"Partitions of the stream; each has a file in a batch (default: ${default})."`
	MaxBytes   settings.Bytes `default:"64MiB" help:"batch.max_bytes (default: ${default})."`
	MaxAge     time.Duration  `default:"30s" help:"batch.max_age (default: ${default})."`
	Outage     time.Duration  `default:"1h" help:"Say how long it takes to catch up after this time (default: ${default})."`

	Storage float64       `placeholder:"MB/S" help:"Measured: MB a second that a pod's storage takes (bench: plain_put_1024B)."`
	Read    float64       `placeholder:"MB/S" help:"Measured: MB a second that the runner reads alone (bench: consume_and_drop_1024B)."`
	Commit  time.Duration `placeholder:"TIME" help:"Measured: a commit of one small file (bench: small_commit)."`
	File    time.Duration `placeholder:"TIME" help:"Measured: each file more in a commit (bench: file_in_commit)."`

	Figures string `default:"bench.json" placeholder:"FILE" help:"Figures of \"make bench\" (default: ${default})."`
}

// guide are the costs on the machine of the guide: 2 cores, which runner,
// storage, Pachyderm and source share.
var guide = map[string]float64{"plain_put_1024B": 90, "consume_and_drop_1024B": 800, "small_commit": 135, "file_in_commit": 0.13}

func main() {
	var c command
	kong.Parse(&c, kong.Name("simulate"), kong.Description(about))
	if err := c.run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

func (c command) run(out io.Writer) error {
	measured, from, err := readFigures(c.Figures)
	if err != nil {
		return err
	}
	costs := c.costs(measured)
	load := Load{Rate: float64(c.Rate), Partitions: c.Partitions, MaxBytes: float64(c.MaxBytes), MaxAge: c.MaxAge, Peak: c.Peak, Outage: c.Outage}
	if load.Rate <= 0 || load.Partitions < 1 || load.MaxBytes <= 0 || load.MaxAge <= 0 || load.Peak < 1 || costs.Storage <= 0 || costs.Read <= 0 {
		return errors.New("rate, partitions, max-bytes, max-age, storage and read must be above 0, and peak at least 1")
	}
	r, ok := Plan(load, costs)
	if !ok {
		return fmt.Errorf("no number of shards keeps up: a partition's share of %s a second is more than one pod takes. Spread the stream over more partitions", c.Rate)
	}
	return r.print(out, load, costs, from)
}

func (c command) costs(measured map[string]float64) Costs {
	costs := Costs{Storage: measured["plain_put_1024B"] * 1e6, Read: measured["consume_and_drop_1024B"] * 1e6,
		Commit: seconds(measured["small_commit"] / 1e3), File: seconds(measured["file_in_commit"] / 1e3)}
	if c.Storage != 0 {
		costs.Storage = c.Storage * 1e6
	}
	if c.Read != 0 {
		costs.Read = c.Read * 1e6
	}
	if c.Commit != 0 {
		costs.Commit = c.Commit
	}
	if c.File != 0 {
		costs.File = c.File
	}
	return costs
}

// readFigures returns the measured costs, and where they are from.
func readFigures(path string) (costs map[string]float64, from string, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return guide, "the guide", nil
	}
	var list []figures.Figure
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		return nil, "", fmt.Errorf("figures in %s: %w", path, err)
	}
	costs = map[string]float64{}
	for _, f := range list {
		costs[f.Name] = f.Value
	}
	for name := range guide {
		if _, ok := costs[name]; !ok {
			return nil, "", fmt.Errorf("%s has no %s: run \"make bench\", or give another --figures", path, name)
		}
	}
	return costs, path, nil
}

func (r Result) print(out io.Writer, load Load, costs Costs, from string) error {
	monthCommits, monthFiles := r.after(30)
	yearCommits, yearFiles := r.after(365)
	_, err := fmt.Fprintf(out, `costs, of %s (flags go before)
  storage of a pod          %8.0f MB/s
  reading alone             %8.0f MB/s
  a small commit            %8v
  each file more            %8v

shards                      %8d   with up to %d partitions each
storage in use              %7.0f%%   on average, %.0f%% at peaks
commits a day               %8.0f   %.0f in 30 days, %.0f in a year
files a day                 %8.0f   %.0f in 30 days, %.0f in a year
until a record can be read  %8v   median; %v at most, at peaks
to catch up with %-10v %8v
`, from, costs.Storage/1e6, costs.Read/1e6, costs.Commit.Round(time.Millisecond), costs.File.Round(time.Microsecond),
		r.Shards, r.Partitions, 100*r.Utilisation, 100*r.Utilisation*load.Peak,
		r.Commits, monthCommits, yearCommits, r.Files, monthFiles, yearFiles,
		r.Median.Round(100*time.Millisecond), r.Worst.Round(100*time.Millisecond), load.Outage, r.CatchUp.Round(time.Second))
	return err
}
