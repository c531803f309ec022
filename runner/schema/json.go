// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/avro"
)

// jsonValues are JSON text. A JSON Schema says what is allowed rather than what
// there is: what has one clear type becomes a column of it, all else a column
// of JSON text, so that nothing of a value is left out. Only what the columns
// need is checked, not all that the schema demands.
func jsonValues(sources []Source, rows rowsMaker) (decoder, error) {
	s := &jsonShape{documents: map[string]json.RawMessage{}}
	for _, source := range sources {
		if !json.Valid([]byte(source.Text)) {
			return nil, errors.New("it is no JSON")
		}
		s.documents[source.Name] = json.RawMessage(source.Text)
	}
	t, err := s.parse("", s.documents[""], nil)
	if err != nil {
		return nil, err
	}
	node := t.node(new(int))
	shape, err := node.Schema()
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	r, err := rows(shape)
	return func(scratch, payload []byte) (*Rows, []byte, error) {
		if !json.Valid(payload) {
			return nil, nil, errors.New("it is no JSON")
		}
		value, err := t.append(scratch[:0], bytes.TrimSpace(payload))
		return r, value, err
	}, err
}

// jsonType is the shape of a JSON value.
type jsonType struct {
	kind     Kind // String for strings, and for JSON text if text is set
	text     bool
	nullable bool
	fields   []jsonField
	others   string // column of an object's other members, "" if there are none
	element  *jsonType
}

type jsonField struct {
	name, column string
	of           *jsonType
}

// keywords are the parts of a JSON Schema that give values a shape.
type keywords struct {
	Ref                  string            `json:"$ref"`
	Type                 json.RawMessage   `json:"type"`
	OneOf                []json.RawMessage `json:"oneOf"`
	AnyOf                []json.RawMessage `json:"anyOf"`
	AllOf                []json.RawMessage `json:"allOf"`
	Properties           json.RawMessage   `json:"properties"`
	PatternProperties    json.RawMessage   `json:"patternProperties"`
	Required             []string          `json:"required"`
	AdditionalProperties json.RawMessage   `json:"additionalProperties"`
	Items                json.RawMessage   `json:"items"`
}

type jsonShape struct{ documents map[string]json.RawMessage }

// jsonText is the shape of what has no other.
func jsonText() *jsonType { return &jsonType{kind: String, text: true} }

// parse reads the schema of a document; within are the references around it.
func (s *jsonShape) parse(document string, schema json.RawMessage, within []string) (*jsonType, error) {
	var k keywords
	if kindOf(schema) != '{' {
		return jsonText(), nil // true: anything
	}
	if err := json.Unmarshal(schema, &k); err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	if k.Ref != "" {
		return s.reference(document, k.Ref, within)
	}
	if len(k.AllOf) > 0 {
		return jsonText(), nil
	}
	if choices := append(k.OneOf, k.AnyOf...); len(choices) > 0 {
		return s.choice(document, choices, within)
	}
	types, nullable := typesOf(k.Type)
	t := jsonText()
	if len(types) == 0 && kindOf(k.Properties) == '{' {
		types = []string{"object"}
	}
	var err error
	if len(types) == 1 {
		t, err = s.single(document, types[0], &k, within)
	}
	if t != nil {
		t.nullable = t.nullable || nullable
	}
	return t, err
}

// typesOf returns the types that a schema allows besides null.
func typesOf(raw json.RawMessage) (types []string, nullable bool) {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		types = []string{one}
	} else if json.Unmarshal(raw, &types) != nil {
		return nil, false
	}
	before := len(types)
	types = slices.DeleteFunc(types, func(t string) bool { return t == "null" })
	return types, len(types) < before
}

func (s *jsonShape) single(document, kind string, k *keywords, within []string) (*jsonType, error) {
	switch kind {
	case "string":
		return &jsonType{kind: String}, nil
	case "boolean":
		return &jsonType{kind: Boolean}, nil
	case "integer":
		return &jsonType{kind: Long}, nil
	case "number":
		return &jsonType{kind: Double}, nil
	case "array":
		if kindOf(k.Items) != '{' {
			return jsonText(), nil
		}
		element, err := s.parse(document, k.Items, within)
		return &jsonType{kind: Array, element: element}, err
	case "object":
		return s.object(document, k, within)
	}
	return jsonText(), nil
}

