// SPDX-License-Identifier: Apache-2.0

package schema

import "slices"

// keyField is the name of the column with a key that was decoded.
const keyField = "_key"

// WithKey returns rows that have one more column, with a key that other rows
// are the schema of: null, or the key in Avro's encoding.
func (r *Rows) WithKey(key *Rows) (*Rows, error) {
	names, _ := r.Type.named()
	of := key.valueType().apart(names)
	if of.Kind == Union || of.Kind == Null { // which no union has within it, or twice
		of = &Type{Kind: Record, Name: freeName("SpoutKey", names), Fields: []Field{{Name: "value", Type: of}}}
	}
	root := *r.Type
	last := len(r.Type.Fields) - 1
	root.Fields = slices.Clone(r.Type.Fields[:last])
	root.addField(keyField, orNull(of))
	root.addField(coordinatesField, r.Type.Fields[last].Type)
	n, err := r.coordinates.newRows(&root, r.value)
	if err != nil {
		return nil, err
	}
	n.ID, n.change, n.before, n.version, n.nulls, n.wrapped = r.ID, r.change, r.before, r.version, r.nulls, r.wrapped
	n.keyed = true
	return n, nil
}

// apart is the same type in other memory. Its types have names that are not taken.
func (t *Type) apart(taken map[string]bool) *Type {
	copies := map[*Type]*Type{}
	var visit func(*Type) *Type
	visit = func(u *Type) *Type {
		if known := copies[u]; known != nil {
			return known
		}
		c := *u
		copies[u] = &c
		if c.Kind.isNamed() {
			for taken[c.Name] {
				c.Name += "_key"
			}
		}
		c.Fields = slices.Clone(u.Fields)
		for i := range c.Fields {
			c.Fields[i].Type = visit(c.Fields[i].Type)
		}
		if u.Element != nil {
			c.Element = visit(u.Element)
		}
		c.Branches = slices.Clone(u.Branches)
		for i := range c.Branches {
			c.Branches[i] = visit(c.Branches[i])
		}
		return &c
	}
	return visit(t)
}

// appendKey appends a union of null and a key that is encoded already; orNull
// has put null before what the key's own type may be.
func appendKey(dst, key []byte) []byte {
	if key == nil {
		return append(dst, 0)
	}
	return append(append(dst, 2), key...)
}
