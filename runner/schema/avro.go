// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// avroValues are in Avro's encoding already: they are only checked.
func avroValues(ctx context.Context, sources []Source, rows rowsMaker, unique bool) (decoder, error) {
	t, err := parseAvroUntil(ctx, sources)
	if err != nil {
		return nil, err
	}
	r, err := rows(t)
	if t.Kind == Bytes {
		return rawBytes(r), err
	}
	return func(_, payload []byte) (*Rows, []byte, error) { return r, payload, t.check(payload, unique) }, err
}

// rawBytes takes values whose whole schema is bytes: the serializer of the
// registry's maker, and its deserializer, have them without a length.
func rawBytes(r *Rows) decoder {
	return func(scratch, payload []byte) (*Rows, []byte, error) {
		return r, appendText(scratch[:0], payload), nil
	}
}

// maxTypes bounds how many types and fields a schema may have.
const maxTypes = 50_000

// maxTried bounds how much is compared with defaults, in fields, members,
// symbols and the like: what is beyond it is left out.
const maxTried = 1_000_000

// parseAvro resolves schemas that build on each other into the type of the
// last one. It takes what Java's Avro takes: what does not fit and means
// nothing to values is left out. A reader of the files might be stricter.
func parseAvro(sources []Source) (t *Type, err error) {
	return parseAvroUntil(context.Background(), sources)
}

// parseAvroUntil is parseAvro that ends with ctx.
func parseAvroUntil(ctx context.Context, sources []Source) (t *Type, err error) {
	p := &avroParser{ctx: ctx, named: map[string]*Type{}}
	for _, s := range sources {
		root, err := p.parse([]byte(s.Text))
		if err != nil {
			return nil, err
		}
		if t, err = p.resolve(root, "", 0); err != nil {
			return nil, err
		}
	}
	return t, nil
}

type avroParser struct {
	document
	ctx   context.Context //nolint:containedctx // of one parse
	named map[string]*Type
	types int
	tried int // for defaults
}

// resolve resolves a schema within a namespace.
func (p *avroParser) resolve(n node, namespace string, depth int) (*Type, error) {
	if depth > settings.MaxDepth {
		return nil, errDeep
	}
	if p.types++; p.types > maxTypes {
		return nil, fmt.Errorf("it has more than %d types and fields", maxTypes)
	}
	if p.types%1000 == 0 && p.ctx.Err() != nil {
		return nil, p.ctx.Err() //nolint:wrapcheck // it is what the caller asks for
	}
	switch p.kind(n) {
	case '"':
		name, _ := p.string(n)
		return p.byName(name, namespace)
	case '[':
		return p.union(n, namespace, depth)
	case '{':
		return p.object(n, namespace, depth)
	}
	if !n.exists() {
		return nil, errors.New("something in it has no type")
	}
	return nil, fmt.Errorf("%.40q is not a type", p.raw(n))
}

// byName looks a type up in the namespace around it, then in none.
func (p *avroParser) byName(name, namespace string) (*Type, error) {
	if kind, ok := kinds[name]; ok && !kind.isNamed() && kind != Array && kind != Map {
		return primitive(kind), nil
	}
	if t := p.named[fullName(name, namespace)]; t != nil {
		return t, nil
	}
	if t := p.named[name]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("the type %.100q is not defined", name)
}

func fullName(name, namespace string) string {
	if namespace == "" || strings.IndexByte(name, '.') >= 0 {
		return strings.TrimPrefix(name, ".")
	}
	return namespace + "." + name
}

func (p *avroParser) union(n node, namespace string, depth int) (*Type, error) {
	t := &Type{Kind: Union}
	taken := map[string]bool{}
	for it := p.items(n); it.advance(); {
		branch, err := p.resolve(it.value, namespace, depth+1)
		if err != nil {
			return nil, err
		}
		if branch.Kind == Union {
			return nil, errors.New("it has a union directly in a union")
		}
		name := kindNames[branch.Kind]
		if branch.Kind.isNamed() {
			name = branch.Name
		}
		if taken[name] {
			return nil, fmt.Errorf("a union has %.100s twice", name)
		}
		taken[name] = true
		t.Branches = append(t.Branches, branch)
	}
	if len(t.Branches) == 0 {
		return nil, errors.New("it has a union of no types")
	}
	return t, nil
}

