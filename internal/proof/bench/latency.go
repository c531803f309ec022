// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/figures"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
)

const (
	linger        = 500 * time.Millisecond // the spout's batch.max_age
	singleRecords = 15
	smallCommits  = 15
	manyFiles     = 1000 // in a commit, for what each costs
)

// latency measures how long a single record on an idle topic takes until it
// is in a FINISHED commit, beyond the linger, in small commits' time.
func latency(ctx context.Context, b *bench) ([]figures.Figure, error) {
	const name = "bench-latency"
	d, err := b.deployment(ctx)
	if err != nil {
		return nil, err
	}
	broker, err := kafkatest.Start(1, kafkatest.Topic{Name: name, Partitions: partitions})
	if err != nil {
		return nil, err
	}
	defer broker.Stop()
	s := settings.Default()
	s.Kafka.Brokers, s.Kafka.Topics = broker.Addresses(), []string{name}
	s.Batch.MaxAge = settings.Duration(linger)
	s.HTTPPort = 0
	branch, err := d.createSpout(ctx, name, s.OutputBranch, s.Environment())
	if err != nil {
		return nil, err
	}
	delays, err := sendOneByOne(ctx, broker, branch, name)
	if err != nil {
		return nil, err
	}
	if err := d.deleteSpout(ctx, name); err != nil {
		return nil, err
	}
	small, err := d.timeCommits(ctx, name+"-small", 1)
	if err != nil {
		return nil, err
	}
	large, err := d.timeCommits(ctx, name+"-files", manyFiles)
	if err != nil {
		return nil, err
	}
	file := (large - small) / (manyFiles - 1)
	fmt.Printf("single record: median %v, worst %v, with a linger of %v; a small commit: %v; each file more: %v\n",
		figures.Median(delays).Round(time.Millisecond), slices.Max(delays).Round(time.Millisecond), linger, small.Round(time.Millisecond), file.Round(time.Microsecond))
	beyond := func(delay time.Duration) float64 { return float64(delay-linger) / float64(small) }
	return []figures.Figure{
		{Name: "small_commit", Value: small.Seconds() * 1e3, Better: figures.Lower, Unit: "ms"},
		{Name: "file_in_commit", Value: file.Seconds() * 1e3, Better: figures.Lower, Unit: "ms"},
		{Name: "single_record", Value: figures.Median(delays).Seconds() * 1e3, Better: figures.Lower, Unit: "ms"},
		{Name: "single_record_beyond_linger", Value: beyond(figures.Median(delays)), Target: figures.Target(3), Better: figures.Lower, Unit: "small commits"},
		{Name: "single_record_beyond_linger_worst", Value: beyond(slices.Max(delays)), Better: figures.Lower, Unit: "small commits"},
	}, nil
}

// sendOneByOne produces records, each once the one before is in a FINISHED
// commit, and returns how long each took.
func sendOneByOne(ctx context.Context, broker *kafkatest.Broker, branch *pachyderm.Branch, topic string) (delays []time.Duration, err error) {
	for i := range singleRecords + 1 {
		began := time.Now()
		if err := broker.Produce(ctx, nil, &kgo.Record{Topic: topic, Value: []byte(fmt.Sprintf("record %d", i))}); err != nil {
			return nil, err
		}
		finished, err := awaitRecords(ctx, branch, int64(i+1), 20*time.Millisecond)
		if err != nil {
			return nil, err
		}
		if i > 0 { // the pod starts before the first
			delays = append(delays, finished.Sub(began))
		}
	}
	return delays, nil
}

// awaitRecords returns when Pachyderm has finished the commit that reaches a
// number of records. It looks every so often.
func awaitRecords(ctx context.Context, branch *pachyderm.Branch, records int64, every time.Duration) (time.Time, error) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		last, d, err := ingest.LastCommit(ctx, branch)
		if err != nil {
			return time.Time{}, err
		}
		if last != nil && reached(d, records) {
			return last.Finished, nil
		}
		select {
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case <-ticker.C:
		}
	}
}

// timeCommits returns the median time of a commit of small files, as Pachyderm's
// own calls make it: start, put, finish, and wait until FINISHED.
func (d *deployment) timeCommits(ctx context.Context, name string, count int) (time.Duration, error) {
	if err := d.createRepo(ctx, name); err != nil {
		return 0, err
	}
	branch := d.client.Branch(pachyderm.DefaultProject, name, "master")
	var times []time.Duration
	for i := range smallCommits {
		began := time.Now()
		id, err := branch.Start(ctx, "")
		if err != nil {
			return 0, err
		}
		files, err := branch.NewFileSet(ctx)
		if err != nil {
			return 0, err
		}
		for n := range count {
			if err := files.Put(fmt.Sprintf("/%d/%d.txt", i, n), []byte("record\n")); err != nil {
				return 0, err
			}
		}
		set, err := files.Close()
		if err == nil {
			err = branch.AddFileSet(ctx, id, set)
		}
		if err := errors.Join(err, branch.Finish(ctx, id, "")); err != nil {
			return 0, err
		}
		commit, err := branch.WaitFinished(ctx, id)
		if err != nil {
			return 0, err
		}
		times = append(times, commit.Finished.Sub(began))
	}
	return figures.Median(times), d.deleteRepo(ctx, name)
}
