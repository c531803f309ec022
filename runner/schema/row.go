// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/binary"
	"sync/atomic"
	"unicode/utf8"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Rows is the schema of a file's rows.
type Rows struct {
	Text string // the Avro schema in JSON
	ID   string // of the registry, "" if there is none
	Type *Type

	coordinates *Coordinates
	value       valueKind
	nulls       []byte                   // what stands for the value's fields in rows without a value
	change      bool                     // the coordinates tell of a change, see OfSource
	before      bool                     // there is a column with the row before
	version     []byte                   // the schema's, as it stands in the coordinates
	columns     func() (*Columns, error) // made once
	multiplies  bool                     // see Columns
	laid        atomic.Pointer[Columns]  // nil if they are not made, or not yet
	without     *Rows                    // of records without values; nil if they are not made yet
	wrapped     bool                     // the value is in one field, since it is no record that can be the row
	keyed       bool                     // there is a column with the key
	origin      *Rows                    // see Origin
	unfolded    *Shape                   // the same without types that contain themselves, nil if there are none
	plain       *Type                    // of the value, once it was asked for
}

// Columns is how the rows are laid out in Parquet files.
func (r *Rows) Columns() (*Columns, error) { return r.columns() }

// Origin is what fields were selected of, or masked, nil if none were: as long as
// the rows are kept, that is.
func (r *Rows) Origin() *Rows { return r.origin }

// Memory is about what the rows' schema takes.
func (r *Rows) Memory() int { return fieldMemory * r.size() }

// size is about how much memory the rows' schema takes, in fields.
func (r *Rows) size() int {
	const (
		field      = 30 // bytes of a field in the schema's text
		leafFields = 5  // as much as a column of a file takes, with all that makes it
	)
	n := len(r.Text) / field
	if laid := r.laid.Load(); laid != nil {
		n += leafFields * laid.Leaves
	}
	if r.unfolded != nil {
		n += r.unfolded.Rows.size()
	}
	return n
}

// checkTranscoded checks a value that was brought into Avro's encoding, as far
// as it is not right by the way it was made.
func (r *Rows) checkTranscoded(t *Type, value []byte) error {
	if !r.multiplies {
		return nil
	}
	return t.Check(value)
}

// valueKind says where in a row the record's value is.
type valueKind int

const (
	valueNone  valueKind = iota // tombstones: nowhere
	valueBytes                  // in a column of bytes, after the coordinates
	valueFirst                  // its own fields come first, then the coordinates
)

// coordinatesField is the name of the field with the coordinates beside a
// value's own fields.
const coordinatesField = "_record"

// namespace is that of types that are this program's own.
const namespace = "pachyderm.spout"

func mustParse(text string) *Type { return must(parseAvro([]Source{{Text: text}})) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // it is constant
	}
	return v
}

// freeName is a name of this program that a schema does not have.
func freeName(name string, taken map[string]bool) string {
	for name = namespace + "." + name; taken[name]; {
		name += "_"
	}
	return name
}

// Append appends a record's row. A value that is no bytes is given in Avro's
// encoding, already checked.
func (r *Rows) Append(dst []byte, stream source.Stream, rec *source.Record) []byte {
	if r.value == valueFirst && (rec.Value != nil || r.nulls == nil) {
		dst = append(dst, rec.Value...)
	} else {
		dst = append(dst, r.nulls...)
	}
	if r.before {
		dst = appendBefore(dst, rec.Detail)
	}
	if r.keyed {
		dst = appendKey(dst, rec.Key)
	}
	dst = r.coordinates.append(dst, stream, rec, r.keyed)
	if r.change {
		dst = appendChange(dst, rec.Detail, r.version)
	}
	if r.value == valueBytes {
		dst = appendOptional(dst, rec.Value)
	}
	return dst
}

// countedFrom is how long headers are whose length in a row is counted: bytes
// that are not UTF-8 become three each.
const countedFrom = 4 << 10

// Most is a bound for the length of a row, but for a few bytes that are not
// UTF-8.
func (r *Rows) Most(rec *source.Record) int {
	headers := len(rec.Headers.Raw) + 8*rec.Headers.Count
	if headers > countedFrom {
		headers = lengthOfHeaders(rec.Headers)
	}
	most := 300 + len(r.nulls) + len(rec.Key) + len(rec.Value) + headers
	if rec.Detail != nil {
		most += len(rec.Detail.ID) + len(rec.Detail.Before)
		for _, column := range rec.Detail.Unchanged {
			most += len(column) + 8
		}
	}
	return most
}

func lengthOfHeaders(headers source.Headers) (n int) {
	for key, value := range headers.All() {
		replaced := 0
		for rest := key; len(rest) > 0; {
			c, size := utf8.DecodeRune(rest)
			if c == utf8.RuneError && size == 1 {
				replaced += len("\uFFFD") - 1
			}
			rest = rest[size:]
		}
		n += lengthOfText(len(key)+replaced) + 1 + lengthOfText(len(value))
	}
	return n
}

// lengthOfText is what text or bytes take with their length.
func lengthOfText(length int) int {
	n := length + 1
	for length >>= 6; length > 0; length >>= 7 {
		n++
	}
	return n
}

// appendOptional appends a union of null and bytes.
func appendOptional(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 0)
	}
	return appendText(append(dst, 2), b)
}

func appendText[T string | []byte](dst []byte, text T) []byte {
	return append(binary.AppendVarint(dst, int64(len(text))), text...)
}
