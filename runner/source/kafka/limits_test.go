// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

func TestRecordSize(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(source.Record{}); size != recordSize {
		t.Errorf("a record takes %d bytes, recordSize is %d", size, recordSize)
	}
}

// TestMemoryIsBounded holds on to all chunks until nothing more comes.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const budget = 2 << 20
			c := startCluster(t, kfake.NumBrokers(2))
			createTopic(t, c, "t", 4)
			cl := client(t, c, kgo.ProducerBatchCompression(codec), kgo.ProducerBatchMaxBytes(1<<20))
			n := 0
			for p := range int32(4) {
				for range 4 { // batches of 512 KiB
					var batch []*kgo.Record
					for range 512 {
						batch = append(batch, &kgo.Record{Topic: "t", Partition: p, Value: bytes.Repeat(fmt.Appendf(nil, "%4d", n%500), 256)})
						n++
					}
					produce(t, cl, batch...)
				}
			}
			k := config(c, "t")
			k.FetchMaxBytes = 1 << 20
			l, log := newLog()
			s := New(k, settings.Bytes(budget), log)
			if err := s.Open(testContext(t), nil); err != nil {
				t.Fatal(err, l)
			}
			defer s.Close()
			total := 0
			for total < n {
				var held []*source.Chunk
				for {
					wait := patience // for the first; then until nothing more comes
					if len(held) > 0 {
						wait = 150 * time.Millisecond
					}
					ctx, cancel := context.WithTimeout(context.Background(), wait)
					chunk, err := s.Next(ctx)
					cancel()
					if errors.Is(err, context.DeadlineExceeded) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					held = append(held, chunk)
				}
				if len(held) == 0 {
					t.Fatalf("nothing comes after %d of %d records, with %+v", total, n, s.Stats())
				}
				for _, chunk := range held {
					total += len(chunk.Records)
					s.Consume(chunk, len(chunk.Records))
					chunk.Release()
				}
			}
			stats := s.Stats()
			t.Logf("%d bytes fetched, at most %d held", stats.Bytes, stats.MemoryPeak)
			if stats.MemoryPeak > budget*3/2 {
				t.Errorf("%d bytes were held with a budget of %d", stats.MemoryPeak, budget)
			}
		})
	}
}

// TestLargeRecord reads a record that is larger than a fetch, and more
// than half as large as the whole memory, among small ones of other partitions.
func TestLargeRecord(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"none", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "16777216"}))
			createTopic(t, c, "t", 3)
			cl := client(t, c, kgo.ProducerBatchMaxBytes(8<<20), kgo.MaxBufferedBytes(64<<20), kgo.ProducerBatchCompression(codecs[codec]))
			large := make([]byte, 3<<20)
			r := seeded(t)
			for i := range large {
				large[i] = byte(r.Uint32())
			}
			for p := range int32(3) {
				produce(t, cl, numbered("t", p, 0, 20)...)
			}
			produce(t, cl, &kgo.Record{Topic: "t", Partition: 1, Value: large})
			for p := range int32(3) {
				produce(t, cl, numbered("t", p, 20, 20)...)
			}
			k := config(c, "t")
			k.FetchMaxBytes = 64 << 10
			_, log := newLog()
			s := New(k, 6<<20, log)
			if err := s.Open(testContext(t), nil); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			same(t, read(t, s, 121), oracle(t, c, kgo.ReadCommitted(), 121, "t"))
		})
	}
}

// TestCompactedTail reads batches whose last records compaction has removed,
// or all of them: the position has to move on to behind what they stand for.
func TestCompactedTail(t *testing.T) {
	t.Parallel()
	for codec := range int16(5) {
		t.Run(fmt.Sprint("codec ", codec), func(t *testing.T) {
			t.Parallel()
			c := startCluster(t)
			createTopic(t, c, "t", 1)
			serve(c, "t", nil, 40,
				handmade{base: 0, lastDelta: 9, epoch: 0, attrs: codec, records: simpleRecords(3, 20)}.bytes(t),
				handmade{base: 10, lastDelta: 9}.bytes(t), // empty
				handmade{base: 20, lastDelta: 4, attrs: codec, records: simpleRecords(2, 20)}.bytes(t),
				handmade{base: 25, lastDelta: 14}.bytes(t))
			s, _ := open(t, config(c, "t"), nil)
			records := readToEndAt(t, s, 40)
			if len(records) != 5 || records[3].Offset != 20 || records[4].Offset != 21 {
				t.Fatalf("read %v", records)
			}
		})
	}
}

func readToEndAt(t testing.TB, s *Source, end int64) (all []got) {
	t.Helper()
	for s.position.Topics["t"].Partitions[0].Next < end {
		records, _ := next(t, s)
		all = append(all, records...)
	}
	if lag := s.Lag()[source.Stream{Name: "t"}]; lag != 0 {
		t.Errorf("the lag at the end is %d", lag)
	}
	return all
}