func (s *jsonShape) object(document string, k *keywords, within []string) (*jsonType, error) {
	open := string(bytes.TrimSpace(k.AdditionalProperties)) != "false" || kindOf(k.PatternProperties) == '{'
	properties, err := members(k.Properties)
	if err != nil {
		return nil, err
	}
	if len(properties) == 0 {
		if kindOf(k.AdditionalProperties) != '{' || kindOf(k.PatternProperties) == '{' {
			return jsonText(), nil
		}
		element, err := s.parse(document, k.AdditionalProperties, within)
		return &jsonType{kind: Map, element: element}, err
	}
	t := &jsonType{kind: Record}
	columns := map[string]bool{}
	for _, p := range properties {
		of, err := s.parse(document, p.value, within)
		if err != nil {
			return nil, err
		}
		of.nullable = of.nullable || !slices.Contains(k.Required, p.name)
		t.fields = append(t.fields, jsonField{p.name, columnName(p.name, columns), of})
	}
	if open {
		t.others = columnName("_other", columns)
	}
	return t, nil
}

// choice is the shape of oneOf and anyOf: one schema or null, or anything.
func (s *jsonShape) choice(document string, choices []json.RawMessage, within []string) (*jsonType, error) {
	var only json.RawMessage
	nullable, count := false, 0
	for _, c := range choices {
		var k keywords
		if kindOf(c) == '{' && json.Unmarshal(c, &k) == nil {
			if types, null := typesOf(k.Type); null && len(types) == 0 {
				nullable = true
				continue
			}
		}
		only = c
		count++
	}
	if count != 1 {
		return jsonText(), nil
	}
	t, err := s.parse(document, only, within)
	if err == nil {
		t.nullable = t.nullable || nullable
	}
	return t, err
}

// reference follows $ref, within a document or to another. What contains
// itself is JSON text.
func (s *jsonShape) reference(document, ref string, within []string) (*jsonType, error) {
	name, pointer, _ := strings.Cut(ref, "#")
	if name != "" {
		document = name
	}
	at := document + "#" + pointer
	if slices.Contains(within, at) {
		return jsonText(), nil
	}
	schema, ok := s.documents[document]
	if !ok {
		return nil, fmt.Errorf("it refers to %s, which the registry does not list", ref)
	}
	for _, step := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		if pointer == "" {
			break
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(schema, &object) != nil || object[unescapePointer(step)] == nil {
			return nil, fmt.Errorf("it refers to %s, which is not there", ref)
		}
		schema = object[unescapePointer(step)]
	}
	return s.parse(document, schema, append(slices.Clip(within), at))
}

func unescapePointer(step string) string {
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
}

type member struct {
	name  string
	value json.RawMessage
}

// members lists an object's members in their order.
func members(object json.RawMessage) (list []member, err error) {
	if kindOf(object) != '{' {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("%w", err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("%w", err)
		}
		list = append(list, member{name.(string), value})
	}
	return list, nil
}

// kindOf is the first character of a JSON value, 0 if there is none.
func kindOf(raw []byte) byte {
	if raw = bytes.TrimSpace(raw); len(raw) > 0 {
		return raw[0]
	}
	return 0
}

// columnName makes a name that Avro allows, and that is not taken.
func columnName(name string, taken map[string]bool) string {
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
	for i := 2; taken[column]; i++ {
		column = clean + "_" + strconv.Itoa(i)
	}
	taken[column] = true
	return column
}

var jsonKinds = map[Kind]string{String: "string", Boolean: "boolean", Long: "long", Double: "double", Array: "array", Map: "map", Record: "record"}

