// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// randomRecord makes a record with all that records may have, or lack.
func randomRecord(r *rand.Rand, topic string, partitions int) *kgo.Record {
	some := func(most int) []byte {
		switch r.IntN(8) {
		case 0:
			return nil
		case 1:
			return []byte{}
		}
		b := make([]byte, 1+r.IntN(most))
		for i := range b {
			b[i] = byte('a' + r.IntN(4))
		}
		return b
	}
	record := &kgo.Record{Topic: topic, Partition: int32(r.IntN(partitions)), Key: some(20), Value: some(300)}
	if r.IntN(200) == 0 {
		record.Value = some(40000)
	}
	for range r.IntN(4) * r.IntN(2) {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: fmt.Sprint("h", r.IntN(10)), Value: some(200)})
	}
	return record
}

// TestSameAsFranzGo writes random records, in and out of transactions that are
// committed and aborted, in all codecs, and compares with franz-go.
func TestSameAsFranzGo(t *testing.T) {
	t.Parallel()
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const partitions = 4
			r := seeded(t)
			c := startCluster(t, kfake.NumBrokers(2))
			createTopic(t, c, "t", partitions)
			plain := client(t, c, kgo.ProducerBatchCompression(codec))
			writers := []*kgo.Client{
				client(t, c, kgo.ProducerBatchCompression(codec), kgo.TransactionalID("a")),
				client(t, c, kgo.ProducerBatchCompression(codec), kgo.TransactionalID("b")),
			}
			ctx := testContext(t)
			committed, total := 0, 0
			open := make([]int, len(writers)) // records in the writer's transaction, -1 for none
			for i := range open {
				open[i] = -1
			}
			end := func(i int) {
				commit := kgo.TransactionEndTry(r.IntN(2) == 0)
				if err := writers[i].EndTransaction(ctx, commit); err != nil {
					t.Fatal(err)
				}
				if commit {
					committed += open[i]
				}
				open[i] = -1
			}
			rounds := 60
			if name == "lz4" {
				rounds = 15 // franz-go takes 8 MiB for each batch
			}
			for range rounds {
				var batch []*kgo.Record
				for range 1 + r.IntN(40) {
					batch = append(batch, randomRecord(r, "t", partitions))
				}
				total += len(batch)
				i := r.IntN(len(writers) + 1)
				if i == len(writers) {
					committed += len(batch)
					produce(t, plain, batch...)
					continue
				}
				if open[i] < 0 {
					if err := writers[i].BeginTransaction(); err != nil {
						t.Fatal(err)
					}
					open[i] = 0
				}
				open[i] += len(batch)
				produce(t, writers[i], batch...)
				if r.IntN(3) == 0 {
					end(i)
				}
			}
			for i := range open {
				if open[i] >= 0 {
					end(i)
				}
			}
			want := oracle(t, c, kgo.ReadCommitted(), committed, "t")
			for _, version := range []int16{4, 11, 12, 13} {
				t.Run(fmt.Sprint("fetch version ", version), func(t *testing.T) {
					s, l := newTestSource(t, config(c, "t"))
					s.fetchVersion = version
					if err := s.Open(ctx, nil); err != nil {
						t.Fatal(err, l)
					}
					same(t, readToEnd(t, c, s, "t"), want)
				})
			}
			t.Run("uncommitted", func(t *testing.T) {
				k := config(c, "t")
				k.Isolation = "read_uncommitted"
				s, _ := openAtStart(t, k)
				same(t, readToEnd(t, c, s, "t"), oracle(t, c, kgo.ReadUncommitted(), total, "t"))
			})
			t.Run("resumed at random places", func(t *testing.T) { resumeAtRandom(t, c, r, want) })
		})
	}
}

// resumeAtRandom consumes parts of chunks and opens the source again at the
// position, many times.
func resumeAtRandom(t *testing.T, c *kfake.Cluster, r *rand.Rand, want []got) {
	var all []got
	var position []byte
	for len(all) < len(want) {
		s, _ := open(t, config(c, "t"), position)
		for range 1 + r.IntN(4) {
			chunk, err := s.Next(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			take := len(chunk.Records)
			if r.IntN(2) == 0 {
				take = r.IntN(take + 1)
			}
			for i := range chunk.Records[:take] {
				all = append(all, copyRecord(chunk.Stream, &chunk.Records[i]))
			}
			s.Consume(chunk, take)
			whole := take == len(chunk.Records)
			chunk.Release()
			if !whole || len(all) >= len(want) {
				break
			}
		}
		position = s.Position()
		s.Close()
	}
	same(t, all, want)
}
