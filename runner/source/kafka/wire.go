// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/binary"
	"errors"
)

var errShort = errors.New("an answer ends before it should")

// wire reads Kafka's primitive types. Once it ran out of bytes it is bad and
// returns zeros.
type wire struct {
	data []byte
	at   int
	bad  bool
	cut  bool // the answer was longer than data
}

// take returns the next n bytes.
func (w *wire) take(n int) []byte {
	if w.bad || n < 0 || n > len(w.data)-w.at {
		w.bad = true
		return nil
	}
	taken := w.data[w.at : w.at+n : w.at+n]
	w.at += n
	return taken
}

func (w *wire) int16() int16 {
	if b := w.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (w *wire) int32() int32 {
	if b := w.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (w *wire) int64() int64 {
	if b := w.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (w *wire) uvarint() int {
	if w.bad {
		return 0
	}
	v, n := binary.Uvarint(w.data[w.at:])
	if n <= 0 || v > 1<<31 {
		w.bad = true
		return 0
	}
	w.at += n
	return int(v)
}

// length reads the length of an array, a string or bytes, -1 for null. Width
// is the size of the number in the old encoding, 2 or 4 bytes.
func (w *wire) length(flexible bool, width int) int {
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
func (w *wire) bytes(flexible bool, width int) []byte {
	n := w.length(flexible, width)
	if n < 0 {
		return nil
	}
	return w.take(n)
}

// records reads bytes that may be cut off.
func (w *wire) records(flexible bool) []byte {
	n := w.length(flexible, 4)
	if n < 0 {
		return nil
	}
	if w.cut {
		n = min(n, len(w.data)-w.at)
	}
	return w.take(n)
}

// ended says whether data end here, where the answer was cut.
func (w *wire) ended() bool { return w.cut && w.at == len(w.data) }

// each reads an array of structures. No memory is taken for what an array
// claims to hold: its elements have to be there.
func (w *wire) each(flexible bool, element func()) {
	for range w.length(flexible, 4) {
		element()
		if flexible {
			w.skipTags()
		}
		if w.bad {
			return
		}
	}
}

// text reads a string; null is nil.
func (w *wire) text(flexible bool) *string {
	b := w.bytes(flexible, 2)
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}

// tags calls visit with each tagged field; visit may be nil.
func (w *wire) tags(visit func(tag int, field *wire)) {
	for range w.uvarint() {
		tag := w.uvarint()
		field := wire{data: w.take(w.uvarint())}
		if w.bad {
			return
		}
		if visit != nil {
			visit(tag, &field)
		}
	}
}

func (w *wire) skipTags() { w.tags(nil) }
