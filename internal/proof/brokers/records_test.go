// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package brokers

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// codecs are how batches are compressed, by Kafka's name.
var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// TestCodecs reads records of all sizes and kinds, in batches that the
// producer has compressed, and in batches that the broker has, with the
// libraries of Java.
func TestCodecs(t *testing.T) {
	t.Parallel()
	for name, codec := range codecs {
		for _, by := range []string{"producer", "broker"} {
			t.Run(name+" by the "+by, func(t *testing.T) {
				t.Parallel()
				c := single.get(t)
				properties, options := config{"max.message.bytes": "12582912"}, kgo.ProducerBatchCompression(codec)
				if by == "broker" {
					properties["compression.type"] = map[string]string{"none": "uncompressed"}[name]
					if name != "none" {
						properties["compression.type"] = name
					}
					options = kgo.ProducerBatchCompression(kgo.NoCompression())
				}
				o := newTopic(t, c, 2, properties)
				producer := client(t, c, options)
				o.produce(producer, assorted(rand.New(rand.NewPCG(1, 2)), 2)...)
				o.finish()
				r := open(t, readerSettings(c, o), nil)
				r.readTo(o.ends())
				compare(t, r.have, o.expected())
			})
		}
	}
}

// assorted returns records of all sizes up to 10 MiB, with and without keys,
// values and headers.
func assorted(random *rand.Rand, partitions int) (out []*kgo.Record) {
	sizes := []int{0, 1, 100, 1000, 1 << 10, 1<<16 - 1, 1 << 20, 10 << 20}
	for i := range 400 {
		r := &kgo.Record{Partition: int32(i % partitions)}
		size := random.IntN(2000)
		if i%50 < len(sizes) && i < 50*partitions { // each of them once per partition
			size = sizes[i%50]
		}
		if i%7 != 0 || size > 2000 { // the others are tombstones
			r.Value = text(random, size)
		}
		if i%3 != 0 {
			r.Key = text(random, i%300)
		}
		for j := range i % 4 {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: fmt.Sprint("header ", j%2), Value: text(random, j*i)})
		}
		if i%11 == 0 {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "null"})
		}
		out = append(out, r)
	}
	return out
}

// text returns size bytes that compress well, but not to nothing.
func text(random *rand.Rand, size int) []byte {
	b := make([]byte, size)
	for i := 0; i < size; {
		b[i] = byte(random.Uint32())
		run := copy(b[i+1:min(size, i+1+random.IntN(8))], b[max(0, i-100):])
		i += 1 + run
	}
	return b
}

// TestTimestamps reads the two types of timestamps.
func TestTimestamps(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"CreateTime", "LogAppendTime"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := single.get(t)
			o := newTopic(t, c, 1, config{"message.timestamp.type": kind, "retention.ms": "-1"}) // as the records are old
			before := time.Now()
			all := numbered(0, 0, 300)
			for i, r := range all {
				r.Timestamp = time.UnixMilli(1700000000000 + int64(i*7919%1000)) // in no order
			}
			producer := client(t, c)
			o.produce(producer, all[:100]...)
			o.produce(producer, all[100:]...)
			o.finish()
			r := open(t, readerSettings(c, o), nil)
			r.readTo(o.ends())
			compare(t, r.have, o.expected())
			for i := range all {
				have := time.UnixMilli(r.have[i].Timestamp)
				if kind == "CreateTime" && !have.Equal(all[i].Timestamp) || kind == "LogAppendTime" && have.Before(before.Add(-time.Second)) {
					t.Fatalf("record %d is of %v; it was made at %v, and appended after %v", i, have, all[i].Timestamp, before)
				}
			}
		})
	}
}
