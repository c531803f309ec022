// SPDX-License-Identifier: Apache-2.0

package wire

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

// lz4Into appends what a frame decompresses to, if there is room.
func lz4Into(out, frame []byte) ([]byte, error) {
	bad := func(what string) ([]byte, error) { return out, fmt.Errorf("%w: lz4 frame: %s", ErrBatch, what) }
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
		switch {
		case length&lz4Uncompressed == 0:
			out, err = lz4BlockInto(out, block, begin, largest)
		case n > cap(out)-len(out):
			err = ErrRoom
		default:
			out = append(out, block...)
		}
		if err != nil {
			return out, err
		}
	}
}

// lz4BlockInto appends a block of at most largest bytes. Blocks may refer back
// to what the same frame, from begin on, has before them.
func lz4BlockInto(out, block []byte, begin, largest int) ([]byte, error) {
	at := len(out)
	into := out[at:min(cap(out), at+largest)]
	n, err := lz4.UncompressBlockWithDict(block, into, out[max(begin, at-lz4Window):at])
	if err == nil {
		return out[:at+n], nil
	}
	if len(into) < largest && lz4BlockSize(block) > len(into) {
		return out, ErrRoom
	}
	return out, err
}

// lz4BlockSize returns how many bytes a block's sequences make, whether or not
// they make sense.
func lz4BlockSize(block []byte) (size int) {
	at := 0
	number := func(n int) int { // 15 means that more is to be added
		if n < 15 {
			return n
		}
		for at < len(block) {
			more := block[at]
			at++
			if n += int(more); more < 255 {
				break
			}
		}
		return n
	}
	for at < len(block) {
		token := int(block[at])
		at++
		literals := number(token >> 4)
		size, at = size+literals, at+literals
		if at += 2; at < len(block) { // the offset; the last sequence has none
			size += number(token&15) + 4
		}
	}
	return size
}
