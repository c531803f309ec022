// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// protoWriter brings messages into Avro's encoding, straight from their bytes:
// as messages in memory they would take some hundred times as much.
type protoWriter struct {
	data  []byte
	found []occurrence
	// heads are the chains of the fields of the messages around, and members
	// the fields that are set of their oneofs.
	heads   []chain
	members []int32
	keys    []keyAt // of the entries of the maps around

	largest int // bytes that a value may become
	limit   int // bytes that this one may become
}

// occurrenceMemory is what an occurrence takes.
const occurrenceMemory = 16

// occurrence is a value of a field, without tag and length. A field may occur
// any number of times, in any order.
type occurrence struct {
	begin, end int32
	next       int32 // of the same field, -1 for none
	wire       protowire.Type
}

// chain are the occurrences of a field.
type chain struct{ first, last int32 }

var noChain = chain{-1, -1}

func (w *protoWriter) write(dst []byte, m *protoMessage, payload []byte) ([]byte, error) {
	if len(payload) > math.MaxInt32 {
		return nil, errGrows
	}
	w.data, w.limit, w.keys = payload, maxTranscoded(payload, w.largest), w.keys[:0]
	w.found, w.heads, w.members = append(w.found[:0], occurrence{end: int32(len(payload)), next: -1}), w.heads[:0], w.members[:0]
	dst, err := w.message(dst, m, 0, 0)
	if cap(w.found) > maxKept {
		w.found = nil
	}
	if cap(w.keys) > maxKept {
		w.keys = nil
	}
	w.data = nil
	return dst, err
}

// raw are the bytes of a value.
func (w *protoWriter) raw(at int32) []byte { return w.data[w.found[at].begin:w.found[at].end] }

// message appends a message whose bytes are a chain of occurrences: several
// are as good as one that has them one after the other.
func (w *protoWriter) message(dst []byte, m *protoMessage, first int32, depth int) ([]byte, error) {
	if depth > settings.MaxDepth {
		return nil, errDeep
	}
	if len(dst) > w.limit {
		return nil, errGrows
	}
	from := w.mark()
	if err := w.scan(m, first); err != nil {
		return nil, err
	}
	var err error
	for i := range m.fields {
		f := &m.fields[i]
		if dst, err = w.field(dst, f, w.heads[from.heads+i], depth); err != nil {
			return nil, fmt.Errorf("%.100s: %w", f.name, err)
		}
	}
	w.reset(from)
	return dst, nil
}

// mark is where what is noted of a message begins.
type mark struct{ found, heads, members int }

func (w *protoWriter) mark() mark { return mark{len(w.found), len(w.heads), len(w.members)} }

func (w *protoWriter) reset(to mark) {
	w.found, w.heads, w.members = w.found[:to.found], w.heads[:to.heads], w.members[:to.members]
}

// scan notes where the fields of a message are.
func (w *protoWriter) scan(m *protoMessage, first int32) error {
	from := w.mark()
	for range m.fields {
		w.heads = append(w.heads, noChain)
	}
	for range m.oneofs {
		w.members = append(w.members, -1)
	}
	for at := first; at >= 0; at = w.found[at].next {
		end := int(w.found[at].end)
		for begin := int(w.found[at].begin); begin < end; {
			number, wire, n := protowire.ConsumeTag(w.data[begin:end])
			if n < 0 {
				return protoError(n)
			}
			if number > protowire.MaxValidNumber {
				return errFieldNumber
			}
			begin += n
			if wire == protowire.EndGroupType && w.found[at].wire == protowire.StartGroupType {
				break
			}
			value, n := take(number, wire, w.data[begin:end])
			if n < 0 {
				return protoError(n)
			}
			begin += n
			if i, ok := m.field(number); ok && m.fields[i].takes(wire) { // others are unknown
				if len(w.found)*occurrenceMemory > w.largest {
					return errParts
				}
				w.note(from, i, m.fields[i].oneof, wire, begin-value, begin)
			}
		}
	}
	return nil
}

// field returns which field has a number.
func (m *protoMessage) field(number protowire.Number) (i int, ok bool) {
	if int(number) < len(m.small) && m.small[number] > 0 {
		return int(m.small[number]) - 1, true
	}
	i, ok = m.byNumber[number]
	return i, ok
}

