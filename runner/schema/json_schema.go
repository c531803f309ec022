// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// jsonType is the shape of a JSON value.
type jsonType struct {
	kind    Kind // String for strings, and for JSON text if text is set
	text    bool
	format  string // of a string that becomes something else
	logical string // the type that it becomes
	fields  []jsonField
	index   map[string]int // of the fields by their names
	others  string         // column of an object's other members, "" if there are none
	element jsonUse

	linked        bool
	depth, leaves int   // with all below; Parquet's columns
	avro          *Type // made once
}

type jsonField struct {
	name, column string
	jsonUse
}

// jsonUse is what a place in a schema says of values there: a type, or a
// definition whose type it is to be.
type jsonUse struct {
	of         *jsonType
	definition *definition
	nullable   bool
}

// definition is a schema that is referred to, read once.
type definition struct {
	at         place
	use        jsonUse
	references []*definition

	// for the search of what contains itself
	number, low int
	onStack     bool
	cycle       int // number of the circle of definitions, 0 while unknown
}

// jsonShape reads a JSON Schema. It says what is allowed rather than what there
// is: what has one clear type becomes a column of it, all else a column of JSON
// text, so that nothing of a value is left out.
type jsonShape struct {
	*jsonDocuments
	definitions map[position]*definition
	unread      []*definition
	reading     *definition
	schemas     int
	logical     Logical
}

const (
	// maxJSONDepth and maxJSONColumns bound the shape of a value, by levels and
	// columns: what is beyond them is JSON text.
	maxJSONDepth   = 50
	maxJSONColumns = 2000
	// maxSchemas bounds how much of a schema is looked at.
	maxSchemas = 100_000
)

// anything is what has no other shape: JSON text.
var anything = jsonUse{of: &jsonType{kind: String, text: true, linked: true, leaves: 1, avro: &Type{Kind: String, json: true}}}

// parseJSONSchema returns the shape of values of a schema. It ends with ctx.
func parseJSONSchema(ctx context.Context, sources []Source, logical Logical) (jsonUse, error) {
	documents, err := readDocuments(sources)
	if err != nil {
		return jsonUse{}, err
	}
	s := &jsonShape{jsonDocuments: documents, definitions: map[position]*definition{}, logical: logical}
	root := s.define(documents.main)
	for len(s.unread) > 0 && s.schemas <= maxSchemas {
		if ctx.Err() != nil {
			return jsonUse{}, ctx.Err() //nolint:wrapcheck // it is what the caller asks for
		}
		last := len(s.unread) - 1
		s.reading, s.unread = s.unread[last], s.unread[:last]
		s.reading.use = s.parse(s.reading.at)
	}
	if s.schemas > maxSchemas {
		return jsonUse{}, fmt.Errorf("it has more than %d parts", maxSchemas)
	}
	(&linker{}).visit(root)
	return root.use, nil
}

// define returns the definition of a place.
func (s *jsonShape) define(at place) *definition {
	d := s.definitions[at.position]
	if d == nil {
		d = &definition{at: at}
		s.definitions[at.position] = d
		s.unread = append(s.unread, d)
	}
	return d
}

// keywords are the parts of a JSON Schema that give values a shape.
type keywords struct {
	ref, kind, oneOf, anyOf, allOf, properties, patternProperties, required, additionalProperties, items, prefixItems, format, contentEncoding node
}

func keywordsOf(at position) keywords {
	k := keywords{nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere}
	for it := at.document.items(at.node); it.isObject && it.advance(); {
		name, _ := unquote(it.name)
		switch name {
		case "$ref":
			k.ref = it.value
		case "type":
			k.kind = it.value
		case "oneOf":
			k.oneOf = it.value
		case "anyOf":
			k.anyOf = it.value
		case "allOf":
			k.allOf = it.value
		case "properties":
			k.properties = it.value
		case "patternProperties":
			k.patternProperties = it.value
		case "required":
			k.required = it.value
		case "additionalProperties":
			k.additionalProperties = it.value
		case "items":
			k.items = it.value
		case "prefixItems":
			k.prefixItems = it.value
		case "format":
			k.format = it.value
		case "contentEncoding":
			k.contentEncoding = it.value
		}
	}
	return k
}