func (p *avroParser) object(n node, namespace string, depth int) (*Type, error) {
	of := p.member(n, "type")
	if p.kind(of) != '"' { // wrapped, as some libraries write it
		return p.resolve(of, namespace, depth+1)
	}
	name, _ := p.string(of)
	kind, known := kinds[name]
	if !known {
		return p.byName(name, namespace)
	}
	t := &Type{Kind: kind}
	var err error
	switch {
	case kind.isNamed():
		return t, p.define(t, n, namespace, depth)
	case kind == Array || kind == Map:
		key := map[Kind]string{Array: "items", Map: "values"}[kind]
		element := p.member(n, key)
		if !element.exists() {
			return nil, fmt.Errorf("an %s has no %q", name, key)
		}
		t.Element, err = p.resolve(element, namespace, depth+1)
	}
	p.also(t, n, "type", "items", "values")
	return t, err
}

// define makes a type with a name.
func (p *avroParser) define(t *Type, n node, namespace string, depth int) error {
	name, _ := p.string(p.member(n, "name"))
	if own, ok := p.string(p.member(n, "namespace")); ok {
		namespace = own // "" for none
	}
	t.Name = fullName(name, namespace)
	namespace, name = splitName(t.Name)
	if !isName(name) {
		return fmt.Errorf("%.100q is not a name of a type", name)
	}
	if kind, ok := kinds[t.Name]; ok && !kind.isNamed() {
		return fmt.Errorf("%.100q is not a name of a type", name)
	}
	if p.named[t.Name] != nil {
		return fmt.Errorf("%.100s is defined twice", t.Name)
	}
	p.named[t.Name] = t
	var err error
	switch t.Kind {
	case Fixed:
		size, ok := p.int(p.member(n, "size"))
		if t.Size = size; !ok || size < 0 {
			err = fmt.Errorf("%.100s has no size", t.Name)
		}
	case Enum:
		for _, symbol := range p.strings(p.member(n, "symbols")) {
			t.Symbols = append(t.Symbols, []byte(symbol))
		}
	default:
		err = p.fields(t, p.member(n, "fields"), namespace, depth)
	}
	p.also(t, n, "type", "name", "namespace", "fields", "size", "symbols")
	return err
}

// isName says whether Java takes it for a name.
func isName(name string) bool {
	for i, c := range name {
		if c != '_' && !unicode.IsLetter(c) && (i == 0 || !unicode.IsDigit(c)) {
			return false
		}
	}
	return name != ""
}

func (p *avroParser) fields(t *Type, list node, namespace string, depth int) error {
	var nodes []node
	names := map[string]bool{}
	for it := p.items(list); !it.isObject && it.advance(); {
		name, _ := p.string(p.member(it.value, "name"))
		if !isName(name) {
			return fmt.Errorf("%.100q is not a name of a field", name)
		}
		if names[name] {
			return fmt.Errorf("%.100s has two fields called %.100s", t.Name, name)
		}
		names[name] = true
		nodes = append(nodes, it.value)
	}
	for _, n := range nodes {
		name, _ := p.string(p.member(n, "name"))
		of, err := p.resolve(p.member(n, "type"), namespace, depth+1)
		if err != nil {
			return fmt.Errorf("field %.100s: %w", name, err)
		}
		f := Field{Name: name, Type: of}
		for it := p.items(n); it.advance(); {
			switch {
			case is(it.name, "name"), is(it.name, "type"):
			case is(it.name, "default") && !p.fits(it.value, of, 0):
			case is(it.name, "aliases") && !p.areFree(it.value, names):
			default:
				f.also = append(f.also, p.attribute(&it))
			}
		}
		t.Fields = append(t.Fields, f)
	}
	return nil
}

// areFree says whether aliases of a field are names of no field, and takes them.
func (p *avroParser) areFree(aliases node, names map[string]bool) bool {
	list := p.strings(aliases)
	if slices.ContainsFunc(list, func(name string) bool { return names[name] || !isName(name) }) {
		return false
	}
	for _, name := range list {
		names[name] = true
	}
	return true
}

// also keeps what else an object says, but for what is said by members of the
// type. A logical type that does not fit its type is left out: readers should
// take the type as it is.
func (p *avroParser) also(t *Type, n node, except ...string) {
	t.Logical, t.Precision, t.Scale = p.logical(t, n)
	for it := p.items(n); it.advance(); {
		switch {
		case slices.ContainsFunc(except, func(name string) bool { return is(it.name, name) }):
		case is(it.name, "logicalType"), t.Logical == "decimal" && (is(it.name, "precision") || is(it.name, "scale")):
		case t.Kind == Enum && is(it.name, "default") && !p.isSymbol(it.value, t):
		default:
			t.also = append(t.also, p.attribute(&it))
		}
	}
}

// attribute is a member on one line.
func (p *avroParser) attribute(it *items) attribute {
	var value bytes.Buffer
	if err := json.Compact(&value, p.raw(it.value)); err != nil {
		panic(err) // it is valid JSON
	}
	return attribute{name: string(it.name), value: value.Bytes()}
}

