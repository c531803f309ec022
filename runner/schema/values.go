// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/strictjson"
)

// Values is what a schema of the registry makes of values.
type Values struct {
	id      int
	name    string // in files, and in the registry
	sources []Source
	ending  string
	decode  decoder
	rows    *Rows // the first that were made, nil if each value says what it is
	fields  *int  // of the messages that are kept, nil if each value has the same rows
	counted int   // of these
}

// Rows are those of the schema's values, nil if they differ from value to value.
func (v *Values) Rows() *Rows { return v.rows }

// Memory is about what is kept of the schema, beside its rows.
func (v *Values) Memory() (n int) {
	each := 1
	if v.fields != nil {
		n, each = v.counted*fieldMemory, protobufMemory
	}
	for _, s := range v.sources {
		n += each * len(s.Text)
	}
	return n
}

// decoder brings a value, without its header, into Avro's encoding, and says
// what the rows of such values look like. It may use scratch, or return a part
// of payload.
type decoder func(scratch, payload []byte) (*Rows, []byte, error)

// rowsMaker makes rows for values of a type.
type rowsMaker func(*Type) (*Rows, error)

// Decode brings the value into Avro's encoding, and says what its row looks
// like. What it returns is a part of payload, or in scratch's memory if it has
// room.
func (v *Values) Decode(scratch, payload []byte) (*Rows, []byte, error) {
	rows, value, err := v.decode(scratch, payload)
	if err != nil {
		return nil, nil, refusef("its value does not fit its schema %s: %.500v", v.name, err)
	}
	return rows, value, nil
}

// ID is the schema's number in the registry; negative if it is called by
// something else.
func (v *Values) ID() int { return v.id }

// Name is what the schema is called in files: its number as a rule.
func (v *Values) Name() string { return v.name }

// Files are the schema and all that it refers to as files: ID.avsc, ID.json or
// ID.proto, and ID/NAME for the others. Paths are relative to the schemas' folder.
func (v *Values) Files() map[string]string {
	files := map[string]string{}
	name := v.name
	for _, s := range v.sources {
		if s.Name == "" {
			files[name+"."+v.ending] = s.Text
		} else {
			files[name+"/"+string(settings.AppendPathValue(nil, []byte(s.Name)))] = s.Text
		}
	}
	return files
}

// maker makes use of schemas: it says what the files need of values.
type maker struct {
	of      *Coordinates
	columns int  // of Parquet that rows may have, 0 if they need not fit into any
	largest int  // bytes that a value may become
	json    bool // values become JSON in the end
	logical Logical
	depth   int    // to which types that contain themselves are columns
	folded  []byte // scratch
}

// newValues returns what a schema makes of values, which take at most largest
// bytes then, and so many columns of Parquet; 0 if they need not fit into any.
func newValues(ctx context.Context, of *Coordinates, id int, kind sr.SchemaType, sources []Source, columns, largest int) (*Values, error) {
	return (&maker{of: of, columns: columns, largest: largest}).values(ctx, id, strconv.Itoa(id), kind, sources)
}

// values returns what a schema makes of values.
func (m *maker) values(ctx context.Context, id int, name string, kind sr.SchemaType, sources []Source) (v *Values, err error) {
	v = &Values{id: id, name: name, sources: sources}
	rows := func(t *Type) (*Rows, error) {
		r, err := m.rows(t)
		if err != nil {
			return nil, err
		}
		r.ID = name
		if r.unfolded != nil {
			r.unfolded.Rows.ID = name
		}
		if v.rows = r; r.unfolded != nil {
			v.rows = r.unfolded.Rows
		}
		if kind == sr.TypeProtobuf {
			v.rows = nil
		}
		return r, nil
	}
	switch kind {
	case sr.TypeAvro:
		v.ending = "avsc"
		v.decode, err = avroValues(ctx, sources, rows, m.json || m.columns > 0)
	case sr.TypeProtobuf:
		v.ending = "proto"
		v.decode, v.fields, err = protobufValues(ctx, sources, rows, m.largest, m.logical)
	case sr.TypeJSON:
		v.ending = "json"
		if m.json {
			v.decode = plainJSON()
			break
		}
		v.decode, err = jsonValues(ctx, sources, rows, m.largest, m.logical)
	default:
		err = fmt.Errorf("its kind %v is not known", kind)
	}
	v.decode = m.unfolding(v.decode)
	return v, err
}

// rows makes rows for values of a type.
func (m *maker) rows(t *Type) (*Rows, error) {
	r, err := m.of.newRows(m.of.beside(t, ""), valueFirst)
	if err != nil {
		return nil, err
	}
	r.wrapped = r.Type.Fields[0].Type == t
	if m.columns == 0 {
		return r, nil
	}
	if t.containsItself() {
		return r, m.unfold(r)
	}
	return r, m.layOut(r)
}

// layOut makes sure that the rows fit into columns.
func (m *maker) layOut(r *Rows) error {
	layout, err := r.Columns()
	if err == nil {
		err = r.CheckColumns(m.columns)
	}
	if err == nil {
		r.multiplies = layout.multiplies
	}
	return err
}

// unfold finds columns for rows that contain a type which contains itself: as
// deep as is asked for, or as they fit.
func (m *maker) unfold(r *Rows) error {
	var failed error
	for depth := m.depth; depth >= 0; depth-- {
		shape, err := r.Reshape(Reshaping{Unfold: depth, Most: m.largest})
		if err == nil {
			err = m.layOut(shape.Rows)
		}
		if err == nil {
			r.unfolded = shape
			return nil
		}
		failed = err // less deep, there are fewer columns
	}
	return failed
}

// unfolding decodes values, and unfolds what contains itself.
func (m *maker) unfolding(decode decoder) decoder {
	return func(scratch, payload []byte) (*Rows, []byte, error) {
		rows, value, err := decode(scratch, payload)
		if err != nil || rows == nil || rows.unfolded == nil {
			return rows, value, err
		}
		if cap(m.folded) > maxFolded {
			m.folded = nil
		}
		m.folded = append(m.folded[:0], value...) // which scratch may be, too
		if value, err = rows.unfolded.Apply(scratch[:0], m.folded); err != nil {
			return nil, nil, err
		}
		return rows.unfolded.Rows, value, rows.unfolded.Rows.own().Check(value)
	}
}

// maxFolded is how much memory is kept from one value to the next.
const maxFolded = 1 << 20

// containsItself says whether a type, or one within it, does.
func (t *Type) containsItself() bool {
	m := &reshaper{recursive: map[*Type]bool{}}
	return m.search(t, map[*Type]bool{})
}

// plainJSON leaves JSON as it is.
func plainJSON() decoder {
	var c strictjson.Checker
	return func(_, payload []byte) (*Rows, []byte, error) {
		if err := c.Check(payload); err != nil {
			return nil, nil, fmt.Errorf("%w", err)
		}
		return nil, payload, nil
	}
}

// AppendJSON appends a value of the rows as one line of JSON of at most so many
// bytes. If it cannot be, that is a [*Refused].
func (r *Rows) AppendJSON(dst, value []byte, most int) ([]byte, error) {
	dst, _, err := r.valueType().AppendJSON(dst, value, most)
	if err != nil {
		return nil, refusef("its value cannot be written as JSON: %v", err)
	}
	return dst, nil
}

// valueType is the type of a row's value: a record of the fields, but for what
// is in a field alone.
func (r *Rows) valueType() *Type {
	if r.wrapped {
		return r.Type.Fields[0].Type
	}
	return r.own()
}
