// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
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
	p := &partition{stream: source.Stream{Topic: "t"}}
	parts := []part{{p: p, records: records, count: count}}
	d.checker = checker{parts: parts}
	err = d.decode(context.Background(), buffer, &parts[0])
	return n, err
}

func newDecoder() *decoder {
	return &decoder{memory: newMemory(64 << 20), counters: &counters{}, aborting: map[int64]struct{}{}, decompressor: decompressor{limit: 16 << 20}}
}

// FuzzDecodeBatches decodes damaged batches: that must never panic nor go on
// for ever, and give back all memory.
func FuzzDecodeBatches(f *testing.F) {
	for codec := range int16(5) {
		f.Add(handmade{attrs: codec, records: simpleRecords(3, 40)}.bytes(f))
	}
	f.Add(handmade{attrs: attrControl, records: simpleRecords(1, 4)}.bytes(f))
	f.Add(append(handmade{records: simpleRecords(2, 4)}.bytes(f), handmade{base: 2, lastDelta: 7}.bytes(f)...))
	f.Add(legacyMessage(0, 0, 5, nil, []byte("old")))
	f.Add(legacyMessage(1, 0, 5, []byte("k"), []byte("old")))
	f.Fuzz(func(t *testing.T, data []byte) {
		for at := 0; at < len(data); { // let damage get past the checksum
			head, whole, err := readBatchHead(data[at:])
			if err != nil || !whole {
				break
			}
			if head.magic == 2 {
				reseal(data[at : at+head.bytes])
			}
			at += head.bytes
		}
		d := newDecoder()
		defer d.decompressor.close()
		_, _ = decodeAll(t, d, data, 10)
		if used, _ := d.memory.usage(); used != 0 {
			t.Fatalf("%d bytes are held", used)
		}
	})
}

// FuzzParseFetch parses damaged responses.
func FuzzParseFetch(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0}, int16(12))
	f.Fuzz(func(t *testing.T, data []byte, version int16) {
		_, _ = parseFetch(nil, data, expected{version: 4 + (version&15)%10, parts: 10})
	})
}
