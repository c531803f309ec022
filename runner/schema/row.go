// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/twmb/avro"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Rows is the schema of a file's rows.
type Rows struct {
	Text string // the Avro schema in JSON
	ID   int    // of the registry, 0 if there is none
	Type *Type
	Avro *avro.Schema

	value   valueKind
	columns func() (*Columns, error) // made once
}

// Columns is how the rows are laid out in Parquet files.
func (r *Rows) Columns() (*Columns, error) { return r.columns() }

// valueKind says where in a row the record's value is.
type valueKind int

const (
	valueNone  valueKind = iota // tombstones: nowhere
	valueBytes                  // in a column of bytes, after the coordinates
	valueFirst                  // its own fields come first, then the coordinates
)

// The columns that say where a record came from.
const coordinates = `
	{"name": "topic", "type": "string"},
	{"name": "partition", "type": "int"},
	{"name": "offset", "type": "long"},
	{"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
	{"name": "key", "type": ["null", "bytes"]},
	{"name": "headers", "type": {"type": "array", "items": {"type": "record", "name": "SpoutHeader", "fields": [
		{"name": "key", "type": "string"},
		{"name": "value", "type": ["null", "bytes"]}]}}}`

// coordinatesField is the name of the field with the coordinates beside a
// value's own fields.
const coordinatesField = "_record"

// coordinatesSchema is the schema of that field.
var coordinatesSchema = mustParse(`{"type": "record", "name": "SpoutRecord", "namespace": "pachyderm.spout", "fields": [` + coordinates + `]}`)

// Envelope are rows of records whose values are bytes.
var Envelope = mustRows(mustParse(`{"type": "record", "name": "Record", "namespace": "pachyderm.spout", "fields": [`+coordinates+`,
	{"name": "value", "type": ["null", "bytes"]}]}`), valueBytes)

// Tombstones are rows of records without values, beside rows of a registry's
// schemas: their coordinates have the same name.
var Tombstones = mustRows(mustWithCoordinates(nil), valueNone)

func mustParse(text string) *avro.Schema {
	s, err := avro.Parse(text)
	if err != nil {
		panic(err) // it is constant
	}
	return s
}

func mustRows(s *avro.Schema, value valueKind) *Rows {
	r, err := newRows(s, value)
	if err != nil {
		panic(err) // it is constant
	}
	return r
}

func mustWithCoordinates(value *avro.Schema) *avro.Schema {
	s, err := withCoordinates(value)
	if err != nil {
		panic(err) // it is constant
	}
	return s
}

func newRows(s *avro.Schema, value valueKind) (*Rows, error) {
	t, err := typeOf(s)
	if err != nil {
		return nil, err
	}
	r := &Rows{Text: s.String(), Type: t, Avro: s, value: value}
	r.columns = sync.OnceValues(func() (*Columns, error) { return newColumns(r) })
	return r, nil
}

// withCoordinates returns the schema of rows that have a value's own fields,
// or a field called value if it is no record, and the coordinates.
func withCoordinates(value *avro.Schema) (*avro.Schema, error) {
	root := avro.SchemaNode{Type: "record", Name: "Record", Namespace: "pachyderm.spout"}
	if value != nil {
		if own := value.Root(); own.Type == "record" {
			root = *own
		} else {
			root.Fields = []avro.SchemaField{{Name: "value", Type: *own}}
		}
	}
	name := coordinatesField
	for i := 0; i < len(root.Fields); i++ {
		if root.Fields[i].Name == name {
			name, i = "_"+name, -1
		}
	}
	root.Fields = append(root.Fields, avro.SchemaField{Name: name, Type: *coordinatesSchema.Root()})
	s, err := root.Schema()
	if err != nil {
		return nil, fmt.Errorf("add the coordinates to the schema: %w", err)
	}
	return s, nil
}

// Append appends a record's row. The value of a record of a registry's schema
// is given in Avro's encoding, already checked.
func (r *Rows) Append(dst []byte, stream source.Stream, rec *source.Record) []byte {
	if r.value == valueFirst {
		dst = append(dst, rec.Value...)
	}
	dst = appendText(dst, stream.Topic)
	dst = binary.AppendVarint(dst, int64(stream.Partition))
	dst = binary.AppendVarint(dst, rec.Offset)
	dst = binary.AppendVarint(dst, rec.Timestamp)
	dst = appendOptional(dst, rec.Key)
	if rec.Headers.Count > 0 {
		dst = binary.AppendVarint(dst, int64(rec.Headers.Count))
		for key, value := range rec.Headers.All() {
			if utf8.Valid(key) {
				dst = appendText(dst, key)
			} else {
				dst = appendText(dst, strings.ToValidUTF8(string(key), "\uFFFD")) // Kafka's own clients know only UTF-8
			}
			dst = appendOptional(dst, value)
		}
	}
	dst = append(dst, 0) // the end of the headers
	if r.value == valueBytes {
		dst = appendOptional(dst, rec.Value)
	}
	return dst
}

// Most is a bound for the length of a row.
func (r *Rows) Most(rec *source.Record) int {
	return 300 + len(rec.Key) + len(rec.Value) + len(rec.Headers.Raw) + 8*rec.Headers.Count
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