// node is the shape in Avro; count numbers the records.
func (t *jsonType) node(count *int) avro.SchemaNode {
	n := avro.SchemaNode{Type: jsonKinds[t.kind]}
	switch t.kind {
	case Array:
		element := t.element.node(count)
		n.Items = &element
	case Map:
		element := t.element.node(count)
		n.Values = &element
	case Record:
		*count++
		n.Name, n.Namespace = "Object"+strconv.Itoa(*count), "pachyderm.spout"
		for _, f := range t.fields {
			n.Fields = append(n.Fields, avro.SchemaField{Name: f.column, Type: f.of.node(count)})
		}
		if t.others != "" {
			n.Fields = append(n.Fields, avro.SchemaField{Name: t.others, Type: nullableNode(avro.SchemaNode{Type: "string"})})
		}
	}
	if t.nullable {
		return nullableNode(n)
	}
	return n
}

func nullableNode(n avro.SchemaNode) avro.SchemaNode {
	return avro.SchemaNode{Type: "union", Branches: []avro.SchemaNode{{Type: "null"}, n}}
}

// append appends a JSON value, nil if it is missing.
func (t *jsonType) append(dst []byte, raw json.RawMessage) ([]byte, error) {
	null := raw == nil || raw[0] == 'n'
	if t.nullable && null {
		return append(dst, 0), nil
	}
	if t.nullable {
		dst = append(dst, 2)
	}
	if raw == nil {
		return nil, errors.New("it is missing")
	}
	if t.text {
		return appendText(dst, strings.ToValidUTF8(string(raw), "\uFFFD")), nil
	}
	switch t.kind {
	case String:
		var s string
		if err := json.Unmarshal(raw, &s); err != nil || null {
			return nil, fmt.Errorf("%.40s is no string", raw)
		}
		return appendText(dst, s), nil
	case Boolean:
		switch raw[0] {
		case 't':
			return append(dst, 1), nil
		case 'f':
			return append(dst, 0), nil
		}
		return nil, fmt.Errorf("%.40s is neither true nor false", raw)
	case Long:
		n, err := integer(string(raw))
		return binary.AppendVarint(dst, n), err
	case Double:
		x, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			return nil, fmt.Errorf("%.40s is no number", raw)
		}
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(x)), nil
	case Array:
		return t.appendArray(dst, raw)
	}
	return t.appendObject(dst, raw)
}

// integer parses a whole number, which JSON Schema allows to be written 1.0 or 1e3.
func integer(text string) (int64, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || x != math.Trunc(x) || math.Abs(x) > 1<<53 {
		return 0, fmt.Errorf("%.40s is no whole number of 64 bits", text)
	}
	return int64(x), nil
}

func (t *jsonType) appendArray(dst []byte, raw json.RawMessage) (_ []byte, err error) {
	var elements []json.RawMessage
	if json.Unmarshal(raw, &elements) != nil || raw[0] != '[' {
		return nil, fmt.Errorf("%.40s is no array", raw)
	}
	if len(elements) > 0 {
		dst = binary.AppendVarint(dst, int64(len(elements)))
	}
	for _, e := range elements {
		if dst, err = t.element.append(dst, e); err != nil {
			return nil, err
		}
	}
	return append(dst, 0), nil
}

func (t *jsonType) appendObject(dst []byte, raw json.RawMessage) (_ []byte, err error) {
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil || raw[0] != '{' {
		return nil, fmt.Errorf("%.40s is no object", raw)
	}
	if t.kind == Map {
		if len(object) > 0 {
			dst = binary.AppendVarint(dst, int64(len(object)))
		}
		for name, value := range object {
			if dst, err = t.element.append(appendText(dst, name), value); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		return append(dst, 0), nil
	}
	for _, f := range t.fields {
		if dst, err = f.of.append(dst, object[f.name]); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		delete(object, f.name)
	}
	switch {
	case t.others != "" && len(object) == 0:
		return append(dst, 0), nil
	case t.others != "":
		others, err := json.Marshal(object)
		if err != nil {
			return nil, fmt.Errorf("%w", err)
		}
		return appendText(append(dst, 2), others), nil
	case len(object) > 0:
		for name := range object {
			return nil, fmt.Errorf("it has the member %.40q, which its schema does not allow", name)
		}
	}
	return dst, nil
}
