// SPDX-License-Identifier: Apache-2.0

// Package schema gives the rows of Avro and Parquet files their shape. A row
// is in Avro's binary encoding, whatever it came as: a value that is Avro
// already is copied, others are transcoded, and both kinds of files are made
// from the same bytes.
package schema

import (
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/avro"
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
	"string": String, "fixed": Fixed, "enum": Enum, "array": Array, "map": Map, "record": Record, "error": Record, "union": Union}

// Type is an Avro type with all names resolved; it may contain itself.
type Type struct {
	Kind             Kind
	Logical          string // logical type, "" for none
	Precision, Scale int    // of a decimal
	Size             int    // of a fixed
	Symbols          [][]byte
	Fields           []Field
	Element          *Type // of an array's items or a map's values
	Branches         []*Type
}

// Field is a field of a record.
type Field struct {
	Name string
	Type *Type
}

// typeOf resolves a schema of the library into a Type.
func typeOf(s *avro.Schema) (*Type, error) {
	return (&resolver{named: map[string]*Type{}}).resolve(s.Root(), "")
}

type resolver struct{ named map[string]*Type }

// namespaceOf returns the namespace of a type with a name, which is that of the
// types within it too: the one in its name, its own, or that around it.
func namespaceOf(n *avro.SchemaNode, around string) string {
	if dot := strings.LastIndexByte(n.Name, '.'); dot >= 0 {
		return n.Name[:dot]
	}
	if n.Namespace != "" {
		return n.Namespace
	}
	return around
}

func (r *resolver) resolve(n *avro.SchemaNode, namespace string) (*Type, error) {
	kind, known := kinds[n.Type]
	if !known {
		for _, name := range []string{namespace + "." + n.Type, n.Type} {
			if t := r.named[name]; t != nil {
				return t, nil
			}
		}
		return nil, fmt.Errorf("the type %q is not defined", n.Type)
	}
	t := &Type{Kind: kind, Logical: n.LogicalType, Precision: n.Precision, Scale: n.Scale, Size: n.Size}
	for _, symbol := range n.Symbols {
		t.Symbols = append(t.Symbols, []byte(symbol))
	}
	if n.Name != "" {
		namespace = namespaceOf(n, namespace)
		r.named[strings.TrimPrefix(namespace+"."+n.Name[strings.LastIndexByte(n.Name, '.')+1:], ".")] = t
	}
	var err error
	element := n.Items
	if kind == Map {
		element = n.Values
	}
	if kind == Array || kind == Map {
		if element == nil {
			return nil, errors.New("an array or map has no element type")
		}
		if t.Element, err = r.resolve(element, namespace); err != nil {
			return nil, err
		}
	}
	for i := range n.Fields {
		field, err := r.resolve(&n.Fields[i].Type, namespace)
		if err != nil {
			return nil, err
		}
		t.Fields = append(t.Fields, Field{n.Fields[i].Name, field})
	}
	for i := range n.Branches {
		branch, err := r.resolve(&n.Branches[i], namespace)
		if err != nil {
			return nil, err
		}
		t.Branches = append(t.Branches, branch)
	}
	return t, nil
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
