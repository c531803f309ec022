// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// Codecs, as numbered in a batch's attributes.
const (
	codecNone = iota
	codecGzip
	codecSnappy
	codecLZ4
	codecZstd
)

// maxDecompressed is the most bytes that one batch may decompress to. Nothing
// that a producer makes comes near; damaged or hostile data must not exhaust
// the memory.
const maxDecompressed = 1 << 30

// largestGuess is the most memory that is taken on a guess.
const largestGuess = 16 << 20

var errTooLarge = fmt.Errorf("%w: it decompresses to more than %d bytes", errBatch, maxDecompressed)

// decompressor decompresses batches. It is not safe for concurrent use.
type decompressor struct {
	input  bytes.Reader
	gzip   *gzip.Reader
	zstd   *zstd.Decoder
	header zstd.Header
	ratios [codecZstd + 1]float64 // by codec: how much larger the last batches became
}

func (d *decompressor) close() {
	if d.zstd != nil {
		d.zstd.Close()
	}
}

// sizeHint returns the size that data decompresses to, or a guess.
func (d *decompressor) sizeHint(codec int16, data []byte) int {
	if codec < 0 || int(codec) >= len(d.ratios) {
		return 0
	}
	guess := int(min(max(d.ratios[codec], 4)*float64(len(data))+1024, largestGuess))
	switch codec {
	case codecSnappy:
		if isXerial(data) {
			return xerialSize(data)
		}
		if n, err := s2.DecodedLen(data); err == nil && n <= maxDecompressed {
			return n
		}
	case codecZstd:
		if d.header.Decode(data) == nil && d.header.HasFCS && d.header.FrameContentSize <= maxDecompressed {
			return int(d.header.FrameContentSize)
		}
	}
	return guess
}

// learn notes what a batch became, for later guesses: the largest ratio seen,
// forgotten slowly.
func (d *decompressor) learn(codec int16, compressed, decompressed int) {
	if compressed > 0 && int(codec) < len(d.ratios) {
		d.ratios[codec] = max(0.95*d.ratios[codec], 1.05*float64(decompressed)/float64(compressed))
	}
}

// appendTo appends the decompressed data to out, whose capacity should be the
// size hint. Out may be moved in growing.
func (d *decompressor) appendTo(out []byte, codec int16, data []byte) ([]byte, error) {
	var err error
	switch codec {
	case codecGzip:
		d.input.Reset(data)
		if d.gzip == nil {
			d.gzip, err = gzip.NewReader(&d.input)
		} else {
			err = d.gzip.Reset(&d.input)
		}
		if err != nil {
			return out, err
		}
		return appendAll(out, d.gzip)
	case codecSnappy:
		if isXerial(data) {
			return appendXerial(out, data)
		}
		return appendSnappy(out, data)
	case codecLZ4:
		return appendLZ4(out, data)
	case codecZstd:
		if d.zstd == nil {
			d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDecompressed))
			if err != nil {
				return out, err
			}
		}
		return d.zstd.DecodeAll(data, out)
	}
	return out, fmt.Errorf("%w: compression %d is not known", errBatch, codec)
}

// appendAll reads r to its end.
func appendAll(out []byte, r io.Reader) ([]byte, error) {
	for {
		if len(out) == cap(out) {
			out = append(out, 0)[:len(out)]
		}
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return out, err
		case len(out) > maxDecompressed:
			return out, errTooLarge
		}
	}
}

func appendSnappy(out, block []byte) ([]byte, error) {
	n, err := s2.DecodedLen(block)
	if err != nil {
		return out, err
	}
	if n > maxDecompressed-len(out) {
		return out, errTooLarge
	}
	at := len(out)
	if cap(out)-at < n {
		out = append(out, make([]byte, n)...)
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

func xerialSize(data []byte) (total int) {
	for rest := data[xerialHeadBytes:]; len(rest) > 4; {
		n := int64(binary.BigEndian.Uint32(rest))
		if n > int64(len(rest)-4) {
			break
		}
		size, err := s2.DecodedLen(rest[4 : 4+n])
		if err != nil || size > maxDecompressed-total {
			break
		}
		total += size
		rest = rest[4+n:]
	}
	return total
}

func appendXerial(out, data []byte) ([]byte, error) {
	for rest := data[xerialHeadBytes:]; len(rest) > 0; {
		if len(rest) < 4 {
			return out, fmt.Errorf("%w: snappy data end within a block's length", errBatch)
		}
		n := int64(binary.BigEndian.Uint32(rest))
		if n > int64(len(rest)-4) {
			return out, fmt.Errorf("%w: snappy data end within a block", errBatch)
		}
		var err error
		if out, err = appendSnappy(out, rest[4:4+n]); err != nil {
			return out, err
		}
		rest = rest[4+n:]
	}
	return out, nil
}
