// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/binary"
	"slices"
)

// Tombstones are the rows of records without values beside these rows, which
// have a value's fields first. They have the same fields, all null, so that
// whoever reads all files of a folder at once finds the same columns in each.
// They are always the same, as one file has one schema. It is called by one
// goroutine.
func (r *Rows) Tombstones() *Rows {
	if r.without == nil {
		r.without = r.tombstones()
	}
	return r.without
}

func (r *Rows) tombstones() *Rows {
	root := *r.Type
	root.Fields = slices.Clone(r.Type.Fields)
	var nulls []byte
	for i := range root.Fields[:len(root.Fields)-1] { // the last are the coordinates
		field := &root.Fields[i]
		if field.Type.Kind == Null {
			continue // takes no bytes
		}
		field.also = slices.DeleteFunc(slices.Clone(field.also), func(a attribute) bool { return a.name == `"default"` }) // of another type
		null := slices.IndexFunc(field.Type.Branches, func(b *Type) bool { return b.Kind == Null })
		if null < 0 {
			null = 0
			field.Type = orNull(field.Type)
		}
		nulls = binary.AppendVarint(nulls, int64(null))
	}
	t, err := r.coordinates.newRows(&root, valueNone)
	if err != nil {
		return r.coordinates.tombstones
	}
	t.ID, t.nulls = r.ID, nulls
	if _, err := r.Columns(); err == nil {
		if _, err := t.Columns(); err != nil { // one level more may be too many
			return r.coordinates.tombstones
		}
	}
	return t
}

// orNull is the union of null and what a type without null takes.
func orNull(t *Type) *Type {
	branches := []*Type{t}
	if t.Kind == Union {
		branches = t.Branches
	}
	return &Type{Kind: Union, Branches: append([]*Type{primitive(Null)}, branches...)}
}
