// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
)

// TestOddTimes: whatever time a producer says that it is, its records are
// written, in paths that show it.
func TestOddTimes(t *testing.T) {
	t.Parallel()
	var batches [][]byte
	for _, at := range []int64{math.MinInt64, math.MinInt64 + 1, -62135596800001, -1, 0, 1764547200000, 253402300800000, math.MaxInt64 - 1, math.MaxInt64} {
		raw := batchOf([][]byte{[]byte(`{"a":1}`)})
		binary.BigEndian.PutUint64(raw[27:], uint64(at)) // of the first record
		binary.BigEndian.PutUint64(raw[35:], uint64(at)) // the latest
		binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
		batches = append(batches, raw)
	}
	for _, format := range []string{"jsonl", "avro", "parquet", "raw"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "hostile"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(broker.Close)
			serveBatches(broker, batches, 1)
			listForEver(broker)
			s := settings.Default()
			s.Kafka.Brokers, s.Kafka.Topics = broker.ListenAddrs(), []string{"hostile"}
			s.HTTPPort, s.MemoryBudget, s.Batch.MaxRecords, s.File.Format = 0, 64<<20, 90, format
			if err := s.File.Path.UnmarshalText([]byte("{topic}/{year}-{month}-{day}T{hour}{minute}/{partition}-{first_offset}")); err != nil {
				t.Fatal(err)
			}
			server := pachtest.New(t)
			p := startRunner(t, server, s)
			for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
				written := int64(0)
				for _, c := range server.Commits("default", "spout", "master") {
					if d, ok, err := spoutcommit.ParseDescription(c.Description); ok && err == nil {
						written += d.Written
					}
				}
				if written >= 180 {
					return
				}
				if _, runs := p.memory(t); !runs || time.Since(began) > time.Minute {
					t.Fatalf("%d records are written; the runner runs: %v", written, runs)
				}
			}
		})
	}
}
