// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/pierrec/lz4/v4"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// hostileBudget is the memory of the sources that are attacked.
const hostileBudget = 16 << 20

var hostileLimits = rsstest.Limits{Budget: hostileBudget, Within: time.Minute}

// zeros is a valid record whose value are n bytes 0, without what follows the
// value.
func zeros(n int) (prefix []byte) {
	body := append([]byte{0, 0, 0, 1}, binary.AppendVarint(nil, int64(n))...) // no key
	return append(binary.AppendVarint(nil, int64(len(body)+n+1)), body...)
}

// bombs are compressed records that become a gigabyte or claim to.
var bombs = map[string]func(t testing.TB) (codec int16, data []byte){
	"zstd of one record": func(testing.TB) (int16, []byte) {
		const block, blocks = 128 << 10, 900 << 3
		data := []byte{0x28, 0xB5, 0x2F, 0xFD, 0, 0x58} // no size of the content, and a window of 2 MiB
		add := func(kind, size int, last bool, content ...byte) {
			head := uint32(size)<<3 | uint32(kind)<<1
			if last {
				head |= 1
			}
			data = append(data, byte(head), byte(head>>8), byte(head>>16))
			data = append(data, content...)
		}
		prefix := zeros(block * blocks)
		add(0, len(prefix), false, prefix...)
		for range blocks {
			add(1, block, false, 0)
		}
		add(0, 1, true, 0) // no headers
		return wire.CodecZstd, data
	},
	"zstd that claims": func(testing.TB) (int16, []byte) {
		data := []byte{0x28, 0xB5, 0x2F, 0xFD, 0xA0, 0, 0, 0, 0x38} // 900 MiB, in one segment
		return wire.CodecZstd, append(data, make([]byte, 58)...)
	},
	"gzip": func(t testing.TB) (int16, []byte) {
		return wire.CodecGzip, bytes.Repeat(packed(t, func(out *bytes.Buffer) compressor { return gzip.NewWriter(out) }), 1024)
	},
	"lz4": func(t testing.TB) (int16, []byte) {
		zeros := make([]byte, 4<<20)
		block := make([]byte, lz4.CompressBlockBound(len(zeros)))
		n, err := lz4.CompressBlock(zeros, block, nil)
		if err != nil {
			t.Fatal(err)
		}
		block = append(binary.LittleEndian.AppendUint32(nil, uint32(n)), block[:n]...)
		data := append([]byte{4, 0x22, 0x4D, 0x18, 0x40, 7 << 4, 0}, bytes.Repeat(block, 256)...)
		return wire.CodecLZ4, append(data, 0, 0, 0, 0)
	},
	"snappy that claims": func(testing.TB) (int16, []byte) {
		return wire.CodecSnappy, append(binary.AppendUvarint(nil, 1<<30), make([]byte, 62)...)
	},
	"snappy of a library's that claims": func(testing.TB) (int16, []byte) {
		block := append(binary.AppendUvarint(nil, 1<<29), make([]byte, 62)...)
		data := append([]byte(xerialMagicBytes), 0, 0, 0, 1, 0, 0, 0, 1)
		for range 2 {
			data = append(binary.BigEndian.AppendUint32(data, uint32(len(block))), block...)
		}
		return wire.CodecSnappy, data
	},
	"snappy": func(testing.TB) (int16, []byte) { return wire.CodecSnappy, s2.EncodeSnappy(nil, make([]byte, 32<<20)) },
}

type compressor interface {
	Write([]byte) (int, error)
	Close() error
}

// packed compresses a MiB of zeros.
func packed(t testing.TB, with func(*bytes.Buffer) compressor) []byte {
	var out bytes.Buffer
	w := with(&out)
	_, err := w.Write(make([]byte, 1<<20))
	if err := firstOf(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// bomb is a batch with one record, as its head says.
func bomb(base int64, codec int16, data []byte) []byte {
	batch := handmade{base: base, attrs: codec, producer: -1}.head(len(data))
	batch = append(batch, data...)
	binary.BigEndian.PutUint32(batch[57:], 1)
	reseal(batch)
	return batch
}

// hostileSource returns a source of the brokers that a test's parent has
// started, in the memory that is granted.
func hostileSource(t *testing.T, change func(*settings.Kafka)) *Source {
	t.Helper()
	k := settings.Default().Kafka
	k.Brokers, k.Topics = []string{os.Getenv("HOSTILE")}, []string{"t"}
	k.FetchMaxWait = settings.Duration(50 * time.Millisecond)
	if change != nil {
		change(&k)
	}
	s := New(k, hostileBudget, hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: os.Stderr}))
	t.Cleanup(func() { s.Close() }) //nolint:errcheck // it has no error
	return s
}

