// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Kafka's record batch, format 2 (since Kafka 0.11): a head of 61 bytes, then
// records, compressed together or not at all. All numbers are big endian; the
// numbers inside of records are zigzag varints.
const (
	HeadBytes = 61
	// PrefixBytes are the base offset and the length of what follows,
	// common to all formats.
	PrefixBytes = 12
	// offsetOfCRCed is where the bytes begin that the checksum covers.
	offsetOfCRCed = 21
	offsetOfMagic = 16
	// MinRecordBytes is the size of a record without key, value and headers.
	MinRecordBytes = 7
)

// Bits of a batch's attributes.
const (
	AttrCompression   = 0x07
	attrLogAppendTime = 0x08
	AttrTransactional = 0x10
	AttrControl       = 0x20
)

// Head is what the head of a batch says.
type Head struct {
	BaseOffset  int64
	LeaderEpoch int32
	Magic       int8
	crc         uint32
	Attributes  int16
	lastDelta   int32 // the batch stands for offsets up to base + lastDelta, even if compaction removed the last records
	firstTime   int64 // milliseconds since 1970, the records' deltas count from here
	maxTime     int64
	ProducerID  int64
	Records     int32
	Bytes       int // of the whole batch
}

// LastOffset is the highest offset that the batch stands for.
func (h *Head) LastOffset() int64 { return h.BaseOffset + int64(h.lastDelta) }

// Codec is the number of what its records are compressed with.
func (h *Head) Codec() int16 { return h.Attributes & AttrCompression }

// ErrBatch says that a batch is none, or damaged.
var ErrBatch = errors.New("malformed record batch")

// ReadHead reads the head of the batch that data begins with. ok is false
// if data ends before the batch does, which is how brokers cut a response at
// its size limit.
func ReadHead(data []byte) (h Head, ok bool, err error) {
	if len(data) < offsetOfMagic+1 {
		return h, false, nil
	}
	be := binary.BigEndian
	h.BaseOffset = int64(be.Uint64(data))
	length := int32(be.Uint32(data[8:]))
	h.Magic = int8(data[offsetOfMagic])
	if length < 0 || h.BaseOffset < 0 {
		return h, false, fmt.Errorf("%w: base offset %d, length %d", ErrBatch, h.BaseOffset, length)
	}
	h.Bytes = PrefixBytes + int(length)
	if h.Bytes > len(data) {
		return h, false, nil
	}
	if h.Magic < 2 {
		if err := readMessageHead(&h, data[:h.Bytes]); err != nil {
			return h, false, err
		}
		return h, true, h.checkOffset()
	}
	if h.Magic > 2 {
		return h, false, fmt.Errorf("%w: format %d is not known", ErrBatch, h.Magic)
	}
	if h.Bytes < HeadBytes {
		return h, false, fmt.Errorf("%w: length %d is less than its head", ErrBatch, length)
	}
	h.LeaderEpoch = int32(be.Uint32(data[12:]))
	h.crc = be.Uint32(data[17:])
	h.Attributes = int16(be.Uint16(data[21:]))
	h.lastDelta = int32(be.Uint32(data[23:]))
	h.firstTime = int64(be.Uint64(data[27:]))
	h.maxTime = int64(be.Uint64(data[35:]))
	h.ProducerID = int64(be.Uint64(data[43:]))
	h.Records = int32(be.Uint32(data[57:]))
	if h.lastDelta < 0 || h.Records < 0 || h.LeaderEpoch < -1 {
		return h, false, fmt.Errorf("%w: %d records, last offset delta %d, leader epoch %d", ErrBatch, h.Records, h.lastDelta, h.LeaderEpoch)
	}
	return h, true, h.checkOffset()
}

// checkOffset returns an error if no offset can follow the batch. Reading could
// not go on there, nor a position be made of it.
func (h *Head) checkOffset() error {
	if h.BaseOffset >= math.MaxInt64-int64(h.lastDelta) {
		return fmt.Errorf("%w: base offset %d, last offset delta %d", ErrBatch, h.BaseOffset, h.lastDelta)
	}
	return nil
}