// note adds an occurrence to a field's chain, and forgets what was noted of
// another field of the same oneof.
func (w *protoWriter) note(from mark, i, oneof int, wire protowire.Type, begin, end int) {
	if oneof > 0 {
		member := &w.members[from.members+oneof-1]
		if *member >= 0 && int(*member) != i {
			w.heads[from.heads+int(*member)] = noChain
		}
		*member = int32(i)
	}
	w.found = append(w.found, occurrence{int32(begin), int32(end), -1, wire})
	last := int32(len(w.found) - 1)
	if c := &w.heads[from.heads+i]; c.first < 0 {
		*c = chain{last, last}
	} else {
		w.found[c.last].next = last
		c.last = last
	}
}

// take returns how long the value at the beginning of data is, without and
// with the length before it. A group's value has the tag that ends it.
func take(number protowire.Number, wire protowire.Type, data []byte) (value, all int) {
	all = protowire.ConsumeFieldValue(number, wire, data)
	if wire == protowire.BytesType && all >= 0 {
		_, length := protowire.ConsumeVarint(data)
		return all - length, all
	}
	return all, all
}

var errFieldNumber = errors.New("it is not a message: it has a field of an impossible number")

func protoError(n int) error { return fmt.Errorf("it is not a message: %w", protowire.ParseError(n)) }

// takes says whether values of a wire type are the field's: others are unknown.
func (f *protoField) takes(wire protowire.Type) bool { return wire == f.wire || f.isPacked(wire) }

// isPacked says whether an occurrence of a list is many values.
func (f *protoField) isPacked(wire protowire.Type) bool {
	return f.list && wire == protowire.BytesType && f.wire != protowire.BytesType && f.wire != protowire.StartGroupType
}

func (w *protoWriter) field(dst []byte, f *protoField, c chain, depth int) ([]byte, error) {
	switch {
	case f.isMap:
		return w.entries(dst, f, c, depth)
	case f.list:
		return w.list(dst, f, c, depth)
	case f.presence && c.first < 0:
		return append(dst, 0), nil
	case f.presence:
		dst = append(dst, 2)
	}
	return w.single(dst, f, c, depth)
}

// single appends a value: of several the last, of messages all together.
func (w *protoWriter) single(dst []byte, f *protoField, c chain, depth int) ([]byte, error) {
	switch {
	case f.known != ordinary:
		return w.instead(dst, f, c)
	case f.message != nil:
		return w.message(dst, f.message, c.first, depth+1)
	case c.first >= 0:
		return appendProto(dst, f, w.raw(c.last))
	case f.enum != nil:
		return appendText(dst, f.missing), nil
	}
	return appendProto(dst, f, nil)
}

// alone has do see an occurrence as the only one of its chain.
func (w *protoWriter) alone(at int32, do func() error) error {
	next := w.found[at].next
	w.found[at].next = -1
	err := do()
	w.found[at].next = next
	return err
}

// list appends a block for each occurrence if any is packed, otherwise one for
// all.
func (w *protoWriter) list(dst []byte, f *protoField, c chain, depth int) (_ []byte, err error) {
	packed, count := false, 0
	for at := c.first; at >= 0; at = w.found[at].next {
		packed = packed || f.isPacked(w.found[at].wire)
		count++
	}
	if count > 0 && !packed {
		dst = binary.AppendVarint(dst, int64(count))
	}
	for at := c.first; at >= 0; at = w.found[at].next {
		switch {
		case f.message != nil:
			err = w.alone(at, func() (err error) {
				dst, err = w.single(dst, f, chain{at, at}, depth)
				return err
			})
		case f.isPacked(w.found[at].wire):
			dst, err = w.packed(dst, f, w.raw(at))
		case packed:
			dst, err = appendProto(append(dst, 2), f, w.raw(at))
		default:
			dst, err = appendProto(dst, f, w.raw(at))
		}
		if err != nil {
			return nil, err
		}
	}
	return append(dst, 0), nil
}

// packed appends a block of values without tags.
func (w *protoWriter) packed(dst []byte, f *protoField, data []byte) (_ []byte, err error) {
	count := 0
	for rest := data; len(rest) > 0; count++ {
		_, n := take(1, f.wire, rest)
		if n < 0 {
			return nil, protoError(n)
		}
		rest = rest[n:]
	}
	if count > 0 {
		dst = binary.AppendVarint(dst, int64(count))
	}
	for len(data) > 0 {
		if len(dst) > w.limit {
			return nil, errGrows
		}
		_, n := take(1, f.wire, data)
		if dst, err = appendProto(dst, f, data[:n]); err != nil {
			return nil, err
		}
		data = data[n:]
	}
	return dst, nil
}

