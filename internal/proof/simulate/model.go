// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Costs are what was measured.
type Costs struct {
	Storage float64       // bytes a second that one pod's sidecar takes
	Read    float64       // bytes a second that the runner reads and encodes alone
	Commit  time.Duration // of a commit with one small file
	File    time.Duration // of each file more
}

// Load is what is to be ingested.
type Load struct {
	Rate       float64 // bytes a second
	Partitions int     // of which each has a file in a batch
	MaxBytes   float64 // of a batch
	MaxAge     time.Duration
	Peak       float64 // rate at peaks, in relation to the average
	Outage     time.Duration
}

// Result is what becomes of it.
type Result struct {
	Shards      int
	Partitions  int           // of the largest shard
	Utilisation float64       // of a shard's storage at the average rate
	Commits     float64       // a day, of all shards
	Files       float64       // a day, of all shards
	Median      time.Duration // from a record's arrival until it can be read
	Worst       time.Duration // the same, of the slowest, at peaks
	CatchUp     time.Duration // after an outage, at the average rate
}

// busy is how much of its time a shard's storage may be used at peaks: the
// rest is for what does not come evenly.
const busy = 0.9

// Plan finds the least number of shards that keep up with the load's peaks. It
// is false if no number does, since a shard is one partition at least.
func Plan(load Load, costs Costs) (Result, bool) {
	for shards := 1; shards <= load.Partitions; shards = grow(shards) {
		if keepsUp(load, costs, shards) {
			for shards > 1 && keepsUp(load, costs, shards-1) { // grow may have gone too far
				shards--
			}
			return simulate(load, costs, shards), true
		}
	}
	return Result{}, false
}

func grow(shards int) int { return shards + max(1, shards/8) }

func keepsUp(load Load, costs Costs, shards int) bool {
	peak := share(load, shards)
	peak.Rate *= load.Peak
	return used(peak, costs) <= busy
}

// share is the load of the largest of some shards.
func share(load Load, shards int) Load {
	most := (load.Partitions + shards - 1) / shards
	load.Rate *= float64(most) / float64(load.Partitions)
	load.Partitions = most
	return load
}

// batch is what one batch of a shard holds and takes.
type batch struct {
	bytes  float64
	files  float64
	fill   time.Duration // while it is read
	upload time.Duration
	commit time.Duration // from StartCommit until it is FINISHED
}

func batchOf(load Load, costs Costs) batch {
	b := batch{bytes: min(load.MaxBytes, load.Rate*load.MaxAge.Seconds()), files: float64(load.Partitions)}
	b.fill = seconds(b.bytes / load.Rate)
	b.upload = seconds(b.bytes / min(costs.Storage, costs.Read))
	b.commit = costs.Commit + time.Duration((b.files-1)*float64(costs.File))
	return b
}

// used is how much of its time a shard needs: the next batch is read and
// uploaded while Pachyderm finishes the last one, so the slower of the two counts.
func used(load Load, costs Costs) float64 {
	b := batchOf(load, costs)
	return max(b.upload, b.commit).Seconds() / b.fill.Seconds()
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// simulate has one shard, the largest, ingest for a while.
func simulate(load Load, costs Costs, shards int) Result {
	one := share(load, shards)
	b := batchOf(one, costs)
	perDay := float64(shards) * float64(24*time.Hour) / float64(b.fill)
	r := Result{Shards: shards, Partitions: one.Partitions, Utilisation: used(one, costs),
		Commits: perDay, Files: perDay * b.files}
	delays := run(one, costs, 200)
	r.Median = delays[len(delays)/2]
	peak := one
	peak.Rate *= load.Peak
	delays = run(peak, costs, 200)
	r.Worst = delays[len(delays)-1]
	if spare := 1 - r.Utilisation; spare > 0 {
		r.CatchUp = seconds(load.Outage.Seconds() * r.Utilisation / spare)
	}
	return r
}

// run lets batches follow each other and returns how long records took, sorted.
// Uploads go on while a batch is filled; commits follow each other.
func run(load Load, costs Costs, batches int) []time.Duration {
	const perBatch = 50 // records that are looked at
	b := batchOf(load, costs)
	var delays []time.Duration
	var uploaded, finished time.Duration // when the storage and the branch are free
	for n := range batches {
		begins, ends := time.Duration(n)*b.fill, time.Duration(n+1)*b.fill
		uploaded = max(ends, max(begins, uploaded)+b.upload)
		finished = max(uploaded, finished) + b.commit
		for i := range perBatch {
			arrives := begins + time.Duration(i)*b.fill/perBatch
			delays = append(delays, finished-arrives)
		}
	}
	slices.SortFunc(delays, cmp.Compare)
	return delays
}

// after is what a number of days of commits and files amount to.
func (r Result) after(days int) (commits, files float64) {
	return math.Round(r.Commits * float64(days)), math.Round(r.Files * float64(days))
}
