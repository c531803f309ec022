// SPDX-License-Identifier: Apache-2.0

// Package schema gives the rows of Avro and Parquet files their shape. A row
// is in Avro's binary encoding, whatever it came as: a value that is Avro
// already is copied, others are transcoded, and both kinds of files are made
// from the same bytes.
package schema

import (
	"bytes"
	"slices"
)

// Kind is the shape of a [Type].
type Kind int

// Kinds of types, those of Avro.
const (
	Null Kind = iota
	Boolean
	Int
	Long
	Float
	Double
	Bytes
	String
	Fixed
	Enum
	Array
	Map
	Record
	Union
)

var kinds = map[string]Kind{"null": Null, "boolean": Boolean, "int": Int, "long": Long, "float": Float, "double": Double, "bytes": Bytes,
	"string": String, "fixed": Fixed, "enum": Enum, "array": Array, "map": Map, "record": Record, "error": Record}

var kindNames = [...]string{Null: "null", Boolean: "boolean", Int: "int", Long: "long", Float: "float", Double: "double", Bytes: "bytes",
	String: "string", Fixed: "fixed", Enum: "enum", Array: "array", Map: "map", Record: "record"}

// Type is an Avro type with all names resolved; it may contain itself.
type Type struct {
	Kind             Kind
	Name             string // of a record, enum or fixed, with its namespace
	Logical          string // logical type that fits, "" for none
	Precision, Scale int    // of a decimal
	Size             int    // of a fixed
	Symbols          [][]byte
	Fields           []Field
	Element          *Type // of an array's items or a map's values
	Branches         []*Type

	also  []attribute
	width int  // columns of Parquet of what has parts, 0 if they are not made
	json  bool // a string's text is JSON

	unsigned bool // a long is one of 64 bits without a sign
}

// Field is a field of a record.
type Field struct {
	Name string
	Type *Type

	also   []attribute
	member string // what it was made of is called, "" if that is its name
	others bool   // it has the members that the schema does not name, as an object in JSON
	texts  bool   // it has the text of what other fields cannot hold, by their names
}

// called is the name of what the field was made of.
func (f *Field) called() string {
	if f.member != "" {
		return f.member
	}
	return f.Name
}

// isCalled says whether name is another name of the field.
func (f *Field) isCalled(name string) bool {
	return slices.ContainsFunc(f.also, func(a attribute) bool {
		return a.name == `"aliases"` && bytes.Contains(a.value, []byte(`"`+name+`"`))
	})
}

// attribute is what else a schema says of a type or field, kept for who reads
// the files: descriptions, defaults, what other programs have added.
type attribute struct {
	name  string // in quotes
	value []byte // JSON
}

// optional returns what a union of null and one other type holds, and which
// branch that is; ok is false for all other types.
func (t *Type) optional() (of *Type, branch int, ok bool) {
	if t.Kind != Union || len(t.Branches) != 2 {
		return nil, 0, false
	}
	for i, b := range t.Branches {
		if b.Kind == Null && t.Branches[1-i].Kind != Null {
			return t.Branches[1-i], 1 - i, true
		}
	}
	return nil, 0, false
}

// isNamed says whether types of the kind have names, by which they are
// referred to.
func (k Kind) isNamed() bool { return k == Record || k == Enum || k == Fixed }

// below are the types of which the type is made.
func (t *Type) below(do func(*Type)) {
	for i := range t.Fields {
		do(t.Fields[i].Type)
	}
	if t.Element != nil {
		do(t.Element)
	}
	for _, b := range t.Branches {
		do(b)
	}
}

// named returns the types with names within a type, itself included if it has
// one, and whether the type is within itself.
func (t *Type) named() (names map[string]bool, recursive bool) {
	names = map[string]bool{}
	seen := map[*Type]bool{}
	var visit func(*Type)
	visit = func(u *Type) {
		recursive = recursive || u == t && seen[t]
		if seen[u] {
			return
		}
		seen[u] = true
		if u.Kind.isNamed() {
			names[u.Name] = true
		}
		u.below(visit)
	}
	visit(t)
	return names, recursive
}

// primitives are the types of which nothing is said but their kind.
var primitives = func() (all [String + 1]Type) {
	for k := range all {
		all[k].Kind = Kind(k)
	}
	return all
}()

// primitive returns the type of a kind without parts. It is the same one
// always, as most columns are of one, and must not be changed.
func primitive(k Kind) *Type { return &primitives[k] }

// nullable returns the union of null and a type, in which null may be already.
func nullable(t *Type) *Type {
	if t.Kind == Null || t.Kind == Union {
		return t
	}
	return &Type{Kind: Union, Branches: []*Type{primitive(Null), t}}
}
