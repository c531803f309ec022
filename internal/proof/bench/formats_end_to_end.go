// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/figures"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// zstdBatchBytes are what about 64 MiB of JSON are with zstd.
const zstdBatchBytes = batchBytes / 8

// formatsEndToEnd ingests what can be compressed: JSON, in relation to a plain
// put of the same bytes as they are, and rows of a registry.
func formatsEndToEnd(ctx context.Context, b *bench) ([]figures.Figure, error) {
	d, err := b.deployment(ctx)
	if err != nil {
		return nil, err
	}
	var ratios, rates, rows []float64
	for round := range b.rounds + 1 { // the first pays for empty caches, and does not count
		source, put, err := d.ingestJSON(ctx, fmt.Sprintf("bench-json-%d", round), b.mib<<20)
		if err != nil {
			return nil, err
		}
		rate, err := d.ingestRows(ctx, fmt.Sprintf("bench-rows-%d", round), 50*orders)
		if err != nil {
			return nil, err
		}
		fmt.Printf("round %d: JSON %.1f MB/s, plain put %.1f MB/s; %.0f rows/s\n", round, source, put, rate)
		if round > 0 {
			ratios, rates, rows = append(ratios, source/put), append(rates, source), append(rows, rate)
		}
	}
	return []figures.Figure{
		{Name: "end_to_end_jsonl_zstd", Value: figures.Median(rates), Better: figures.Higher, Unit: "MB/s"},
		{Name: "end_to_end_jsonl_zstd_to_plain_put", Value: figures.Median(ratios), Target: figures.Target(2), Better: figures.Higher, Unit: "ratio"},
		{Name: "end_to_end_registry_avro_to_parquet", Value: figures.Median(rows), Target: figures.Target(150_000), Better: figures.Higher, Unit: "records/s"},
	}, nil
}

// ingestJSON returns how many MB of values a second become commits of JSON
// lines with zstd, and how many are put as they are.
func (d *deployment) ingestJSON(ctx context.Context, name string, size int) (source, put float64, err error) {
	const record = 1024
	values := newJSONValues(rand.New(rand.NewPCG(rand.Uint64(), 0)), record, size/record)
	s := settings.Default()
	s.File.Format, s.File.Compression, s.Batch.MaxBytes = "jsonl", "zstd", zstdBatchBytes
	t, err := d.ingestValues(ctx, s, name, values)
	if err != nil {
		return 0, 0, err
	}
	address, stopSidecar, err := d.StartSidecar(ctx, pachyderm.DefaultProject, name)
	if err != nil {
		return 0, 0, err
	}
	defer stopSidecar()
	put, err = d.plainPut(ctx, address, name+"-put", bytes.Join(values, []byte{'\n'}))
	err = errors.Join(err, d.deleteSpout(ctx, name), d.deleteRepo(ctx, name+"-put"))
	return float64(t.timed*record) / 1e6 / t.took().Seconds(), put, err
}

// ingestRows returns how many rows of a registry's Avro a second become commits
// of Parquet.
func (d *deployment) ingestRows(ctx context.Context, name string, count int) (rate float64, err error) {
	const id = 7
	registry := srfake.New()
	defer registry.Close()
	registry.SeedSchema(name+"-value", 1, id, sr.Schema{Schema: avroOrders.schema})
	random := rand.New(rand.NewPCG(rand.Uint64(), 0))
	var values [][]byte
	for len(values) < count {
		for _, o := range randomOrders(random) {
			v, err := avroOrders.value(o)
			if err != nil {
				return 0, err
			}
			values = append(values, append([]byte{0, 0, 0, 0, id}, v...))
		}
	}
	s := settings.Default()
	s.File.Format, s.File.Compression, s.Batch.MaxBytes, s.SchemaRegistry.URL = "parquet", "zstd", batchBytes, registry.URL()
	t, err := d.ingestValues(ctx, s, name, values)
	return float64(t.timed) / t.took().Seconds(), errors.Join(err, d.deleteSpout(ctx, name))
}

func (d *deployment) ingestValues(ctx context.Context, s settings.Settings, name string, values [][]byte) (t tally, err error) {
	broker, err := kafkatest.Start(1, kafkatest.Topic{Name: name, Partitions: partitions})
	if err != nil {
		return t, err
	}
	k := &kafkaSupply{Broker: broker, topic: name, records: len(values)}
	defer k.Stop()
	next := 0
	err = k.produce(ctx, func() []byte {
		next++
		return values[next-1]
	})
	if err != nil {
		return t, err
	}
	s.HTTPPort = 0
	k.configure(&s)
	return d.ingest(ctx, s, k, name, len(values))
}