// entries appends a map: of several entries of a key the last.
func (w *protoWriter) entries(dst []byte, f *protoField, c chain, depth int) ([]byte, error) {
	from, count := len(w.keys), 0
	for at := c.first; at >= 0; at = w.found[at].next {
		err := w.entry(f, at, func(key string, _ chain) error {
			w.keys = append(w.keys, keyAt{maphash.String(keySeed, key), w.found[at].begin})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	replaced := replacedOf(w.keys[from:])
	w.keys, count = w.keys[:from+len(replaced)], len(w.keys)-from-len(replaced)
	if count > 0 {
		dst = binary.AppendVarint(dst, int64(count))
	}
	next := from
	for at := c.first; at >= 0; at = w.found[at].next {
		if next < from+len(replaced) && w.keys[next].at == w.found[at].begin {
			next++
			continue
		}
		err := w.entry(f, at, func(key string, value chain) (err error) {
			dst, err = w.single(appendText(dst, key), &f.message.fields[1], value, depth)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	w.keys = w.keys[:from]
	return append(dst, 0), nil
}

// entry takes an entry of a map apart.
func (w *protoWriter) entry(f *protoField, at int32, do func(key string, value chain) error) error {
	from := w.mark()
	defer w.reset(from)
	return w.alone(at, func() error {
		if err := w.scan(f.message, at); err != nil {
			return err
		}
		var raw []byte
		if key := w.heads[from.heads]; key.first >= 0 {
			raw = w.raw(key.last)
		}
		key, err := keyText(&f.message.fields[0], raw)
		if err != nil {
			return err
		}
		return do(key, w.heads[from.heads+1])
	})
}

// numberOf is what a number's bytes say, 0 if there are none.
func (f *protoField) numberOf(raw []byte) uint64 {
	switch {
	case len(raw) == 0:
		return 0
	case f.wire == protowire.Fixed32Type:
		return uint64(binary.LittleEndian.Uint32(raw))
	case f.wire == protowire.Fixed64Type:
		return binary.LittleEndian.Uint64(raw)
	}
	n, _ := protowire.ConsumeVarint(raw)
	return n
}

// keyText is the key of a map, which in Avro is text.
func keyText(f *protoField, raw []byte) (string, error) {
	if f.kind == protoreflect.StringKind {
		if !utf8.Valid(raw) {
			return "", errUTF8
		}
		return string(raw), nil
	}
	n := f.numberOf(raw)
	switch f.kind {
	case protoreflect.BoolKind:
		return strconv.FormatBool(n != 0), nil
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return strconv.FormatUint(n, 10), nil
	}
	return strconv.FormatInt(signed(f.kind, n), 10), nil
}

// signed is a whole number, in as many bits as its kind has.
func signed(kind protoreflect.Kind, n uint64) int64 {
	switch kind {
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind, protoreflect.EnumKind:
		return int64(int32(n))
	case protoreflect.Sint32Kind:
		return int64(int32(protowire.DecodeZigZag(n & 0xffffffff)))
	case protoreflect.Sint64Kind:
		return protowire.DecodeZigZag(n)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return int64(uint32(n))
	}
	return int64(n)
}

// appendProto appends a value that is no message.
func appendProto(dst []byte, f *protoField, raw []byte) ([]byte, error) {
	switch f.kind {
	case protoreflect.StringKind:
		if !utf8.Valid(raw) {
			return nil, errUTF8
		}
		return appendText(dst, raw), nil
	case protoreflect.BytesKind:
		return appendText(dst, raw), nil
	}
	n := f.numberOf(raw)
	switch f.kind {
	case protoreflect.BoolKind:
		if n != 0 {
			return append(dst, 1), nil
		}
		return append(dst, 0), nil
	case protoreflect.FloatKind:
		return binary.LittleEndian.AppendUint32(dst, uint32(n)), nil
	case protoreflect.DoubleKind:
		return binary.LittleEndian.AppendUint64(dst, n), nil
	case protoreflect.EnumKind:
		return appendText(dst, f.enumText(protoreflect.EnumNumber(int32(n)))), nil
	}
	return binary.AppendVarint(dst, signed(f.kind, n)), nil
}
