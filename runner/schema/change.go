// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/binary"
	"fmt"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// OfSource returns the rows of a schema that a source gives: its columns, the
// row before if there is one, and the coordinates with what has become of the
// row.
func OfSource(of *source.RowSchema, l settings.Layout) (*Rows, error) {
	value, err := parseAvro([]Source{{Text: of.Avro}})
	if err != nil {
		return nil, err
	}
	if value.Kind != Record {
		return nil, fmt.Errorf("it is not a record")
	}
	for _, f := range value.Fields {
		if f.Type.Kind != Union || f.Type.Branches[0].Kind != Null {
			return nil, fmt.Errorf("its field %s is not a union that begins with null", f.Name)
		}
	}
	for i := range value.Fields {
		f := &value.Fields[i]
		f.member, f.texts = f.column(), of.Texts != "" && f.Name == of.Texts
	}
	c := CoordinatesOf(l)
	rows := *value
	rows.Fields = append([]Field{}, value.Fields...)
	if of.Before {
		names, _ := value.named()
		before := *value
		before.Name = freeName("SpoutBefore", names)
		rows.addField("_before", orNull(&before))
	}
	r, err := c.newRows(c.beside(&rows, changeFields), valueFirst)
	if err != nil {
		return nil, err
	}
	r.change, r.before, r.nulls = true, of.Before, make([]byte, len(value.Fields))
	r.version = []byte{0}
	if of.Version != 0 {
		r.version = binary.AppendVarint([]byte{2}, int64(of.Version))
	}
	return r, nil
}

// column is what the column was called that the source made the field of, "" if
// it does not say so.
func (f *Field) column() (name string) {
	for _, a := range f.also {
		if a.name == `"column"` {
			name, _ = unquote(a.value) //nolint:errcheck // what is none is not looked for
		}
	}
	return name
}

func appendBefore(dst []byte, d *source.Detail) []byte {
	if d == nil || d.Before == nil {
		return append(dst, 0)
	}
	return append(append(dst, 2), d.Before...)
}

func appendChange(dst []byte, d *source.Detail, version []byte) []byte {
	if d == nil {
		return append(append(dst, 0, 0, 0), version...)
	}
	if d.Op == source.OpNone {
		dst = append(dst, 0)
	} else {
		dst = appendText(append(dst, 2), d.Op.String())
	}
	if d.Transaction == 0 {
		dst = append(dst, 0)
	} else {
		dst = binary.AppendVarint(append(dst, 2), int64(d.Transaction))
	}
	if len(d.Unchanged) > 0 {
		dst = binary.AppendVarint(dst, int64(len(d.Unchanged)))
		for _, column := range d.Unchanged {
			dst = appendText(dst, column)
		}
	}
	return append(append(dst, 0), version...)
}
