// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/kafka"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// decodeAll decodes what a fetch brought and returns the number of records.
func decodeAll(t testing.TB, d *decoder, records []byte, count int) (n int, err error) {
	buffer := getBuffer(d.memory, 0, 0)
	defer buffer.release()
	last := int64(-1)
	d.emit = func(chunk *source.Chunk) error {
		n += len(chunk.Records)
		for i := range chunk.Records {
			r := &chunk.Records[i]
			if r.Offset >= chunk.Next {
				t.Fatalf("offset %d lies beyond its chunk, which goes to %d", r.Offset, chunk.Next)
			}
			headers := 0
			for range r.Headers.All() {
				headers++
			}
			if headers != r.Headers.Count {
				t.Fatalf("%d headers of %d can be read", headers, r.Headers.Count)
			}
		}
		if chunk.Next <= last {
			t.Fatalf("a chunk goes to %d, the one before it to %d", chunk.Next, last)
		}
		last = chunk.Next
		chunk.Release()
		return nil
	}
	p := &partition{stream: source.Stream{Name: "t"}}
	parts := []part{{p: p, records: records, count: count}}
	d.checker = checker{parts: parts}
	err = d.decode(context.Background(), buffer, &parts[0])
	return n, err
}

func newDecoder() *decoder {
	return &decoder{memory: newMemory(64 << 20), counters: &counters{}, decompressor: wire.Decompressor{Limit: 16 << 20}}
}

// Limits of what a fuzz test's input may cost: a few times what the decoder may
// hold, since it gives back and takes again, and much longer than it takes.
const (
	fuzzLimit  = 1 << 20 // of a batch
	fuzzBytes  = 16 << 20
	fuzzWithin = 5 * time.Second
)

// fuzzDecode decodes data: that must neither panic nor cost too much, and give
// back all memory.
func fuzzDecode(t *testing.T, data []byte) {
	if len(data) > 1<<20 {
		return
	}
	rsstest.Bounded(t, fuzzBytes+32*int64(len(data)), fuzzWithin, func() {
		d := newDecoder()
		d.decompressor.Limit = fuzzLimit
		_, _ = decodeAll(t, d, data, 10)
		if d.next < 0 {
			t.Errorf("reading would go on at %d", d.next)
		}
		used, peak := d.memory.usage()
		if used != 0 {
			t.Errorf("%d bytes are held", used)
		}
		if peak > 2*fuzzLimit+1<<20 {
			t.Errorf("%d bytes were held at once", peak)
		}
	})
}

// resealAll lets damage get past the checksums.
func resealAll(data []byte) {
	for len(data) > 0 {
		head, whole, err := wire.ReadHead(data)
		if err != nil || !whole {
			return
		}
		if head.Magic == 2 {
			reseal(data[:head.Bytes])
		} else {
			binary.BigEndian.PutUint32(data[12:], crc32.ChecksumIEEE(data[16:head.Bytes]))
		}
		data = data[head.Bytes:]
	}
}

// FuzzDecodeBatches decodes damaged batches and messages.
func FuzzDecodeBatches(f *testing.F) {
	for codec := range int16(5) {
		f.Add(handmade{attrs: codec, records: simpleRecords(3, 40)}.bytes(f))
	}
	f.Add(handmade{attrs: wire.AttrControl, records: simpleRecords(1, 4)}.bytes(f))
	f.Add(append(handmade{records: simpleRecords(2, 4)}.bytes(f), handmade{base: 2, lastDelta: 7}.bytes(f)...))
	f.Add(handmade{base: math.MaxInt64, records: simpleRecords(1, 4)}.bytes(f))
	f.Add(legacyMessage(0, 0, 5, nil, []byte("old")))
	f.Add(legacyMessage(1, 0, 5, []byte("k"), []byte("old")))
	f.Fuzz(func(t *testing.T, data []byte) {
		resealAll(data)
		fuzzDecode(t, data)
	})
}

