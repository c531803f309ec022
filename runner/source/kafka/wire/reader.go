// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"errors"
)

// ErrShort says that an answer was cut off, or claims more than it has.
var ErrShort = errors.New("an answer ends before it should")

// Reader reads Kafka's primitive types. Once it ran out of bytes it is bad and
// returns zeros.
type Reader struct {
	Data []byte
	At   int
	Bad  bool
	cut  bool // the answer was longer than data
}

// take returns the next n bytes.
func (w *Reader) take(n int) []byte {
	if w.Bad || n < 0 || n > len(w.Data)-w.At {
		w.Bad = true
		return nil
	}
	taken := w.Data[w.At : w.At+n : w.At+n]
	w.At += n
	return taken
}

// int16 reads a number of two bytes.
func (w *Reader) int16() int16 {
	if b := w.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

// int32 reads one of four.
func (w *Reader) int32() int32 {
	if b := w.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// int64 reads one of eight.
func (w *Reader) int64() int64 {
	if b := w.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (w *Reader) uvarint() int {
	if w.Bad {
		return 0
	}
	v, n := binary.Uvarint(w.Data[w.At:])
	if n <= 0 || v > 1<<31 {
		w.Bad = true
		return 0
	}
	w.At += n
	return int(v)
}

// length reads the length of an array, a string or bytes, -1 for null. Width
// is the size of the number in the old encoding, 2 or 4 bytes.
func (w *Reader) length(flexible bool, width int) int {
	switch {
	case flexible:
		return w.uvarint() - 1
	case width == 2:
		return int(w.int16())
	default:
		return int(w.int32())
	}
}

// bytes reads a string or bytes; null is nil.
func (w *Reader) bytes(flexible bool, width int) []byte {
	n := w.length(flexible, width)
	if n < 0 {
		return nil
	}
	return w.take(n)
}

// records reads bytes that may be cut off.
func (w *Reader) records(flexible bool) []byte {
	n := w.length(flexible, 4)
	if n < 0 {
		return nil
	}
	if w.cut {
		n = min(n, len(w.Data)-w.At)
	}
	return w.take(n)
}

// ended says whether data end here, where the answer was cut.
func (w *Reader) ended() bool { return w.cut && w.At == len(w.Data) }

// each reads an array of structures. No memory is taken for what an array
// claims to hold: its elements have to be there.
func (w *Reader) each(flexible bool, element func()) {
	for range w.length(flexible, 4) {
		element()
		if flexible {
			w.SkipTags()
		}
		if w.Bad {
			return
		}
	}
}

// text reads a string; null is nil.
func (w *Reader) text(flexible bool) *string {
	b := w.bytes(flexible, 2)
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}

// tags calls visit with each tagged field; visit may be nil.
func (w *Reader) tags(visit func(tag int, field *Reader)) {
	for range w.uvarint() {
		tag := w.uvarint()
		field := Reader{Data: w.take(w.uvarint())}
		if w.Bad {
			return
		}
		if visit != nil {
			visit(tag, &field)
		}
	}
}

// SkipTags passes over tagged fields.
func (w *Reader) SkipTags() { w.tags(nil) }