// TestBombs reads batches that become, or claim to become, a gigabyte between
// two others. They are treated as batches that cannot be read, so that a
// restart does not meet them again, and cost what the budget allows.
func TestBombs(t *testing.T) {
	t.Parallel()
	for name, build := range bombs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if rsstest.Child(t) {
				s := hostileSource(t, func(k *settings.Kafka) { k.OnCorruptBatch = "skip" })
				if err := s.Open(testContext(t), nil); err != nil {
					t.Fatal(err)
				}
				var offsets []int64
				var gaps []source.Gap
				for s.position.Topics["t"].Partitions[0].Next < 7 {
					records, chunk := next(t, s)
					for _, r := range records {
						offsets = append(offsets, r.Offset)
					}
					if chunk.Gap != nil {
						gaps = append(gaps, *chunk.Gap)
					}
				}
				if len(offsets) != 6 || len(gaps) != 1 || gaps[0].From != 3 || gaps[0].To != 4 {
					t.Errorf("read %v with the gaps %v", offsets, gaps)
				}
				return
			}
			codec, data := build(t)
			c := startCluster(t)
			createTopic(t, c, "t", 1)
			serve(c, "t", nil, 7, handmade{producer: -1, records: simpleRecords(3, 100)}.bytes(t), bomb(3, codec, data),
				handmade{base: 4, producer: -1, records: simpleRecords(3, 100)}.bytes(t))
			rsstest.Run(t, hostileLimits, "HOSTILE="+c.ListenAddrs()[0])
		})
	}
}

// TestBombStops says how to read what may be a good batch, and how to pass it
// over, without fetching it again and again.
func TestBombStops(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 1)
	codec, data := bombs["zstd of one record"](t)
	serve(c, "t", nil, 1, bomb(0, codec, data))
	s, _ := open(t, config(c, "t"), nil)
	_, err := s.Next(testContext(t))
	checkStop(t, err, "topic t partition 0", "offset 0", "more than 32832KiB", "SPOUT_KAFKA_MAX_BATCH_BYTES", "SPOUT_MEMORY_BUDGET", "SPOUT_KAFKA_ON_CORRUPT_BATCH=skip")
	if n := s.Stats().Damaged; n != 1 {
		t.Errorf("it was fetched %d times", n)
	}
}

// TestMaxBatchBytes reads batches as large as the setting, and not a larger
// one, compressed or not.
func TestMaxBatchBytes(t *testing.T) {
	t.Parallel()
	for _, codec := range []int16{wire.CodecNone, wire.CodecGzip, wire.CodecSnappy, wire.CodecLZ4, wire.CodecZstd} {
		t.Run([]string{"none", "gzip", "snappy", "lz4", "zstd"}[codec], func(t *testing.T) {
			t.Parallel()
			c := startCluster(t)
			createTopic(t, c, "t", 1)
			head := len(zeros(1<<20)) + 1
			exact := handmade{attrs: codec, producer: -1, records: simpleRecords(1, 1<<20-head-5)}.bytes(t)
			large := handmade{base: 1, attrs: codec, producer: -1, records: simpleRecords(1, 1<<20)}.bytes(t)
			last := handmade{base: 2, producer: -1, records: simpleRecords(1, 10)}.bytes(t)
			serve(c, "t", nil, 3, exact, large, last)
			k := config(c, "t")
			k.MaxBatchBytes, k.OnCorruptBatch = 1<<20, "skip"
			s, _ := open(t, k, nil)
			records, _ := next(t, s)
			if len(records) != 1 || records[0].Offset != 0 {
				t.Fatalf("read %v", records)
			}
			if _, chunk := next(t, s); chunk.Gap == nil || chunk.Gap.From != 1 || chunk.Gap.To != 2 || !strings.Contains(chunk.Gap.Reason, "1MiB") {
				t.Fatalf("the gap is %+v", chunk.Gap)
			}
			read(t, s, 1)
		})
	}
}

// TestAnswerIsCut is told more than was asked for: what fits is read, and the
// batch that alone is too large is passed over.
func TestAnswerIsCut(t *testing.T) {
	t.Parallel()
	if rsstest.Child(t) {
		s := hostileSource(t, func(k *settings.Kafka) { k.OnCorruptBatch, k.MaxBatchBytes = "skip", 1<<20 })
		if err := s.Open(testContext(t), nil); err != nil {
			t.Fatal(err)
		}
		records, _ := next(t, s)
		_, chunk := next(t, s)
		if len(records) != 3 || chunk.Gap == nil || chunk.Gap.From != 3 || chunk.Gap.To != 4 {
			t.Errorf("read %d records and the gap %+v", len(records), chunk.Gap)
		}
		read(t, s, 3)
		return
	}
	c := startCluster(t)
	createTopic(t, c, "t", 1)
	// The largest is the first of an answer, and alone more than what is read.
	serve(c, "t", nil, 7, handmade{producer: -1, records: simpleRecords(3, 100)}.bytes(t), bomb(3, wire.CodecNone, make([]byte, 256<<20)),
		handmade{base: 4, producer: -1, records: simpleRecords(3, 100)}.bytes(t))
	rsstest.Run(t, hostileLimits, "HOSTILE="+c.ListenAddrs()[0])
}

// TestOnlyOneExceedsTheBudget has two decoders ask for more than there is.
func TestOnlyOneExceedsTheBudget(t *testing.T) {
	t.Parallel()
	m := newMemory(100)
	one, two := &decoder{memory: m}, &decoder{memory: m}
	ctx, cancel := context.WithCancel(t.Context())
	if err := m.acquireDecode(ctx, 150, one); err != nil {
		t.Fatal(err)
	}
	if err := m.acquireDecode(ctx, 150, one); err != nil {
		t.Fatal("the one that exceeds it has to wait for itself:", err)
	}
	cancel()
	if err := m.acquireDecode(ctx, 150, two); !errors.Is(err, context.Canceled) {
		t.Error("two exceed it at once:", err)
	}
	m.within(one)
	if err := m.acquireDecode(ctx, 150, two); err != nil {
		t.Error("nobody may exceed it after the first:", err)
	}
}
