// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Head is that of a chunk.
type Head struct {
	Entries   int   // messages, or batches of them
	Messages  int   // in all entries
	Timestamp int64 // of the whole chunk, in milliseconds since 1970
	First     int64 // offset of the first message; the others follow without a hole
	Bytes     int   // of the entries
	crc       uint32
	user      bool // it has messages
}

// Next is the offset after the chunk.
func (h Head) Next() int64 { return h.First + int64(h.Messages) }

const (
	headSize = 48
	magic    = 5
)

// ParseHead reads it.
func ParseHead(raw []byte) (Head, error) {
	if raw[0]>>4 != magic {
		return Head{}, fmt.Errorf("a chunk of the unknown format %#x", raw[0])
	}
	h := Head{
		user:      raw[1] == 0,
		Entries:   int(binary.BigEndian.Uint16(raw[2:])),
		Messages:  int(binary.BigEndian.Uint32(raw[4:])),
		Timestamp: int64(binary.BigEndian.Uint64(raw[8:])),
		First:     int64(binary.BigEndian.Uint64(raw[24:])),
		crc:       binary.BigEndian.Uint32(raw[32:]),
		Bytes:     int(binary.BigEndian.Uint32(raw[36:])),
	}
	if h.First < 0 || h.First >= math.MaxInt64-int64(h.Messages) || h.Entries > h.Messages {
		return Head{}, fmt.Errorf("a chunk of %d entries and %d messages at offset %d", h.Entries, h.Messages, h.First)
	}
	return h, nil
}

// ErrDamaged says that a chunk is not as it was stored.
var ErrDamaged = errors.New("the chunk is damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// Reader goes through the messages of chunks. It keeps what it needs for that.
// One goroutine at a time may be between a call of grow and the end of Messages.
type Reader struct {
	zstd *zstd.Decoder
	gzip *gzip.Reader
	lz4  *lz4.Reader
	snap *snappy.Reader
}

// Messages calls each for all messages of a chunk, in their order. Bytes of
// compressed ones are in buffers that grow gives, and that are the caller's. A
// batch that its publisher has not made as it should be is left out if lost
// returns nil for its messages.
func (r *Reader) Messages(c *Chunk, grow func(n int) ([]byte, error), each func(offset int64, message []byte) error, lost func(offset int64, messages int, why error) error) error {
	if checksum(c.Data) != c.Head.crc {
		return damaged("its checksum is wrong")
	}
	if !c.Head.user {
		return nil
	}
	rest, offset := c.Data, c.Head.First
	for range c.Head.Entries {
		if len(rest) < 4 {
			return damaged("an entry is cut off")
		}
		if rest[0]&0x80 == 0 {
			n := int(binary.BigEndian.Uint32(rest))
			if n > len(rest)-4 {
				return damaged("a message of %d bytes is cut off", n)
			}
			if offset >= c.Head.Next() {
				return damaged("it has more than %d messages", c.Head.Messages)
			}
			if err := each(offset, rest[4:4+n:4+n]); err != nil {
				return err
			}
			rest = rest[4+n:]
			offset++
			continue
		}
		const batchHead = 11
		if len(rest) < batchHead {
			return damaged("a batch is cut off")
		}
		kind, count := rest[0]>>4&7, int(binary.BigEndian.Uint16(rest[1:]))
		plain, packed := int(binary.BigEndian.Uint32(rest[3:])), int(binary.BigEndian.Uint32(rest[7:]))
		if packed > len(rest)-batchHead {
			return damaged("a batch of %d bytes is cut off", packed)
		}
		if int64(count) > c.Head.Next()-offset {
			return damaged("it has more than %d messages", c.Head.Messages)
		}
		batch, err := r.unpack(kind, rest[batchHead:batchHead+packed], plain, grow)
		for end := offset + int64(count); offset < end; offset++ {
			var n uint32
			switch {
			case err != nil:
			case len(batch) < 4:
				err = damaged("a message of a batch is cut off")
			default:
				if n = binary.BigEndian.Uint32(batch); int64(n) > int64(len(batch)-4) {
					err = damaged("a message of %d bytes in a batch is cut off", n)
				}
			}
			if err != nil {
				if err := lost(offset, int(end-offset), err); err != nil {
					return err
				}
				offset = end
				break
			}
			if err := each(offset, batch[4:4+n:4+n]); err != nil {
				return err
			}
			batch = batch[4+n:]
		}
		rest = rest[batchHead+packed:]
	}
	if offset != c.Head.Next() {
		return damaged("it has %d messages, not %d", offset-c.Head.First, c.Head.Messages)
	}
	return nil
}

// Compressions of batches.
const (
	plainBatch = iota
	gzipBatch
	snappyBatch
	lz4Batch
	zstdBatch
)

// maxWindow is the largest window of zstd: what all decoders must have.
const maxWindow = 8 << 20

// unpack returns the messages of a batch, which take plain bytes.
func (r *Reader) unpack(kind byte, packed []byte, plain int, grow func(int) ([]byte, error)) ([]byte, error) {
	if kind == plainBatch {
		return packed, nil
	}
	out, err := grow(plain)
	if err != nil {
		return nil, err
	}
	in := bytes.NewReader(packed)
	var from io.Reader
	switch kind {
	case gzipBatch:
		if r.gzip == nil {
			r.gzip, err = gzip.NewReader(in)
		} else {
			err = r.gzip.Reset(in)
		}
		from = r.gzip
	case snappyBatch:
		if r.snap == nil {
			r.snap = snappy.NewReader(in)
		} else {
			r.snap.Reset(in)
		}
		from = r.snap
	case lz4Batch:
		if r.lz4 == nil {
			r.lz4 = lz4.NewReader(in)
		} else {
			r.lz4.Reset(in)
		}
		from = r.lz4
	case zstdBatch:
		if r.zstd == nil {
			r.zstd, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		} else {
			err = r.zstd.Reset(in)
		}
		from = r.zstd
	default:
		return nil, damaged("a batch has the unknown compression %d", kind)
	}
	if err == nil {
		_, err = io.ReadFull(from, out)
	}
	if err != nil {
		return nil, damaged("a compressed batch: %v", err)
	}
	return out, nil
}

// Close ends what the reader has begun.
func (r *Reader) Close() {
	if r.zstd != nil {
		r.zstd.Close()
	}
}

func checksum(data []byte) uint32 { return crc32.ChecksumIEEE(data) }
