// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/strictjson"
)

var (
	errNoJSON    = errors.New("it is not JSON")
	errDeep      = fmt.Errorf("it is nested more than %d deep", settings.MaxDepth)
	errSurrogate = errors.New("it has half of a surrogate pair in a string")
)

// document is JSON text of which nothing is copied. Objects and arrays can be
// skipped at once: going through it all takes time and memory by its length,
// however it is nested.
type document struct {
	text       []byte
	containers []container // objects and arrays in the order of their beginnings
	open       []int32     // while it is parsed
	checker    strictjson.Checker

	maxContainers int // 0 for any number
}

// containerMemory is what a container takes, in memory that grows.
const containerMemory = 2 * 8

// container is where an object or array ends, and which one begins after it.
type container struct{ end, next int32 }

// node is a value in a document: where it begins, and how many objects and
// arrays begin before it.
type node struct{ at, container int32 }

// nowhere is the node of what is missing.
var nowhere = node{at: -1}

func (n node) exists() bool { return n.at >= 0 }

// parse makes d the document of a text, and returns its root. It uses the
// memory that d has.
func (d *document) parse(text []byte) (node, error) {
	if len(text) > math.MaxInt32 {
		return nowhere, errNoJSON
	}
	if err := d.checker.CheckSyntax(text); errors.Is(err, strictjson.ErrDepth) {
		return nowhere, errDeep
	} else if err != nil {
		return nowhere, errNoJSON
	}
	if !utf8.Valid(text) {
		return nowhere, errUTF8
	}
	d.text, d.containers, d.open = text, d.containers[:0], d.open[:0]
	for at := 0; at < len(text); at++ {
		switch text[at] {
		case '"':
			at = d.endOfString(at) - 1
		case '{', '[':
			if len(d.open) >= settings.MaxDepth {
				return nowhere, errDeep
			}
			if d.maxContainers > 0 && len(d.containers) >= d.maxContainers {
				return nowhere, errParts
			}
			d.open = append(d.open, int32(len(d.containers)))
			d.containers = append(d.containers, container{})
		case '}', ']':
			last := len(d.open) - 1
			d.containers[d.open[last]] = container{end: int32(at + 1), next: int32(len(d.containers))}
			d.open = d.open[:last]
		}
	}
	return node{at: d.skipSpace(0)}, nil
}

// endOfString returns where the string that begins at at ends.
func (d *document) endOfString(at int) int {
	for at++; ; at++ {
		at += bytes.IndexByte(d.text[at:], '"')
		escapes := 0
		for d.text[at-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at + 1
		}
	}
}

func (d *document) skipSpace(at int32) int32 {
	for int(at) < len(d.text) && (d.text[at] == ' ' || d.text[at] == '\n' || d.text[at] == '\r' || d.text[at] == '\t') {
		at++
	}
	return at
}

// kind is the first character of a value, 0 if it is missing.
func (d *document) kind(n node) byte {
	if !n.exists() {
		return 0
	}
	return d.text[n.at]
}

// after returns where a value ends, and which container begins next.
func (d *document) after(n node) (at, next int32) {
	switch d.text[n.at] {
	case '{', '[':
		c := d.containers[n.container]
		return c.end, c.next
	case '"':
		return int32(d.endOfString(int(n.at))), n.container
	}
	for at = n.at; int(at) < len(d.text); at++ {
		switch d.text[at] {
		case ',', ']', '}', ' ', '\n', '\r', '\t':
			return at, n.container
		}
	}
	return at, n.container
}

// raw is a value as it is written.
func (d *document) raw(n node) []byte {
	end, _ := d.after(n)
	return d.text[n.at:end]
}

// items goes through the members of an object or the elements of an array.
type items struct {
	d        *document
	next     node
	isObject bool

	name  []byte // of a member, in quotes
	value node
}

// items begins before the first; there are none in other values.
func (d *document) items(n node) items {
	it := items{d: d, next: nowhere}
	if kind := d.kind(n); kind == '{' || kind == '[' {
		it.isObject = kind == '{'
		it.next = node{d.skipSpace(n.at + 1), n.container + 1}
	}
	return it
}

// advance goes on to the next one, and says whether there is one.
func (it *items) advance() bool {
	d := it.d
	if !it.next.exists() || d.text[it.next.at] == '}' || d.text[it.next.at] == ']' {
		return false
	}
	at := it.next.at
	if it.isObject {
		end := int32(d.endOfString(int(at)))
		it.name = d.text[at:end]
		at = d.skipSpace(d.skipSpace(end) + 1) // the colon
	}
	it.value = node{at, it.next.container}
	end, container := d.after(it.value)
	if end = d.skipSpace(end); d.text[end] == ',' {
		end = d.skipSpace(end + 1)
	}
	it.next = node{end, container}
	return true
}

// member returns the last member of a name, as most parsers have it.
func (d *document) member(of node, name string) node {
	found := nowhere
	for it := d.items(of); it.isObject && it.advance(); {
		if is(it.name, name) {
			found = it.value
		}
	}
	return found
}

// members are the members of an object by their names.
func (d *document) members(of node) map[string]node {
	list := map[string]node{}
	for it := d.items(of); it.isObject && it.advance(); {
		if name, err := unquote(it.name); err == nil {
			list[name] = it.value
		}
	}
	return list
}

// element returns an element of an array.
func (d *document) element(of node, index int) node {
	for it := d.items(of); !it.isObject && it.advance(); index-- {
		if index == 0 {
			return it.value
		}
	}
	return nowhere
}

// string returns what a string says; ok is false for other values.
func (d *document) string(n node) (s string, ok bool) {
	if d.kind(n) != '"' {
		return "", false
	}
	s, err := unquote(d.raw(n))
	return s, err == nil
}

// strings returns the strings of an array.
func (d *document) strings(n node) (list []string) {
	for it := d.items(n); !it.isObject && it.advance(); {
		if s, ok := d.string(it.value); ok {
			list = append(list, s)
		}
	}
	return list
}

// int returns a small number.
func (d *document) int(n node) (int, bool) {
	if !n.exists() {
		return 0, false
	}
	i, err := strconv.ParseInt(string(d.raw(n)), 10, 32)
	return int(i), err == nil
}

// is says whether a string in quotes says s.
func is(quoted []byte, s string) bool {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner) == s
	}
	text, err := unquote(quoted)
	return err == nil && text == s
}

// unquote returns what a string of valid JSON says. Half of a surrogate pair
// is no text.
func unquote(quoted []byte) (string, error) {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), nil
	}
	for rest := inner; ; {
		at := bytes.IndexByte(rest, '\\')
		if at < 0 {
			break
		}
		rest = rest[at+1:]
		if rest[0] != 'u' {
			rest = rest[1:]
			continue
		}
		first, size := codeUnit(rest), 5
		if utf16.IsSurrogate(first) {
			if len(rest) < 11 || rest[5] != '\\' || rest[6] != 'u' || utf16.DecodeRune(first, codeUnit(rest[6:])) == utf8.RuneError {
				return "", errSurrogate
			}
			size = 11
		}
		rest = rest[size:]
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return "", fmt.Errorf("%w", err)
	}
	return s, nil
}

// codeUnit reads uXXXX.
func codeUnit(text []byte) rune {
	n, err := strconv.ParseUint(string(text[1:5]), 16, 16)
	if err != nil {
		panic(err) // it is valid JSON
	}
	return rune(n)
}
