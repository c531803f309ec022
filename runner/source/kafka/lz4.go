// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/binary"
	"fmt"

	"github.com/pierrec/lz4/v4"
)

// LZ4's frame format, as far as Kafka's clients use it. It is read here since
// the library's reader takes 8 MiB for each frame, however small, and copies.
// The frame's own checksums are passed over: the batch has one, and the oldest
// Kafka clients computed the frame's wrongly.
const (
	lz4Magic            = 0x184D2204
	lz4BlockChecksums   = 0x10
	lz4ContentSize      = 0x08
	lz4DictionaryID     = 0x01
	lz4Version          = 0x40
	lz4VersionMask      = 0xC0
	lz4Uncompressed     = 1 << 31
	lz4Window           = 64 << 10
	lz4ChecksumBytes    = 4
	lz4ContentSizeBytes = 8
)

// appendLZ4 appends what a frame decompresses to.
func appendLZ4(out, frame []byte) ([]byte, error) {
	bad := func(what string) ([]byte, error) { return out, fmt.Errorf("%w: lz4 frame: %s", errBatch, what) }
	if len(frame) < 7 || binary.LittleEndian.Uint32(frame) != lz4Magic {
		return bad("it does not begin as one")
	}
	flags, blockSize := frame[4], frame[5]
	size := blockSize >> 4 & 7
	if flags&lz4VersionMask != lz4Version || flags&lz4DictionaryID != 0 || size < 4 {
		return bad("its kind is not known")
	}
	largest := 1 << (8 + 2*size) // 64 KiB to 4 MiB
	at := 7
	if flags&lz4ContentSize != 0 {
		at += lz4ContentSizeBytes
	}
	begin := len(out)
	for {
		if at > len(frame)-4 {
			return bad("it ends within a block's length")
		}
		length := binary.LittleEndian.Uint32(frame[at:])
		at += 4
		if length == 0 {
			return out, nil
		}
		n := int(length &^ lz4Uncompressed)
		if n > len(frame)-at || n > largest {
			return bad("a block is longer than it")
		}
		block := frame[at : at+n]
		at += n
		if flags&lz4BlockChecksums != 0 {
			at += lz4ChecksumBytes
		}
		var err error
		if length&lz4Uncompressed != 0 {
			out = append(out, block...)
		} else if out, err = appendLZ4Block(out, block, begin, largest); err != nil {
			return out, err
		}
		if len(out)-begin > maxDecompressed {
			return out, errTooLarge
		}
	}
}

// appendLZ4Block appends a block of at most largest bytes. Blocks may refer
// back to what the same frame, from begin on, has before them.
func appendLZ4Block(out, block []byte, begin, largest int) ([]byte, error) {
	for room := min(largest, 4*len(block)+64); ; room = min(4*room, largest) {
		at := len(out)
		if cap(out)-at < room {
			out = append(out, make([]byte, room)...)[:at]
		}
		into := out[at:min(cap(out), at+largest)]
		n, err := lz4.UncompressBlockWithDict(block, into, out[max(begin, at-lz4Window):at])
		if err == nil {
			return out[:at+n], nil
		}
		if room == largest || len(into) == largest {
			return out, err
		}
	}
}
