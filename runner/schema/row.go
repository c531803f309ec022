// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/binary"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Rows is the schema of a file's rows.
type Rows struct {
	Text string // the Avro schema in JSON
	ID   int    // of the registry, 0 if there is none
	Type *Type

	coordinates *Coordinates
	value       valueKind
	nulls       []byte                   // what stands for the value's fields in rows without a value
	change      bool                     // the coordinates tell of a change, see OfSource
	before      bool                     // there is a column with the row before
	without     []byte                   // a value that is missing
	version     []byte                   // the schema's, as it stands in the coordinates
	columns     func() (*Columns, error) // made once
	multiplies  bool                     // see Columns
}

// Columns is how the rows are laid out in Parquet files.
func (r *Rows) Columns() (*Columns, error) { return r.columns() }

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
	switch {
	case r.value != valueFirst:
	case rec.Value == nil && r.change:
		dst = append(dst, r.without...)
	default:
		dst = append(dst, rec.Value...)
	}
	dst = append(dst, r.nulls...)
	if r.before {
		dst = appendBefore(dst, rec.Detail)
	}
	dst = r.coordinates.append(dst, stream, rec)
	if r.change {
		dst = appendChange(dst, rec.Detail, r.version)
	}
	if r.value == valueBytes {
		dst = appendOptional(dst, rec.Value)
	}
	return dst
}

// Most is a bound for the length of a row.
func (r *Rows) Most(rec *source.Record) int {
	most := 300 + len(r.without) + len(rec.Key) + len(rec.Value) + len(rec.Headers.Raw) + 8*rec.Headers.Count
	if rec.Detail != nil {
		most += len(rec.Detail.ID) + len(rec.Detail.Before)
		for _, column := range rec.Detail.Unchanged {
			most += len(column) + 8
		}
	}
	return most
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
