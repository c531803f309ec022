// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Messages of the formats 0 and 1 were written by brokers before 0.11, and
// brokers before 4.0 may still hold some:
//
//	offset int64, size int32, crc uint32, magic int8, attributes int8,
//	timestamp int64 (format 1), key bytes, value bytes
//
// A compressed one has as its value messages of its own, and the offset of the
// last of them. In format 1 the inner offsets count from 0.
const (
	legacyHeadBytes    = 26 // up to the value's length, in format 0 without key
	offsetOfLegacyCRC  = 12
	offsetOfLegacyBody = 16
	legacyTimeBytes    = 8
	legacyLogTime      = 0x08
)

// readLegacyHead completes the head of a message: one record, if it is not
// compressed. Of a compressed one only the last offset is known.
func readLegacyHead(h *batchHead, message []byte) error {
	if h.magic < 0 || len(message) < legacyHeadBytes {
		return fmt.Errorf("%w: message of format %d with %d bytes", errBatch, h.magic, len(message))
	}
	h.crc = binary.BigEndian.Uint32(message[offsetOfLegacyCRC:])
	h.attributes = int16(message[offsetOfLegacyBody+1])
	h.leaderEpoch, h.producerID = -1, -1
	h.records = 1
	return nil
}

// legacy is a message taken apart.
type legacy struct {
	offset, timestamp int64
	key, value        []byte
}

func readLegacy(h *batchHead, message []byte) (m legacy, err error) {
	if sum := crc32.ChecksumIEEE(message[offsetOfLegacyBody:]); sum != h.crc {
		return m, fmt.Errorf("checksum is %08x, the message says %08x", sum, h.crc)
	}
	m.offset, m.timestamp = h.baseOffset, -1
	w := wire{data: message, at: offsetOfLegacyBody + 2}
	if h.magic == 1 {
		m.timestamp = w.int64()
	}
	m.key, m.value = w.bytes(false, 4), w.bytes(false, 4)
	if w.bad || w.at != len(message) {
		return m, fmt.Errorf("%w: a message's key and value do not fill it", errBatch)
	}
	return m, nil
}

// legacy adds a message, or all messages in it, to chunks.
func (d *decoder) legacy(ctx context.Context, buffer *buffer, message []byte, head *batchHead) error {
	outer, err := readLegacy(head, message)
	if err != nil {
		return err
	}
	codec := head.codec()
	if codec == codecNone {
		return d.legacyRecord(ctx, buffer, outer)
	}
	inner, err := d.decompress(ctx, codec, outer.value)
	if err != nil {
		return err
	}
	defer inner.release()
	base := int64(0)
	if head.magic == 1 {
		last := int64(-1) // inner offset of the last message
		for data := inner.data; len(data) > 0; {
			h, whole, err := readBatchHead(data)
			if err != nil || !whole {
				return fmt.Errorf("%w: a compressed message is cut off", errBatch)
			}
			last, data = h.baseOffset, data[h.bytes:]
		}
		base = outer.offset - last
	}
	for data := inner.data; len(data) > 0; {
		h, whole, err := readBatchHead(data)
		if err != nil || !whole || h.magic > 1 || h.codec() != codecNone {
			return fmt.Errorf("%w: no plain message in a compressed one", errBatch)
		}
		m, err := readLegacy(&h, data[:h.bytes:h.bytes])
		if err != nil {
			return err
		}
		data = data[h.bytes:]
		if m.offset += base; m.offset < 0 || m.offset > outer.offset {
			return fmt.Errorf("%w: a message's offset lies outside of the one that holds it", errBatch)
		}
		if head.magic == 1 && head.attributes&legacyLogTime != 0 {
			m.timestamp = outer.timestamp
		}
		if err := d.legacyRecord(ctx, inner, m); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) legacyRecord(ctx context.Context, buffer *buffer, m legacy) error {
	if m.offset < d.next {
		return nil
	}
	if err := d.room(ctx, 1); err != nil {
		return err
	}
	table := append(d.lease.table, source.Record{Offset: m.offset, Timestamp: m.timestamp, Key: m.key, Value: m.value})
	d.lease.table, d.chunk.Records = table, table
	d.hold(buffer)
	d.chunk.Bytes += len(m.key) + len(m.value)
	d.next, d.epoch = m.offset+1, -1
	return nil
}