// AfterBatch returns the offset at which reading goes on behind the batch that
// data begins with, whatever is wrong with it. What the next batch says is
// believed before what the damaged one does.
func AfterBatch(data []byte) (next int64, ok bool) {
	be := binary.BigEndian
	if len(data) < HeadBytes {
		return 0, false
	}
	length := int64(int32(be.Uint32(data[8:])))
	if length < HeadBytes-PrefixBytes {
		return 0, false
	}
	if end := PrefixBytes + length; end < int64(len(data)) {
		if h, whole, err := ReadHead(data[end:]); err == nil && whole {
			return h.BaseOffset, true
		}
	}
	base, lastDelta := int64(be.Uint64(data)), int32(be.Uint32(data[23:]))
	return base + int64(lastDelta) + 1, base >= 0 && lastDelta >= 0 && base < math.MaxInt64-int64(lastDelta) && data[offsetOfMagic] == 2
}

// IsAbortMarker says whether a control batch ends a transaction without
// committing it. Its only record's key is a version and a type, 0 for abort.
func (h *Head) IsAbortMarker(batch []byte) bool {
	c := Cursor{Data: batch[HeadBytes:], Head: h, Left: int(h.Records)}
	var one [1]source.Record
	records, err := c.Read(one[:0])
	if err != nil || len(records) == 0 {
		return false
	}
	key := records[0].Key
	return len(key) >= 4 && binary.BigEndian.Uint16(key[2:]) == 0
}

// Cursor reads the records of one batch of format 2 in steps.
type Cursor struct {
	Data []byte // records, decompressed
	Head *Head
	At   int   // in data
	Left int   // records not read
	From int64 // records below this offset are passed over
	last int64 // least offset that the next record may have, relative to the batch
}

// Read appends records to table until it is full or the batch is read. The
// records refer to the cursor's data. Nothing is allocated.
func (c *Cursor) Read(table []source.Record) ([]source.Record, error) {
	var (
		base     = c.Head.BaseOffset
		first    = c.Head.firstTime
		appended = c.Head.Attributes&attrLogAppendTime != 0
		maxDelta = int64(c.Head.lastDelta)
		had      = len(table)
		overflow int64 // negative if a timestamp is out of range
	)
	for c.Left > 0 && len(table) < cap(table) {
		n := len(table)
		table = table[:n+1]
		r := &table[n]
		next := readShort(c.Data, c.At, r)
		if next < 0 {
			var err error
			if next, err = readRecord(c.Data, c.At, r); err != nil {
				return table[:n], err
			}
		}
		if r.Offset < c.last || r.Offset > maxDelta {
			return table[:n], fmt.Errorf("%w: a record's offset lies outside of it, or is not in order", ErrBatch)
		}
		c.last = r.Offset + 1
		r.Offset += base
		if appended {
			r.Timestamp = c.Head.maxTime
		} else {
			sum := r.Timestamp + first
			overflow |= (sum ^ r.Timestamp) & (sum ^ first)
			r.Timestamp = sum
		}
		c.Left--
		c.At = next
		if r.Offset < c.From {
			table = table[:n]
		}
	}
	if overflow < 0 {
		return table[:had], fmt.Errorf("%w: a record's timestamp is out of range", ErrBatch)
	}
	if c.Left == 0 && c.At != len(c.Data) {
		return table, fmt.Errorf("%w: %d bytes follow its last record", ErrBatch, len(c.Data)-c.At)
	}
	return table, nil
}

