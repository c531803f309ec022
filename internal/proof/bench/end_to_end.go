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
	// to the slower of putting and consuming ingestion is to come, 0 if that
	// has no target.
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
	// Of small messages, a queue does not give as many before it is answered as
	// make a batch, and a node takes as much of the machine as Pachyderm does.
	{source: "rabbitmq_queue", records: []recordSize{{8192, 0.7}, {1024, 0}}, start: supplyQueue},
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
		var target *float64
		if c.target > 0 {
			target = figures.Target(c.target)
		}
		measured = append(measured,
			figures.Figure{Name: "end_to_end" + name, Value: of(func(r rates) float64 { return r.endToEnd }), Better: figures.Higher, Unit: "MB/s"},
			figures.Figure{Name: "plain_put" + name, Value: of(func(r rates) float64 { return r.put }), Better: figures.Higher, Unit: "MB/s"},
			figures.Figure{Name: "consume_and_drop" + name, Value: of(func(r rates) float64 { return r.consume }), Better: figures.Higher, Unit: "MB/s"},
			figures.Figure{Name: "end_to_end_to_slower" + name, Value: ratio, Target: target, Better: figures.Higher, Unit: "ratio"})
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
	ingested, err := d.ingest(ctx, s, supply, name, size/record)
	if err != nil {
		return r, err
	}
	r.endToEnd = float64(ingested.bytes) / 1e6 / ingested.took().Seconds()
	// Through a sidecar, as the runner writes; other bytes, as Pachyderm keeps equal chunks once.
	address, stopSidecar, err := d.StartSidecar(ctx, pachyderm.DefaultProject, name)
	if err != nil {
		return r, err
	}
	defer stopSidecar()
	if r.put, err = d.plainPut(ctx, address, name+"-put", incompressible(size+size/record)); err != nil {
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
func (d *deployment) ingest(ctx context.Context, s settings.Settings, from supply, name string, records int) (t tally, err error) {
	env := s.Environment()
	if login, ok := from.(withSecrets); ok {
		maps.Copy(env, login.secrets())
	}
	branch, err := d.createSpout(ctx, name, s.OutputBranch, env)
	if err != nil {
		return t, err
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return t, ctx.Err()
		case <-ticker.C:
		}
		last, _, err := ingest.LastCommit(ctx, branch)
		if err != nil {
			return t, err
		}
		if last == nil || last.ID == t.seen {
			continue
		}
		if err := t.add(ctx, branch, last.ID); err != nil {
			return t, err
		}
		switch {
		case t.records > int64(records):
			return t, fmt.Errorf("%d records in the commits, produced %d", t.records, records)
		case t.records == int64(records):
			return t, nil
		}
	}
}

// lookEvery is how often the branch is looked at. What is seen has the times
// that Pachyderm has noted, and to look more often would take from what is
// measured: a commit of a queue has half a megabyte of ids to read.
const lookEvery = time.Second

// tally is what the commits of a branch hold.
type tally struct {
	seen           string // the newest commit that it has
	records, bytes int64
	timed          int64     // of the records, those of whole batches, as the bytes are
	began, ended   time.Time // the last batch is left out: it waits for its age
}

// took is how long whole batches took.
func (t tally) took() time.Duration { return t.ended.Sub(t.began) }

// add adds the commits up to the last one that it does not have yet.
func (t *tally) add(ctx context.Context, branch *pachyderm.Branch, last string) error {
	var problem error
	newest := true // of those that are added
	err := branch.Ancestry(ctx, last, func(c *pachyderm.Commit) bool {
		if c.ID == t.seen {
			return false
		}
		d, ours, err := spoutcommit.ParseDescription(c.Description)
		if err != nil || !ours || c.Error != "" {
			problem = err
			return err == nil
		}
		t.records += d.Written
		switch {
		case d.Reason == spoutcommit.ReasonStart:
			t.began = c.Finished
		case d.Reason == spoutcommit.ReasonBytes || d.Reason == spoutcommit.ReasonWindow:
			t.bytes, t.timed = t.bytes+d.Bytes, t.timed+d.Written
			if newest {
				t.ended, newest = c.Finished, false
			}
		}
		return true
	})
	t.seen = last
	return errors.Join(err, problem)
}
