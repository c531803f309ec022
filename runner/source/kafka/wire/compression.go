// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// Codecs, as numbered in a batch's attributes.
const (
	CodecNone = iota
	CodecGzip
	CodecSnappy
	CodecLZ4
	CodecZstd
)

// largestGuess is the most memory that is taken on a guess.
const largestGuess = 16 << 20

// ErrRoom says that a buffer is too small for what data decompress to.
var ErrRoom = errors.New("it decompresses to more than there is room for")

// ErrTooLarge marks batches that are larger than the settings allow. They may
// be as whole as any other: to fetch them again is of no use.
var ErrTooLarge = errors.New("it is larger than SPOUT_KAFKA_MAX_BATCH_BYTES allows")

// TooLarge is ErrTooLarge with the limit.
func TooLarge(limit int) error {
	return fmt.Errorf("%w: more than %s", ErrTooLarge, settings.Bytes(limit))
}

// The most bytes that a byte of compressed data can become. In snappy, three
// bytes copy 64; in zstd, a block of four bytes becomes 128 KiB.
const (
	mostOfSnappy = 22
	mostOfZstd   = 32 << 10
)

// zstdSlack is the room beyond what was decompressed that tells damaged data
// from data that lack room.
const zstdSlack = 128<<10 + 64

// MostRoom returns the most room that a batch is given.
func (d *Decompressor) MostRoom(codec int16) int {
	if codec == CodecZstd {
		return d.Limit + zstdSlack
	}
	return d.Limit
}

// believed returns an error if compressed data claim a size that they cannot
// become.
func believed(claim uint64, compressed, most int) error {
	if claim/uint64(most) > uint64(compressed) {
		return fmt.Errorf("%d bytes cannot decompress to the %d that they claim", compressed, claim)
	}
	return nil
}

// gzipReaders and zstdDecoders are shared: one takes up to a megabyte, and there
// is a decompressor for each of many brokers, of which few are at work at a time.
var gzipReaders, zstdDecoders sync.Pool

// Decompressor decompresses batches into the room that it is given, and takes
// no more. It is not safe for concurrent use.
type Decompressor struct {
	Limit  int // most bytes that a batch may decompress to
	input  bytes.Reader
	header zstd.Header
	ratios [CodecZstd + 1]float64 // by codec: how much larger the last batches became
}

// SizeHint returns the size that data say they decompress to, or a guess. It
// is an error if they cannot, or must not.
func (d *Decompressor) SizeHint(codec int16, data []byte) (int, error) {
	if codec < 0 || int(codec) >= len(d.ratios) {
		return 0, nil
	}
	var claim uint64
	var err error
	switch codec {
	case CodecSnappy:
		claim, err = snappySize(data)
	case CodecZstd:
		if d.header.Decode(data) == nil && d.header.HasFCS {
			claim = d.header.FrameContentSize
			err = believed(claim, len(data), mostOfZstd)
		}
	}
	switch {
	case err != nil:
		return 0, err
	case claim > uint64(d.Limit):
		return 0, TooLarge(d.Limit)
	case claim > 0:
		return int(claim), nil
	}
	return int(min(max(d.ratios[codec], 4)*float64(len(data))+1024, largestGuess, float64(d.Limit))), nil
}

// Learn notes what a batch became, for later guesses: the largest ratio seen,
// forgotten slowly.
func (d *Decompressor) Learn(codec int16, compressed, decompressed int) {
	if compressed > 0 && int(codec) < len(d.ratios) {
		d.ratios[codec] = max(0.95*d.ratios[codec], 1.05*float64(decompressed)/float64(compressed))
	}
}

// Into returns the decompressed data, in the capacity of out, or ErrRoom.
func (d *Decompressor) Into(out []byte, codec int16, data []byte) ([]byte, error) {
	var err error
	switch codec {
	case CodecGzip:
		d.input.Reset(data)
		defer d.input.Reset(nil)
		r, _ := gzipReaders.Get().(*gzip.Reader)
		if r == nil {
			r = new(gzip.Reader)
		}
		defer gzipReaders.Put(r)
		if err := r.Reset(&d.input); err != nil {
			return out, err
		}
		return readInto(out, r)
	case CodecSnappy:
		if isXerial(data) {
			return xerialInto(out, data)
		}
		return snappyInto(out, data)
	case CodecLZ4:
		return lz4Into(out, data)
	case CodecZstd:
		z, _ := zstdDecoders.Get().(*zstd.Decoder)
		if z == nil { // it has no goroutine that would have to be ended
			if z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true)); err != nil {
				return out, err
			}
		}
		defer zstdDecoders.Put(z)
		room := cap(out)
		if out, err = z.DecodeAll(data, out); err != nil && len(out) > room-zstdSlack {
			return out, ErrRoom // or damaged: it cannot be told
		}
		return out, err
	}
	return out, fmt.Errorf("%w: compression %d is not known", ErrBatch, codec)
}

// readInto reads r to its end.
func readInto(out []byte, r io.Reader) ([]byte, error) {
	var beyond [1]byte
	for {
		room := out[len(out):cap(out)]
		if len(room) == 0 {
			room = beyond[:]
		}
		n, err := r.Read(room)
		if n > 0 && len(out) == cap(out) {
			return out, ErrRoom
		}
		out = out[:len(out)+n]
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return out, err
		}
	}
}

func snappyInto(out, block []byte) ([]byte, error) {
	n, err := s2.DecodedLen(block)
	if err != nil {
		return out, err
	}
	at := len(out)
	if n > cap(out)-at {
		return out, ErrRoom
	}
	out = out[:at+n]
	_, err = s2.Decode(out[at:], block)
	return out, err
}

// xerialMagic begins snappy data in the framing of the Java library
// snappy-java, which Kafka's own clients write: 16 bytes of head, then blocks
// with their length before them.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeadBytes = 16

func isXerial(data []byte) bool {
	return len(data) >= xerialHeadBytes && bytes.HasPrefix(data, xerialMagic)
}

// snappySize returns the size that snappy data claim.
func snappySize(data []byte) (total uint64, err error) {
	if !isXerial(data) {
		return blockSize(data)
	}
	for rest := data[xerialHeadBytes:]; len(rest) > 0; {
		var block []byte
		if block, rest, err = cutXerial(rest); err != nil {
			return 0, err
		}
		size, err := blockSize(block)
		if err != nil {
			return 0, err
		}
		total += size
	}
	return total, nil
}

func blockSize(block []byte) (uint64, error) {
	n, err := s2.DecodedLen(block)
	if err != nil {
		return 0, err
	}
	return uint64(n), believed(uint64(n), len(block), mostOfSnappy)
}

func cutXerial(rest []byte) (block, after []byte, err error) {
	if len(rest) < 4 {
		return nil, nil, fmt.Errorf("%w: snappy data end within a block's length", ErrBatch)
	}
	n := int64(binary.BigEndian.Uint32(rest))
	if n > int64(len(rest)-4) {
		return nil, nil, fmt.Errorf("%w: snappy data end within a block", ErrBatch)
	}
	return rest[4 : 4+n], rest[4+n:], nil
}

func xerialInto(out, data []byte) ([]byte, error) {
	for rest := data[xerialHeadBytes:]; len(rest) > 0; {
		block, after, err := cutXerial(rest)
		if err != nil {
			return out, err
		}
		if out, err = snappyInto(out, block); err != nil {
			return out, err
		}
		rest = after
	}
	return out, nil
}
