// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/figures"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
)

const (
	batchBytes = 64 << 20

	warmUpBytes = 3 * batchBytes
)

// supply is a server that holds the records of a round.
type supply interface {
	// configure sets what a spout must know to read them.
	configure(*settings.Settings)
	// consume reads all of them once more and drops them, by the fastest way
	// that a client has. It returns how many bytes of values these were.
	consume(ctx context.Context) (bytes int, err error)
	close() error
}

// withSecrets is a supply that the runner logs in to. Its pod gets them as plain
// variables: nobody else can read those of these servers.
type withSecrets interface{ secrets() map[string]string }

// supplier starts the supplies of a source.
type supplier struct {
	source string
	// records are the sizes of values to measure with, in bytes, and how near
	// to the slower of putting and consuming ingestion is to come.
	records []recordSize
	// start makes count records of size bytes each, in a stream of that name.
	start func(ctx context.Context, name string, size, count int) (supply, error)
}

type recordSize struct {
	bytes  int
	target float64
}

// suppliers are the sources that are measured. The first names no source in its figures.
var suppliers = []supplier{
	{source: "kafka", records: []recordSize{{1024, 0.9}, {100, 0.8}}, start: supplyKafka},
	{source: "nats", records: []recordSize{{1024, 0.7}}, start: supplyNATS},
	{source: "postgres", records: []recordSize{{1024, 0.7}, {100, 0.7}}, start: supplyPostgres},
	{source: "rabbitmq", records: []recordSize{{1024, 0.7}, {100, 0.7}}, start: supplyStreams},
	{source: "rabbitmq_queue", records: []recordSize{{1024, 0.7}}, start: supplyQueue},
	{source: "webhook", records: []recordSize{{1024, 0.7}, {100, 0.7}}, start: supplyWebhook},
}

// endToEnd compares ingestion with each of the two things that it is made of:
// consuming the records, and putting as many bytes into a repo.
func (p supplier) endToEnd(ctx context.Context, b *bench) ([]figures.Figure, error) {
	d, err := b.deployment(ctx)
	if err != nil {
		return nil, err
	}
	// What comes first pays for empty caches and new tables, and does not count.
	if _, err := d.round(ctx, p, "bench-warm-up", p.records[0].bytes, warmUpBytes); err != nil {
		return nil, err
	}
	var measured []figures.Figure
	for _, c := range p.records {
		var all []rates
		for round := range b.rounds {
			r, err := d.round(ctx, p, fmt.Sprintf("bench-%d-%d", c.bytes, round), c.bytes, b.mib<<20)
			if err != nil {
				return nil, err
			}
			fmt.Printf("%d B records, round %d: end to end %.1f MB/s, plain put %.1f MB/s, consuming alone %.1f MB/s\n",
				c.bytes, round+1, r.endToEnd, r.put, r.consume)
			all = append(all, r)
		}
		of := func(value func(rates) float64) float64 {
			var values []float64
			for _, r := range all {
				values = append(values, value(r))
			}
			return figures.Median(values)
		}
		name := fmt.Sprintf("_%dB", c.bytes)
		if p.source != suppliers[0].source {
			name += "_" + p.source
		}
		ratio := of(func(r rates) float64 { return r.endToEnd / min(r.put, r.consume) })
		measured = append(measured,
			figures.Figure{Name: "end_to_end" + name, Value: of(func(r rates) float64 { return r.endToEnd }), Better: figures.Higher, Unit: "MB/s"},
			figures.Figure{Name: "plain_put" + name, Value: of(func(r rates) float64 { return r.put }), Better: figures.Higher, Unit: "MB/s"},
			figures.Figure{Name: "consume_and_drop" + name, Value: of(func(r rates) float64 { return r.consume }), Better: figures.Higher, Unit: "MB/s"},
			figures.Figure{Name: "end_to_end_to_slower" + name, Value: ratio, Target: figures.Target(c.target), Better: figures.Higher, Unit: "ratio"})
	}
	return measured, nil
}

