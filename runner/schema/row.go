// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Rows is the schema of a file's rows.
type Rows struct {
	Text string // the Avro schema in JSON
	ID   int    // of the registry, 0 if there is none
	Type *Type

	value      valueKind
	nulls      []byte                   // what stands for the value's fields in rows without a value
	columns    func() (*Columns, error) // made once
	multiplies bool                     // see Columns
	laid       *Columns                 // nil if they are not made, or not yet
}

// Columns is how the rows are laid out in Parquet files.
func (r *Rows) Columns() (*Columns, error) { return r.columns() }

// Memory is about what the rows' schema takes.
func (r *Rows) Memory() int { return fieldMemory * r.size() }

// size is about how much memory the rows' schema takes, in fields.
func (r *Rows) size() int {
	const field = 30 // bytes of a field in the schema's text
	n := len(r.Text) / field
	if r.laid != nil {
		n += r.laid.Leaves
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

// namespace is that of types that are this program's own.
const namespace = "pachyderm.spout"

// Envelope are rows of records whose values are bytes.
var Envelope = must(newRows(mustParse(`{"type": "record", "name": "Record", "namespace": "`+namespace+`", "fields": [`+coordinates+`,
	{"name": "value", "type": ["null", "bytes"]}]}`), valueBytes))

// Tombstones are rows of records without values, beside rows of a registry's
// schemas: their coordinates have the same name.
var Tombstones = must(newRows(withCoordinates(nil), valueNone))

func mustParse(text string) *Type { return must(parseAvro([]Source{{Text: text}})) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // it is constant
	}
	return v
}

func newRows(t *Type, value valueKind) (*Rows, error) {
	text, err := textOf(t)
	if err != nil {
		return nil, err
	}
	r := &Rows{Text: text, Type: t, value: value}
	r.columns = sync.OnceValues(func() (*Columns, error) { return newColumns(r) })
	return r, nil
}

// withCoordinates returns the type of rows that have a value's own fields and
// the coordinates. The value is in a field called value if it is no record, or
// one that is met again within itself: there it has no coordinates.
func withCoordinates(value *Type) *Type {
	names, recursive := map[string]bool{}, false
	root := &Type{Kind: Record}
	if value != nil {
		names, recursive = value.named()
		if value.Kind == Record && !recursive {
			*root = *value
			root.Fields = slices.Clone(value.Fields)
		} else {
			root.Fields = []Field{{Name: "value", Type: value}}
		}
	}
	if root.Name == "" {
		root.Name = freeName("Record", names)
	}
	name := coordinatesField
	for slices.ContainsFunc(root.Fields, func(f Field) bool { return f.Name == name || f.isCalled(name) }) {
		name = "_" + name
	}
	own := mustParse(`{"type": "record", "name": "` + freeName("SpoutRecord", names) + `", "fields": [` +
		strings.ReplaceAll(coordinates, `"SpoutHeader"`, `"`+freeName("SpoutHeader", names)+`"`) + `]}`)
	root.Fields = append(root.Fields, Field{Name: name, Type: own})
	return root
}

// freeName is a name of this program that a schema does not have.
func freeName(name string, taken map[string]bool) string {
	for name = namespace + "." + name; taken[name]; {
		name += "_"
	}
	return name
}

// Append appends a record's row. The value of a record of a registry's schema
// is given in Avro's encoding, already checked.
func (r *Rows) Append(dst []byte, stream source.Stream, rec *source.Record) []byte {
	if r.value == valueFirst {
		dst = append(dst, rec.Value...)
	}
	dst = append(dst, r.nulls...)
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
	return 300 + len(r.nulls) + len(rec.Key) + len(rec.Value) + headers
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