// readShort reads a record that begins at data[at:], if it has no headers and
// no number of more than three bytes, and others follow it in data: nearly all
// records. It returns the place after it, or a negative one for readRecord to
// look at it. Offset and timestamp are still relative to the batch.
//
// A number that is too long is not looked for one by one: whatever was made of
// it stays within data, and all of them are judged at the end.
func readShort(data []byte, at int, r *source.Record) int {
	if len(data)-at < 40 { // room for all numbers, and for what the last one may point beyond
		return -1
	}
	length, at := shortVarint(data, at)
	end := at + int(length>>1)
	if end > len(data)-8 {
		return -1
	}
	at++ // attributes, unused
	timestamp, at := shortVarint(data, at)
	offset, at := shortVarint(data, at)
	key, at := shortVarint(data, at)
	r.Timestamp, r.Offset, r.Key, r.Value, r.Headers = unzigzag(timestamp), unzigzag(offset), nil, nil, source.Headers{}
	if key&1 == 0 {
		from := at
		if at += int(key >> 1); at > end {
			return -1
		}
		r.Key = data[from:at:at]
	}
	value, at := shortVarint(data, at)
	if value&1 == 0 {
		from := at
		if at += int(value >> 1); at > end {
			return -1
		}
		r.Value = data[from:at:at]
	}
	long := length|timestamp|offset|key|value >= 1<<(3*7)
	if at != end-1 || data[at] != 0 || length&1 != 0 || long {
		return -1 // it has headers, as a rule
	}
	return end
}

// shortVarint reads a varint of up to three bytes at b[at:], and returns the
// place after it. One that is longer yields 1<<21 or more. That numbers have
// the same length in most records is what makes its branches quick.
func shortVarint(b []byte, at int) (zigzag uint, after int) {
	v := uint(b[at])
	at++
	if v >= 1<<7 {
		v = v&(1<<7-1) | uint(b[at])<<7
		at++
		if v >= 1<<14 {
			v = v&(1<<14-1) | uint(b[at])<<14
			at++
		}
	}
	return v, at
}

func unzigzag(v uint) int64 { return int64(v>>1) ^ -int64(v&1) }

// readRecord reads any record that begins at data[at:] and returns the place
// after it. Offset and timestamp are still relative to the batch.
func readRecord(data []byte, at int, r *source.Record) (int, error) {
	var n int64
	if n, at = varint(data, at); at < 0 || n < 0 || n > int64(len(data)-at) {
		return 0, fmt.Errorf("%w: a record is longer than its batch", ErrBatch)
	}
	record := data[: at+int(n) : at+int(n)]
	at++ // attributes, unused
	r.Timestamp, at = varint(record, at)
	if r.Offset, at = varint(record, at); at < 0 {
		return 0, fmt.Errorf("%w: a record ends before its key", ErrBatch)
	}
	n, at = varint(record, at)
	switch {
	case at < 0 || n > int64(len(record)-at):
		return 0, fmt.Errorf("%w: a key is longer than its record", ErrBatch)
	case n < 0:
		r.Key = nil
	default:
		r.Key = record[at : at+int(n) : at+int(n)]
		at += int(n)
	}
	n, at = varint(record, at)
	switch {
	case at < 0 || n > int64(len(record)-at):
		return 0, fmt.Errorf("%w: a value is longer than its record", ErrBatch)
	case n < 0:
		r.Value = nil
	default:
		r.Value = record[at : at+int(n) : at+int(n)]
		at += int(n)
	}
	n, at = varint(record, at)
	switch {
	case at < 0 || n < 0:
		return 0, fmt.Errorf("%w: a record ends before its headers", ErrBatch)
	case n == 0:
		r.Headers = source.Headers{}
	default:
		if !validHeaders(record, at, n) {
			return 0, fmt.Errorf("%w: headers are longer than their record", ErrBatch)
		}
		r.Headers = source.Headers{Count: int(n), Raw: record[at:]}
	}
	return len(record), nil
}

// validHeaders says whether count headers stand in record from at on.
func validHeaders(record []byte, at int, count int64) bool {
	for range count {
		n, next := varint(record, at)
		if next < 0 || n < 0 || n > int64(len(record)-next) {
			return false
		}
		at = next + int(n)
		n, next = varint(record, at)
		if next < 0 || n > int64(len(record)-next) {
			return false
		}
		at = next + int(max(n, 0))
	}
	return true
}

// varint reads a zigzag varint at b[at:] and returns the place after it, or a
// negative one if there is none; a negative at stays negative.
func varint(b []byte, at int) (int64, int) {
	if at < 0 || at >= len(b) {
		return 0, -1
	}
	v, n := binary.Varint(b[at:])
	if n <= 0 {
		return 0, -1
	}
	return v, at + n
}
