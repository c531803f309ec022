// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
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
	LegacyLogTime      = 0x08
)

// readMessageHead completes the head of a message: one record, if it is not
// compressed. Of a compressed one only the last offset is known.
func readMessageHead(h *Head, message []byte) error {
	if h.Magic < 0 || len(message) < legacyHeadBytes {
		return fmt.Errorf("%w: message of format %d with %d bytes", ErrBatch, h.Magic, len(message))
	}
	h.crc = binary.BigEndian.Uint32(message[offsetOfLegacyCRC:])
	h.Attributes = int16(message[offsetOfLegacyBody+1])
	h.LeaderEpoch, h.ProducerID = -1, -1
	h.Records = 1
	return nil
}

// Message is a message taken apart.
type Message struct {
	Offset, Timestamp int64
	Key, Value        []byte
}

// ReadMessage takes the message apart whose head was read, once its checksum is right.
func ReadMessage(h *Head, message []byte) (m Message, err error) {
	if sum := crc32.ChecksumIEEE(message[offsetOfLegacyBody:]); sum != h.crc {
		return m, fmt.Errorf("checksum is %08x, the message says %08x", sum, h.crc)
	}
	m.Offset, m.Timestamp = h.BaseOffset, -1
	w := Reader{Data: message, At: offsetOfLegacyBody + 2}
	if h.Magic == 1 {
		m.Timestamp = w.int64()
	}
	m.Key, m.Value = w.bytes(false, 4), w.bytes(false, 4)
	if w.Bad || w.At != len(message) {
		return m, fmt.Errorf("%w: a message's key and value do not fill it", ErrBatch)
	}
	return m, nil
}