// logicalKinds are the types that the specification's logical types fit.
var logicalKinds = map[string][]Kind{"decimal": {Bytes, Fixed}, "big-decimal": {Bytes}, "uuid": {String, Fixed}, "date": {Int}, "time-millis": {Int},
	"time-micros": {Long}, "timestamp-millis": {Long}, "timestamp-micros": {Long}, "timestamp-nanos": {Long},
	"local-timestamp-millis": {Long}, "local-timestamp-micros": {Long}, "local-timestamp-nanos": {Long}, "duration": {Fixed}}

// logical returns the logical type of an object if it fits.
func (p *avroParser) logical(t *Type, n node) (logical string, precision, scale int) {
	logical, ok := p.string(p.member(n, "logicalType"))
	if !ok {
		return "", 0, 0
	}
	fitting, specified := logicalKinds[logical]
	if specified && !slices.Contains(fitting, t.Kind) || logical == "uuid" && t.Kind == Fixed && t.Size != 16 || logical == "duration" && t.Size != 12 {
		return "", 0, 0
	}
	if logical != "decimal" {
		return logical, 0, 0
	}
	precision, ok = p.int(p.member(n, "precision"))
	if at := p.member(n, "scale"); at.exists() {
		var whole bool
		scale, whole = p.int(at)
		ok = ok && whole
	}
	if !ok || precision < 1 || scale < 0 || scale > precision || t.Kind == Fixed && precision > maxDigits(t.Size) {
		return "", 0, 0
	}
	return logical, precision, scale
}

// maxDigits is how many decimal digits fit into bytes.
func maxDigits(bytes int) int {
	if bytes == 0 {
		return 0
	}
	return int(math.Floor(math.Log10(2) * (8*float64(bytes) - 1)))
}

func (p *avroParser) isSymbol(n node, t *Type) bool {
	s, ok := p.string(n)
	return ok && slices.ContainsFunc(t.Symbols, func(symbol []byte) bool { return string(symbol) == s })
}

// fits says whether a default has the type of its field, of a union the first
// one or, as newer versions of Avro have it, any.
func (p *avroParser) fits(n node, t *Type, depth int) bool {
	if p.tried > maxTried {
		return false
	}
	kind := p.kind(n)
	if p.tried += 1 + len(t.Fields) + len(t.Symbols); kind != '{' && kind != '[' {
		p.tried += len(p.raw(n)) / 16
	}
	if depth > settings.MaxDepth || p.tried > maxTried {
		return false
	}
	number := kind == '-' || '0' <= kind && kind <= '9'
	switch t.Kind {
	case Null:
		return kind == 'n'
	case Boolean:
		return kind == 't' || kind == 'f'
	case Int, Long:
		_, err := strconv.ParseInt(string(p.raw(n)), 10, map[Kind]int{Int: 32, Long: 64}[t.Kind])
		return err == nil
	case Float, Double:
		return number
	case String:
		_, ok := p.string(n)
		return ok
	case Bytes, Fixed:
		s, ok := p.string(n)
		return ok && !strings.ContainsFunc(s, func(c rune) bool { return c > 255 }) && (t.Kind == Bytes || len([]rune(s)) == t.Size)
	case Enum:
		return p.isSymbol(n, t)
	case Union:
		return slices.ContainsFunc(t.Branches, func(b *Type) bool { return p.fits(n, b, depth+1) })
	case Array, Map:
		it := p.items(n)
		if kind != '{' && t.Kind == Map || kind != '[' && t.Kind == Array {
			return false
		}
		for it.advance() {
			if !p.fits(it.value, t.Element, depth+1) {
				return false
			}
		}
		return true
	}
	if kind != '{' {
		return false
	}
	values, ok := p.membersFor(n)
	if !ok {
		return false
	}
	for _, f := range t.Fields {
		value, ok := values[f.Name]
		if !ok {
			value = nowhere
		}
		if value.exists() && !p.fits(value, f.Type, depth+1) {
			return false
		}
		p.tried += len(f.also)
		if !value.exists() && !slices.ContainsFunc(f.also, func(a attribute) bool { return is([]byte(a.name), "default") }) {
			return false
		}
	}
	return true
}

// membersFor are an object's members, unless that is too much to compare.
func (p *avroParser) membersFor(n node) (_ map[string]node, ok bool) {
	for it := p.items(n); it.advance() && p.tried <= maxTried; {
		p.tried++
	}
	if p.tried > maxTried {
		return nil, false
	}
	return p.members(n), true
}
