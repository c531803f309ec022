// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/figures"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// filesOfCommit is how many files a commit has whose cost is mostly theirs.
const filesOfCommit = 10_000

// byKey are commits of records that go into a file by their key.
var byKey = grows{files: filesOfCommit, records: 5 * filesOfCommit, keys: filesOfCommit, change: func(s *settings.Settings) {
	if err := s.File.Path.UnmarshalText([]byte("{key}/{topic}/{partition}/{first_offset}.{ext}")); err != nil {
		panic(err) // it is a path
	}
	s.Batch.MaxRecords, s.Batch.MaxFiles = 5*filesOfCommit, 2*filesOfCommit
}}

// manyFilesShare measures what the runner takes of the processor time of
// commits with thousands of files, and its memory.
func manyFilesShare(ctx context.Context, b *bench) (measured []figures.Figure, err error) {
	d, err := b.deployment(ctx)
	if err != nil {
		return nil, err
	}
	for _, kind := range []struct {
		name string
		grows
	}{{"keys", byKey}, {"raw", ofFiles(filesOfCommit)}} {
		s, peak, err := d.shareOf(ctx, "bench-files-"+kind.name, kind.grows)
		if err != nil {
			return nil, err
		}
		fmt.Printf("%s: %v; %d MiB of memory in the runner\n", kind.name, s, peak>>20)
		measured = append(measured,
			figures.Figure{Name: "files_runner_share_" + kind.name, Value: s.processor(shareRunner) / s.processor(""), Target: figures.Target(0.2), Better: figures.Lower, Unit: "ratio"},
			figures.Figure{Name: "files_memory_to_budget_" + kind.name, Value: float64(peak) / float64(settings.Default().MemoryBudget), Target: figures.Target(1.25), Better: figures.Lower, Unit: "ratio"},
			figures.Figure{Name: "files_processor_per_file_" + kind.name, Value: s.processor("") / filesOfCommit * 1e3, Better: figures.Lower, Unit: "µs"})
	}
	return measured, nil
}

// shareOf has a spout make commits, and returns what they have cost, but for
// the first, and the most memory that its runner has had.
func (d *deployment) shareOf(ctx context.Context, name string, what grows) (s stretch, peak int64, err error) {
	const commits = 5
	g, err := d.newGrower(ctx, name, commits, what)
	if err != nil {
		return s, 0, err
	}
	list, err := g.watch(ctx, commits, commits-1)
	if err != nil {
		return s, 0, err
	}
	pids, err := d.UserCodePIDs(pachyderm.DefaultProject, name)
	if err != nil || len(pids) == 0 {
		return s, 0, fmt.Errorf("the runner of %s has ended: %w", name, err)
	}
	if peak, err = rsstest.Peak(pids[0]); err != nil {
		return s, 0, err
	}
	return stretch{from: list[0].from, to: list[len(list)-1].to, files: what.files}, peak, g.stop(ctx)
}
