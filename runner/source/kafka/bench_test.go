// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"fmt"
	"io"
	"log"
	"testing"

	"github.com/hashicorp/go-hclog"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// BenchmarkDecode decodes canned fetches of 1 MiB. An operation is one batch.
func BenchmarkDecode(b *testing.B) {
	for _, size := range []int{100, 1024} {
		for _, codec := range []int16{wire.CodecNone, wire.CodecZstd, wire.CodecLZ4, wire.CodecSnappy} {
			b.Run(fmt.Sprintf("%dB/%s", size, []string{"none", "gzip", "snappy", "lz4", "zstd"}[codec]), func(b *testing.B) {
				records := 1 << 20 / size
				batch := handmade{attrs: codec, records: simpleRecords(records, size)}.bytes(b)
				d := newDecoder()
				b.SetBytes(int64(records * size))
				b.ReportAllocs()
				for b.Loop() {
					if n, err := decodeAll(b, d, batch, records); err != nil || n != records {
						b.Fatal(n, err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(records), "ns/record")
			})
		}
	}
}

// BenchmarkConsume reads from an in-process broker that serves canned batches
// and shares the processors. An operation is one record.
func BenchmarkConsume(b *testing.B) {
	for _, size := range []int{100, 1024} {
		for _, codec := range []string{"none", "zstd"} {
			c := startCluster(b, kfake.SyntheticFetch(kfake.SyntheticBatch{RecordBytes: size, RandomFrac: 0.3, Compression: codecs[codec]}))
			createTopic(b, c, "t", 4)
			name := func(client string) string { return fmt.Sprintf("%dB/%s/%s", size, codec, client) }
			b.Run(name("this"), func(b *testing.B) {
				s := New(config(c, "t"), settings.Bytes(64<<20), hclog.NewNullLogger())
				if err := s.Open(context.Background(), nil); err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				for n := 0; n < b.N; {
					chunk, err := s.Next(context.Background())
					if err != nil {
						b.Fatal(err)
					}
					n += len(chunk.Records)
					s.Consume(chunk, len(chunk.Records))
					chunk.Release()
				}
			})
			b.Run(name("franz-go"), func(b *testing.B) {
				cl := client(b, c, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
				defer cl.Close()
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				for n := 0; n < b.N; {
					cl.PollFetches(context.Background()).EachRecord(func(*kgo.Record) { n++ })
				}
			})
			b.Run(name("kafka-go Reader"), func(b *testing.B) {
				r := kafkago.NewReader(kafkago.ReaderConfig{Brokers: c.ListenAddrs(), Topic: "t", Partition: 0, MaxBytes: 8 << 20,
					ErrorLogger: log.New(io.Discard, "", 0)})
				defer r.Close()
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					if _, err := r.ReadMessage(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