// FuzzDecompress decodes sound batches whose compressed records are damaged.
func FuzzDecompress(f *testing.F) {
	for codec := range int16(5) {
		batch := handmade{attrs: codec, records: simpleRecords(3, 40)}.bytes(f)
		f.Add(byte(codec), byte(3), batch[wire.HeadBytes:])
	}
	batch := handmade{attrs: wire.CodecSnappy, xerial: true, records: simpleRecords(3, 40)}.bytes(f)
	f.Add(byte(wire.CodecSnappy), byte(3), batch[wire.HeadBytes:])
	for _, build := range bombs {
		if codec, data := build(f); len(data) < 64<<10 {
			f.Add(byte(codec), byte(1), data)
		}
	}
	f.Fuzz(func(t *testing.T, codec, records byte, data []byte) {
		batch := append(handmade{attrs: int16(codec) & wire.AttrCompression, lastDelta: int32(records)}.head(len(data)), data...)
		binary.BigEndian.PutUint32(batch[57:], uint32(records))
		reseal(batch)
		fuzzDecode(t, batch)
	})
}

// FuzzMessageSet decodes compressed messages of the formats 0 and 1 with
// damaged ones in them.
func FuzzMessageSet(f *testing.F) {
	for magic := range byte(2) {
		inner := append(legacyMessage(magic, 0, 0, nil, []byte("a")), legacyMessage(magic, 0, 1, []byte("k"), []byte("b"))...)
		for _, codec := range []byte{wire.CodecGzip, wire.CodecSnappy, wire.CodecLZ4} {
			f.Add(magic, codec, int64(9), inner)
		}
	}
	f.Fuzz(func(t *testing.T, magic, codec byte, offset int64, inner []byte) {
		resealAll(inner)
		codec = min(codec&3, wire.CodecLZ4)
		fuzzDecode(t, legacyMessage(magic&1, codec, offset, nil, compress(t, int16(codec), inner, false)))
	})
}

// FuzzParseFetch parses damaged responses.
func FuzzParseFetch(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0}, int16(12), false)
	for version := int16(4); version <= 13; version++ {
		r := &kmsg.FetchResponse{Version: version, Topics: []kmsg.FetchResponseTopic{{Topic: "t", Partitions: []kmsg.FetchResponseTopicPartition{{
			AbortedTransactions: []kmsg.FetchResponseTopicPartitionAbortedTransaction{{ProducerID: 1, FirstOffset: 2}},
			RecordBatches:       handmade{records: simpleRecords(1, 4)}.bytes(f)}}}}}
		f.Add(r.AppendTo(nil), version, version%2 == 0)
	}
	f.Fuzz(func(t *testing.T, data []byte, version int16, cut bool) {
		rsstest.Bounded(t, 1<<20+4*int64(len(data)), fuzzWithin, func() {
			parts, _ := wire.ParseFetch(nil, data, wire.Expected{Version: 4 + (version&15)%10, Parts: 10, Cut: cut})
			if len(parts) > 10 {
				t.Errorf("%d partitions of 10", len(parts))
			}
		})
	})
}

// FuzzReadAnswer reads damaged answers of each kind and version.
func FuzzReadAnswer(f *testing.F) {
	for key := range newestKnown {
		for _, version := range []int16{1, 12} {
			f.Add(key, version, []byte{0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
		}
	}
	f.Add(kmsg.Metadata.Int16(), int16(12), hostileMetadata().AppendTo(nil))
	f.Fuzz(func(t *testing.T, key, version int16, data []byte) {
		newest, known := newestKnown[key]
		if !known || key == kmsg.Fetch.Int16() {
			return
		}
		request := kmsg.RequestForKey(key)
		request.SetVersion(max(min(version, newest), oldestOfUse[key]))
		rsstest.Bounded(t, 1<<20+32*int64(len(data)), fuzzWithin, func() { _ = wire.ReadAnswer(wire.AnswerTo(request), data) })
	})
}

// FuzzPosition reads damaged positions. What can be read is written so that it
// is read as the same.
func FuzzPosition(f *testing.F) {
	f.Add([]byte(`{"cluster":"c","shard":"1/2","pattern":"t.*","topics":{"t":{"id":"x","generation":1,"partitions":{"0":[5,-1],"7":[9223372036854775807,3]}}}}`))
	f.Add([]byte(`{"topics":{"t":{"partitions":{"-1":[-1,-2]}}}}`))
	f.Add([]byte(`{"topics":{"t":null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rsstest.Bounded(t, 1<<20+64*int64(len(data)), fuzzWithin, func() {
			p, err := positions.Parse(data)
			if err != nil {
				return
			}
			written := p.Render()
			again, err := positions.Parse(written)
			if err != nil || string(again.Render()) != string(written) {
				t.Errorf("%s is read as %v, %v", written, again, err)
			}
		})
	})
}