// parse reads a schema, but not those that it refers to.
func (s *jsonShape) parse(at place) jsonUse {
	doc := at.document
	if s.schemas++; s.schemas > maxSchemas || doc.kind(at.node) != '{' { // true: anything
		return anything
	}
	at.base = s.base(at)
	k := keywordsOf(at.position)
	if ref, ok := doc.string(k.ref); ok {
		target, ok := s.lookup(at.base, ref)
		if !ok {
			return anything
		}
		d := s.define(target)
		s.reading.references = append(s.reading.references, d)
		return jsonUse{definition: d}
	}
	if doc.kind(k.allOf) != 0 {
		return anything
	}
	if doc.kind(k.oneOf) == '[' || doc.kind(k.anyOf) == '[' {
		return s.choice(at, k.oneOf, k.anyOf)
	}
	types, null := typesOf(doc, k.kind)
	if len(types) == 0 && doc.kind(k.properties) == '{' {
		types = []string{"object"}
	}
	use := anything
	if len(types) == 1 {
		use = s.single(at, types[0], &k)
	}
	use.nullable = use.nullable || null
	return use
}

// typesOf returns the types that a schema allows besides null.
func typesOf(doc *document, n node) (types []string, null bool) {
	if one, ok := doc.string(n); ok {
		types = []string{one}
	} else {
		for it := doc.items(n); it.advance(); {
			one, ok := doc.string(it.value)
			if !ok {
				return nil, false // a schema among the types
			}
			types = append(types, one)
		}
	}
	before := len(types)
	types = slices.DeleteFunc(types, func(t string) bool { return t == "null" })
	return types, len(types) < before
}

// choice is the shape of oneOf and anyOf: one schema or null, or anything.
func (s *jsonShape) choice(at place, lists ...node) jsonUse {
	doc := at.document
	only, null := nowhere, false
	for _, list := range lists {
		for it := doc.items(list); !it.isObject && it.advance(); {
			types, orNull := typesOf(doc, doc.member(it.value, "type"))
			if orNull && len(types) == 0 {
				null = true
				continue
			}
			if only.exists() {
				return anything
			}
			only = it.value
		}
	}
	if !only.exists() {
		return anything
	}
	use := s.parse(place{position{doc, only}, at.base})
	use.nullable = use.nullable || null
	return use
}

func (s *jsonShape) single(at place, kind string, k *keywords) jsonUse {
	doc := at.document
	switch kind {
	case "string":
		return jsonUse{of: s.string(doc, k)}
	case "boolean":
		return jsonUse{of: &jsonType{kind: Boolean}}
	case "integer":
		return jsonUse{of: &jsonType{kind: Long}}
	case "number":
		return jsonUse{of: &jsonType{kind: Double}}
	case "array":
		if doc.kind(k.items) == '{' && !k.prefixItems.exists() {
			return jsonUse{of: &jsonType{kind: Array, element: s.parse(place{position{doc, k.items}, at.base})}}
		}
	case "object":
		return s.object(at, k)
	}
	return anything
}

func (s *jsonShape) object(at place, k *keywords) jsonUse {
	doc := at.document
	patterns := doc.kind(k.patternProperties) == '{'
	properties := doc.items(k.properties)
	if !properties.isObject || !properties.advance() {
		if doc.kind(k.additionalProperties) != '{' || patterns {
			return anything
		}
		return jsonUse{of: &jsonType{kind: Map, element: s.parse(place{position{doc, k.additionalProperties}, at.base})}}
	}
	required := map[string]bool{}
	for _, name := range doc.strings(k.required) {
		required[name] = true
	}
	t := &jsonType{kind: Record, index: map[string]int{}}
	columns := columnNames{}
	more := true
	for ; more && len(t.fields) < maxJSONColumns; more = properties.advance() {
		name, err := unquote(properties.name)
		if _, twice := t.index[name]; err != nil || twice {
			continue // no value has it
		}
		f := jsonField{name, columns.add(name), s.parse(place{position{doc, properties.value}, at.base})}
		own := doc.member(properties.value, "required") // as draft 3 has it
		f.nullable = f.nullable || !required[name] && doc.kind(own) != 't'
		t.index[name] = len(t.fields)
		t.fields = append(t.fields, f)
	}
	if doc.kind(k.additionalProperties) != 'f' || patterns || more {
		t.others = columns.add("_other")
	}
	return jsonUse{of: t}
}

// columnNames are names of columns that are taken, and the number that the next
// one like it would get.
type columnNames map[string]int

// add makes a name that Avro allows, and that is not taken.
func (c columnNames) add(name string) string {
	clean := strings.Map(func(c rune) rune {
		if c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			return c
		}
		return '_'
	}, name)
	if clean == "" || '0' <= clean[0] && clean[0] <= '9' {
		clean = "_" + clean
	}
	column := clean
	for c[column] > 0 {
		c[clean]++
		column = clean + "_" + strconv.Itoa(c[clean])
	}
	c[column] = 1
	return column
}
