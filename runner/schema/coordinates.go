// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Coordinates are the columns that say where a record came from, called as its
// source calls them.
type Coordinates struct {
	layout     settings.Layout
	fields     string // of an Avro record
	envelope   *Rows
	tombstones *Rows
}

var coordinatesByLayout sync.Map // made once of each layout

// CoordinatesOf returns the coordinates of a layout.
func CoordinatesOf(l settings.Layout) *Coordinates {
	if c, ok := coordinatesByLayout.Load(l); ok {
		return c.(*Coordinates)
	}
	c := &Coordinates{layout: l, fields: coordinateFields(l)}
	c.envelope = must(c.newRows(mustParse(`{"type": "record", "name": "Record", "namespace": "`+namespace+`", "fields": [`+c.fields+`,
	{"name": "value", "type": ["null", "bytes"]}]}`), valueBytes))
	c.tombstones = must(c.newRows(c.beside(nil, ""), valueNone))
	kept, _ := coordinatesByLayout.LoadOrStore(l, c)
	return kept.(*Coordinates)
}

func coordinateFields(l settings.Layout) string {
	fields := []string{`{"name": "` + l.Stream + `", "type": "string"}`}
	if l.Partition != "" {
		fields = append(fields, `{"name": "`+l.Partition+`", "type": "int"}`)
	}
	fields = append(fields, `{"name": "`+l.Offset+`", "type": "long"}`)
	if l.ID != "" {
		fields = append(fields, `{"name": "`+l.ID+`", "type": ["null", "string"]}`)
	}
	fields = append(fields, `{"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}}`,
		`{"name": "key", "type": ["null", "bytes"]}`,
		`{"name": "headers", "type": {"type": "array", "items": {"type": "record", "name": "SpoutHeader", "fields": [
		{"name": "key", "type": "string"},
		{"name": "value", "type": ["null", "bytes"]}]}}}`)
	return strings.Join(fields, ",\n\t")
}

// changeFields stand behind the coordinates of rows that a source gives a
// schema of: what has become of the row.
const changeFields = `,
	{"name": "op", "type": ["null", "string"]},
	{"name": "transaction", "type": ["null", "long"]},
	{"name": "unchanged", "type": {"type": "array", "items": "string"}},
	{"name": "schema_version", "type": ["null", "int"]}`

// Envelope are rows of records whose values are bytes.
func (c *Coordinates) Envelope() *Rows { return c.envelope }

// Tombstones are rows of records without values, beside rows of a registry's
// schemas: their coordinates have the same name.
func (c *Coordinates) Tombstones() *Rows { return c.tombstones }

func (c *Coordinates) newRows(t *Type, value valueKind) (*Rows, error) {
	text, err := textOf(t)
	if err != nil {
		return nil, err
	}
	r := &Rows{Text: text, Type: t, value: value, coordinates: c}
	r.columns = sync.OnceValues(func() (*Columns, error) {
		laid, err := newColumns(r)
		r.laid.Store(laid)
		return laid, err
	})
	return r, nil
}

// beside returns the type of rows that have a value's own fields, and the
// coordinates with more fields behind them. The value is in a field called
// value if it is no record, or one that is met again within itself: there it
// has no coordinates.
func (c *Coordinates) beside(value *Type, more string) *Type {
	names, recursive := map[string]bool{}, false
	root := &Type{Kind: Record}
	if value != nil {
		names, recursive = value.named()
		if value.Kind == Record && !recursive {
			*root = *value
			root.Fields = slices.Clone(value.Fields)
		} else {
			root.Fields = []Field{{Name: valueField, Type: value}}
		}
	}
	if root.Name == "" {
		root.Name = freeName("Record", names)
	}
	own := mustParse(`{"type": "record", "name": "` + freeName("SpoutRecord", names) + `", "fields": [` +
		strings.ReplaceAll(c.fields, `"SpoutHeader"`, `"`+freeName("SpoutHeader", names)+`"`) + more + `]}`)
	root.addField(coordinatesField, own)
	return root
}

// addField adds a field, with more underlines before its name if there is one
// that is called so.
func (t *Type) addField(name string, of *Type) {
	for slices.ContainsFunc(t.Fields, func(f Field) bool { return f.Name == name || f.isCalled(name) }) {
		name = "_" + name
	}
	t.Fields = append(t.Fields, Field{Name: name, Type: of})
}

// append appends the coordinates. A key that has a column of its own is null.
func (c *Coordinates) append(dst []byte, stream source.Stream, rec *source.Record, keyed bool) []byte {
	dst = appendText(dst, stream.Name)
	if c.layout.Partition != "" {
		dst = binary.AppendVarint(dst, int64(stream.Partition))
	}
	dst = binary.AppendVarint(dst, rec.Offset)
	if c.layout.ID != "" {
		if rec.Detail == nil {
			dst = append(dst, 0)
		} else {
			dst = appendOptional(dst, rec.Detail.ID)
		}
	}
	dst = binary.AppendVarint(dst, rec.Timestamp)
	if keyed {
		dst = append(dst, 0)
	} else {
		dst = appendOptional(dst, rec.Key)
	}
	if rec.Headers.Count > 0 {
		dst = binary.AppendVarint(dst, int64(rec.Headers.Count))
		for key, value := range rec.Headers.All() {
			if utf8.Valid(key) {
				dst = appendText(dst, key)
			} else {
				dst = appendText(dst, strings.ToValidUTF8(string(key), "\uFFFD")) // most readers know only UTF-8
			}
			dst = appendOptional(dst, value)
		}
	}
	return append(dst, 0) // the end of the headers
}
