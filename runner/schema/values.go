// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// Values is what a schema of the registry makes of values.
type Values struct {
	id      int
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
		return nil, nil, refusef("its value does not fit its schema %d: %.500v", v.id, err)
	}
	return rows, value, nil
}

// ID is the schema's number in the registry.
func (v *Values) ID() int { return v.id }

// Files are the schema and all that it refers to as files: ID.avsc, ID.json or
// ID.proto, and ID/NAME for the others. Paths are relative to the schemas' folder.
func (v *Values) Files() map[string]string {
	files := map[string]string{}
	name := strconv.Itoa(v.id)
	for _, s := range v.sources {
		if s.Name == "" {
			files[name+"."+v.ending] = s.Text
		} else {
			files[name+"/"+string(settings.AppendPathValue(nil, []byte(s.Name)))] = s.Text
		}
	}
	return files
}

// newValues returns what a schema makes of values, which take at most largest
// bytes then, and so many columns of Parquet; 0 if they need not fit into any.
func newValues(ctx context.Context, of *Coordinates, id int, kind sr.SchemaType, sources []Source, columns, largest int) (v *Values, err error) {
	v = &Values{id: id, sources: sources}
	rows := func(t *Type) (*Rows, error) {
		r, err := of.newRows(of.beside(t, ""), valueFirst)
		if err != nil {
			return nil, err
		}
		r.ID = id
		if columns > 0 {
			layout, err := r.Columns()
			if err == nil {
				err = r.CheckColumns(columns)
			}
			if err != nil {
				return nil, err
			}
			r.multiplies, r.laid = layout.multiplies, layout
		}
		if kind != sr.TypeProtobuf {
			v.rows = r
		}
		return r, nil
	}
	switch kind {
	case sr.TypeAvro:
		v.ending = "avsc"
		v.decode, err = avroValues(ctx, sources, rows)
	case sr.TypeProtobuf:
		v.ending = "proto"
		v.decode, v.fields, err = protobufValues(ctx, sources, rows, largest)
	case sr.TypeJSON:
		v.ending = "json"
		v.decode, err = jsonValues(ctx, sources, rows, largest)
	default:
		err = fmt.Errorf("its kind %v is not known", kind)
	}
	return v, err
}