// rates are what one round has measured, in MB (1e6 bytes) of file content a second.
type rates struct{ endToEnd, put, consume float64 }

// round ingests size bytes of records, puts as many bytes plainly, and
// consumes the records again and drops them.
func (d *deployment) round(ctx context.Context, p supplier, name string, record, size int) (r rates, err error) {
	supply, err := p.start(ctx, name, record, size/record)
	if err != nil {
		return r, fmt.Errorf("start %s: %w", p.source, err)
	}
	defer func() { err = errors.Join(err, supply.close()) }()
	s := settings.Default()
	s.Source = p.source
	supply.configure(&s)
	s.Batch.MaxBytes = batchBytes
	s.HTTPPort = 0
	if r.endToEnd, err = d.ingest(ctx, s, supply, name, size/record); err != nil {
		return r, err
	}
	// Through a sidecar, as the runner writes; other bytes, as Pachyderm keeps equal chunks once.
	address, stopSidecar, err := d.StartSidecar(ctx, pachyderm.DefaultProject, name)
	if err != nil {
		return r, err
	}
	defer stopSidecar()
	if r.put, err = d.plainPut(ctx, address, name+"-put", size+size/record); err != nil {
		return r, err
	}
	if err := errors.Join(d.deleteSpout(ctx, name), d.deleteRepo(ctx, name+"-put")); err != nil {
		return r, err
	}
	began := time.Now()
	bytes, err := supply.consume(ctx)
	r.consume = float64(bytes+size/record) / 1e6 / time.Since(began).Seconds() // with a newline each, as in a file
	return r, err
}

// fill makes text that no storage can shrink much.
func fill(random *rand.Rand, text []byte) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	for i := 0; i < len(text); i += 10 {
		bits := random.Uint64()
		for j := i; j < min(i+10, len(text)); j++ {
			text[j] = letters[bits&63]
			bits >>= 6
		}
	}
}

// ingest runs a spout in its pod until all records are in FINISHED commits. The
// time is Pachyderm's own, from the commit that fixes the start to the last.
func (d *deployment) ingest(ctx context.Context, s settings.Settings, from supply, name string, records int) (rate float64, err error) {
	env := s.Environment()
	if login, ok := from.(withSecrets); ok {
		maps.Copy(env, login.secrets())
	}
	branch, err := d.createSpout(ctx, name, s.OutputBranch, env)
	if err != nil {
		return 0, err
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	seen := ""
	for {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-ticker.C:
		}
		last, _, err := ingest.LastCommit(ctx, branch)
		if err != nil {
			return 0, err
		}
		if last == nil || last.ID == seen {
			continue // looking at all commits each time would take from what is measured
		}
		seen = last.ID
		if rate, done, err := measure(ctx, branch, seen, int64(records)); err != nil || done {
			return rate, err
		}
	}
}

// measure computes the rate once all records are in commits up to the last one.
func measure(ctx context.Context, branch *pachyderm.Branch, last string, records int64) (rate float64, done bool, err error) {
	var bytes, count int64
	var began, ended time.Time // the last batch is left out: it waits for its age
	var problem error
	err = branch.Ancestry(ctx, last, func(c *pachyderm.Commit) bool {
		d, ours, err := spoutcommit.ParseDescription(c.Description)
		if err != nil || !ours || c.Error != "" {
			problem = err
			return err == nil
		}
		count += d.Written
		switch {
		case d.Reason == spoutcommit.ReasonStart:
			began = c.Finished
		case d.Reason == spoutcommit.ReasonBytes || d.Reason == spoutcommit.ReasonWindow:
			bytes += d.Bytes
			if ended.IsZero() {
				ended = c.Finished
			}
		}
		return true
	})
	if err := errors.Join(err, problem); err != nil {
		return 0, false, err
	}
	switch {
	case count > records:
		return 0, false, fmt.Errorf("%d records in the commits, produced %d", count, records)
	case count < records:
		return 0, false, nil
	}
	return float64(bytes) / 1e6 / ended.Sub(began).Seconds(), true, nil
}
