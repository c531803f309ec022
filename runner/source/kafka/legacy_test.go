// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// legacyMessage makes a message of format 0 or 1, with 1000+offset as time.
func legacyMessage(magic, attrs byte, offset int64, key, value []byte) []byte {
	be := binary.BigEndian
	body := []byte{magic, attrs}
	if magic == 1 {
		body = be.AppendUint64(body, uint64(1000+offset))
	}
	for _, field := range [][]byte{key, value} {
		if field == nil {
			body = be.AppendUint32(body, 1<<32-1)
			continue
		}
		body = be.AppendUint32(body, uint32(len(field)))
		body = append(body, field...)
	}
	out := be.AppendUint64(nil, uint64(offset))
	out = be.AppendUint32(out, uint32(4+len(body)))
	out = be.AppendUint32(out, crc32.ChecksumIEEE(body))
	return append(out, body...)
}

// TestOldMessageFormats reads messages as brokers before 0.11 wrote them,
// beginning in the middle of a compressed one.
func TestOldMessageFormats(t *testing.T) {
	t.Parallel()
	for magic := range byte(2) {
		for _, codec := range []byte{wire.CodecGzip, wire.CodecSnappy, wire.CodecLZ4} {
			t.Run(fmt.Sprintf("format %d codec %d", magic, codec), func(t *testing.T) {
				t.Parallel()
				var inner []byte
				for i := range int64(5) {
					offset := i
					if magic == 0 {
						offset += 10
					}
					inner = append(inner, legacyMessage(magic, 0, offset, nil, fmt.Appendf(nil, "%d", i))...)
				}
				c := startCluster(t)
				createTopic(t, c, "t", 1)
				produce(t, client(t, c), numbered("t", 0, 0, 20)...) // so that the range of offsets is right
				serve(c, "t", nil, 17,
					legacyMessage(magic, codec, 14, nil, compress(t, int16(codec), inner, false)),
					legacyMessage(magic, 0, 15, []byte("key"), []byte("5")),
					handmade{base: 16, records: simpleRecords(1, 10)}.bytes(t))
				s, _ := open(t, config(c, "t"), []byte(`{"topics":{"t":{"partitions":{"0":[12,-1]}}}}`))
				records := readToEndAt(t, s, 17)
				if len(records) != 5 || records[0].Offset != 12 || string(records[3].Key) != "key" {
					t.Fatal(records)
				}
				wantValues(t, records[:4], 2, 4)
				if magic == 1 && records[3].Timestamp != 1015 {
					t.Errorf("the time is %d", records[3].Timestamp)
				}
			})
		}
	}
}
