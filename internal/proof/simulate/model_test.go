// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/pages"
)

var measured = Costs{Storage: 80e6, Read: 800e6, Commit: 40 * time.Millisecond, File: 300 * time.Microsecond}

// What one pod can take needs one shard, and twice that needs more.
func TestPlan(t *testing.T) {
	t.Parallel()
	load := Load{Rate: 40e6, Partitions: 100, MaxBytes: 64 << 20, MaxAge: 30 * time.Second, Peak: 1.5, Outage: time.Hour}
	one, ok := Plan(load, measured)
	if !ok || one.Shards != 1 || math.Abs(one.Utilisation-0.5) > 0.01 || one.CatchUp.Round(time.Minute) != time.Hour {
		t.Errorf("%+v", one)
	}
	load.Rate = 1e9
	many, ok := Plan(load, measured)
	if !ok || many.Shards < 20 || many.Shards > 25 || many.Utilisation*load.Peak > busy {
		t.Errorf("%+v", many)
	}
	load.Partitions = 4
	if r, ok := Plan(load, measured); ok {
		t.Errorf("4 partitions of 250 MB/s: %+v", r)
	}
}

// A quiet stream's records wait for max_age, half of it in the middle, and a
// commit; its commits are as many as max_age allows.
func TestQuiet(t *testing.T) {
	t.Parallel()
	load := Load{Rate: 1000, Partitions: 1, MaxBytes: 64 << 20, MaxAge: 10 * time.Second, Peak: 1, Outage: time.Hour}
	r, ok := Plan(load, measured)
	if !ok || r.Commits != 8640 || r.Files != 8640 || (r.Median-5*time.Second).Abs() > 300*time.Millisecond || (r.Worst-10*time.Second).Abs() > 100*time.Millisecond {
		t.Errorf("%+v", r)
	}
}

// Files that take Pachyderm longer than the bytes do decide.
func TestManyPartitions(t *testing.T) {
	t.Parallel()
	load := Load{Rate: 10e6, Partitions: 10_000, MaxBytes: 64 << 20, MaxAge: 2 * time.Second, Peak: 1, Outage: time.Hour}
	r, ok := Plan(load, measured)
	if !ok || r.Shards != 2 {
		t.Errorf("%+v", r)
	}
}

// The guide says what the command says.
func TestGuide(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../templates/guides/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	load := Load{Rate: 954 << 20, Peak: 1.5, Partitions: 10_000, MaxBytes: 64 << 20, MaxAge: 30 * time.Second, Outage: time.Hour}
	r, ok := Plan(load, command{}.costs(guide))
	want := fmt.Sprintf("says %d shards, of up to %d partitions each, and about %.0f million files a day", r.Shards, r.Partitions, math.Round(r.Files/1e7)*10)
	if !ok || !strings.Contains(string(text), want) {
		t.Errorf("the guide does not say: %s", want)
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	c := command{Rate: 1 << 30, Peak: 1.5, Partitions: 10_000, MaxBytes: 64 << 20, MaxAge: 30 * time.Second, Outage: time.Hour, Figures: "none.json"}
	if err := c.run(&out); err != nil || !strings.Contains(out.String(), "of the guide") || strings.Contains(out.String(), "%!") {
		t.Errorf("%s, %v", out.String(), err)
	}
	c.Partitions = 1
	if err := c.run(&out); err == nil || !strings.Contains(err.Error(), "more partitions") {
		t.Error(err)
	}
}

// The pages' commands say something.
func TestCommandsOfThePages(t *testing.T) {
	t.Parallel()
	commands, err := pages.Commands("../../..")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, shown := range commands {
		if len(shown.Words) < 3 || shown.Words[1] != "simulate" {
			continue
		}
		tried++
		var c command
		if _, err := kong.Must(&c).Parse(strings.Fields(strings.TrimPrefix(shown.Words[2], "ARGS="))); err != nil {
			t.Fatalf("%s: %v", shown, err)
		}
		var out strings.Builder
		c.Figures = "none.json" // those of the guide
		if err := c.run(&out); err != nil || !strings.Contains(out.String(), "shards") {
			t.Errorf("%s: %v, %s", shown, err, out.String())
		}
	}
	if tried < 2 {
		t.Errorf("%d commands", tried)
	}
}