// TestHandmadeBatches reads what franz-go does not write: times of the log,
// snappy without frames, and an aborted transaction in the middle of others.
func TestHandmadeBatches(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 1)
	abort := kmsg.Record{Key: []byte{0, 0, 0, 0}, Value: []byte{0, 0, 0, 0, 0, 0}}
	commit := kmsg.Record{Key: []byte{0, 0, 0, 1}, Value: []byte{0, 0, 0, 0, 0, 0}}
	three := simpleRecords(3, 2000)
	serve(c, "t", []kmsg.FetchResponseTopicPartitionAbortedTransaction{{ProducerID: 8, FirstOffset: 16}, {ProducerID: 7, FirstOffset: 6}}, 22,
		handmade{base: 0, attrs: 8 | wire.CodecSnappy, xerial: true, firstTime: 5, maxTime: 99, records: three}.bytes(t),
		handmade{base: 3, attrs: wire.CodecSnappy, firstTime: 5, maxTime: 99, records: three}.bytes(t),
		handmade{base: 6, attrs: wire.AttrTransactional, producer: 7, records: three}.bytes(t), // aborted
		handmade{base: 9, attrs: wire.AttrTransactional, producer: 8, records: three}.bytes(t),
		handmade{base: 12, attrs: wire.AttrTransactional | wire.AttrControl, producer: 7, records: []kmsg.Record{abort}}.bytes(t),
		handmade{base: 13, attrs: wire.AttrTransactional, producer: 7, records: simpleRecords(1, 10)}.bytes(t),
		handmade{base: 14, attrs: wire.AttrTransactional | wire.AttrControl, producer: 8, records: []kmsg.Record{commit}}.bytes(t),
		handmade{base: 15, attrs: wire.AttrTransactional | wire.AttrControl, producer: 7, records: []kmsg.Record{commit}}.bytes(t),
		handmade{base: 16, attrs: wire.AttrTransactional, producer: 8, records: three}.bytes(t), // aborted
		handmade{base: 19, attrs: wire.AttrTransactional | wire.AttrControl, producer: 8, records: []kmsg.Record{abort}}.bytes(t),
		handmade{base: 20, producer: -1, records: simpleRecords(2, 10)}.bytes(t))
	s, _ := open(t, config(c, "t"), nil)
	var offsets []int64
	for _, r := range readToEndAt(t, s, 22) {
		offsets = append(offsets, r.Offset)
		if want := map[bool]int64{true: 99, false: 5}[r.Offset < 3]; r.Offset < 6 && r.Timestamp != want {
			t.Errorf("the time of %d is %d, want %d", r.Offset, r.Timestamp, want)
		}
	}
	if have := fmt.Sprint(offsets); have != "[0 1 2 3 4 5 9 10 11 13 20 21]" {
		t.Errorf("read the offsets %s", have)
	}
}

// TestFetchLimits gives settings that the fetch request has no numbers for.
func TestFetchLimits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		wait       time.Duration
		bytes      settings.Bytes
		wantMillis int32
		wantBytes  int32
	}{
		{0, 8 << 20, 1, 8 << 20},
		{100 * time.Microsecond, 1 << 30, 1, 1 << 30},
		{time.Millisecond, 1 << 31, 1, 1 << 30},
		{20 * time.Millisecond, 4<<30 + 1, 20, 1 << 30},
		{1 << 62, 1 << 62, 60_000, 1 << 30},
	} {
		t.Run(fmt.Sprint(test.wait, test.bytes), func(t *testing.T) {
			t.Parallel()
			c := startCluster(t)
			createTopic(t, c, "t", 1)
			produce(t, client(t, c), numbered("t", 0, 0, 5)...)
			requests := make(chan *kmsg.FetchRequest, 1)
			c.ControlKey(kmsg.Fetch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
				select {
				case requests <- req.(*kmsg.FetchRequest):
				default:
				}
				return nil, nil, false
			})
			k := config(c, "t")
			k.FetchMaxWait, k.FetchMaxBytes = settings.Duration(test.wait), test.bytes
			_, log := newLog()
			s := New(k, 1<<40, log)
			defer s.Close()
			if err := s.Open(testContext(t), nil); err != nil {
				t.Fatal(err)
			}
			wantValues(t, read(t, s, 5), 0, 5)
			r := <-requests
			if each := r.Topics[0].Partitions[0].PartitionMaxBytes; r.MaxWaitMillis != test.wantMillis || r.MaxBytes != test.wantBytes || each != test.wantBytes {
				t.Errorf("asked for %d bytes, %d of the partition, within %d ms; want %d within %d ms", r.MaxBytes, each, r.MaxWaitMillis, test.wantBytes, test.wantMillis)
			}
		})
	}
}

// TestThousandPartitions reads a few records of each of many partitions.
func TestThousandPartitions(t *testing.T) {
	t.Parallel()
	c := startCluster(t, kfake.NumBrokers(3))
	createTopic(t, c, "t", 1000)
	cl := client(t, c)
	var records []*kgo.Record
	for p := range int32(1000) {
		records = append(records, numbered("t", p, 0, 3)...)
	}
	produce(t, cl, records...)
	s, _ := open(t, config(c, "t"), nil)
	same(t, read(t, s, 3000), oracle(t, c, kgo.ReadCommitted(), 3000, "t"))
}
