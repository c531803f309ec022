// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/binary"
	"iter"
)

// Record is one record of a stream.
type Record struct {
	Offset    int64  // rises within the stream; a source without numbers of its own counts from 0
	Timestamp int64  // milliseconds since 1970
	Key       []byte // nil if there is none
	Value     []byte // nil if there is none (a tombstone)
	Headers   Headers
	Detail    *Detail // nil if the source tells no more
}

// Detail is what some sources tell of a record besides. Details may be shared
// by records, and are valid as long as their chunk.
type Detail struct {
	ID          []byte   // the source's own name of the record as text, nil for none
	Op          Op       // what has become of a row
	Transaction uint64   // 0: none
	Unchanged   []string // columns whose values the source left out, since they have not changed
	Before      []byte   // the row before, in the form of the value; nil if it is unknown
}

// Op is what has become of a row.
type Op uint8

// What can become of a row.
const (
	OpNone     Op = iota // the record is no change of a row
	OpRead               // it was there when reading began
	OpInsert             // it is new
	OpUpdate             // it has changed
	OpDelete             // it is gone
	OpTruncate           // all rows of the stream are gone
)

var opNames = [...]string{"", "read", "insert", "update", "delete", "truncate"}

func (o Op) String() string { return opNames[o] }

// Headers are a record's headers in Kafka's wire form, decoded only when asked for.
type Headers struct {
	Count int
	Raw   []byte // Count times: varint key length, key, varint value length (-1: null), value
}

// Append adds a header; a nil value is null. It may write behind Raw.
func (h *Headers) Append(key string, value []byte) {
	h.Count++
	h.Raw = append(binary.AppendVarint(h.Raw, int64(len(key))), key...)
	if value == nil {
		h.Raw = binary.AppendVarint(h.Raw, -1)
		return
	}
	h.Raw = append(binary.AppendVarint(h.Raw, int64(len(value))), value...)
}

// All yields the headers' keys and values in order; a null value is nil. It
// ends early if Raw is damaged, which a decoder that filled it has ruled out.
func (h Headers) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		raw := h.Raw
		for range h.Count {
			key, rest, ok := cutVarintBytes(raw)
			if !ok {
				return
			}
			value, after, ok := cutVarintBytes(rest)
			if !ok || !yield(key, value) {
				return
			}
			raw = after
		}
	}
}

func cutVarintBytes(raw []byte) (field, rest []byte, ok bool) {
	length, n := binary.Varint(raw)
	if n <= 0 || length > int64(len(raw)-n) {
		return nil, nil, false
	}
	if length < 0 {
		return nil, raw[n:], true
	}
	end := n + int(length)
	return raw[n:end:end], raw[end:], true
}
