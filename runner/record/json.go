// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"encoding/json"
)

// What is below works on JSON that [json.Valid] has accepted: it finds its way
// by the few characters that matter, and copies what it keeps byte by byte, so
// that numbers, order and white space stay as they came.

// skipSpace returns where the next token begins.
func skipSpace(data []byte, at int) int {
	for at < len(data) {
		switch data[at] {
		case ' ', '\t', '\r', '\n':
			at++
		default:
			return at
		}
	}
	return at
}

// skipString returns the end of the string that begins at a position.
func skipString(data []byte, at int) int {
	for at++; ; at++ {
		at += bytes.IndexByte(data[at:], '"')
		escapes := 0
		for data[at-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at + 1
		}
	}
}

// skipValue returns the end of the value that begins at a position.
func skipValue(data []byte, at int) int {
	switch data[at] {
	case '"':
		return skipString(data, at)
	case '{', '[':
		for depth := 0; ; {
			switch data[at] {
			case '"':
				at = skipString(data, at)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return at + 1
				}
			}
			at++
		}
	}
	for at < len(data) {
		switch data[at] {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			return at
		}
		at++
	}
	return at
}

// scanner goes through the members of an object or the elements of a list.
type scanner struct {
	data []byte
	at   int
	// Of the present one: the name with its quotes (empty in lists), the
	// value, and where it begins.
	name, value []byte
	begin       int
}

func scan(data []byte) scanner { return scanner{data: data, at: skipSpace(data, 0) + 1} }

// next moves on; it is false at the end.
func (s *scanner) next(object bool) bool {
	s.at = skipSpace(s.data, s.at)
	if s.data[s.at] == ',' {
		s.at = skipSpace(s.data, s.at+1)
	}
	if c := s.data[s.at]; c == '}' || c == ']' {
		return false
	}
	if object {
		end := skipString(s.data, s.at)
		s.name = s.data[s.at:end]
		s.at = skipSpace(s.data, skipSpace(s.data, end)+1) // over the colon
	}
	s.begin = s.at
	s.at = skipValue(s.data, s.at)
	s.value = s.data[s.begin:s.at]
	return true
}

// kind is the first character of a value: one of { [ " t f n or that of a number.
func kind(value []byte) byte { return value[skipSpace(value, 0)] }

// isNamed says whether a member's name, in quotes, stands for name.
func isNamed(quoted []byte, name string) bool {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner) == name
	}
	return unquote(quoted) == name
}

func unquote(quoted []byte) string {
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		panic(err) // it is a string of valid JSON
	}
	return s
}

// find returns a field of a JSON value, nil if it is missing. Of several
// members of one name the last counts, as most parsers have it.
func find(value []byte, field []string) []byte {
	value = value[skipSpace(value, 0):]
	for _, name := range field {
		if kind(value) != '{' {
			return nil
		}
		var found []byte
		for s := scan(value); s.next(true); {
			if isNamed(s.name, name) {
				found = s.value
			}
		}
		if found == nil {
			return nil
		}
		value = found
	}
	if kind(value) == 'n' {
		return nil
	}
	return value
}

// text returns what a JSON value says: a string's content, or the value as it
// is written.
func text(value []byte) []byte {
	if value[0] != '"' {
		return bytes.TrimRight(value, " \t\r\n")
	}
	if inner := value[1 : len(value)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	return []byte(unquote(value))
}

// names is a tree of fields.
type names struct {
	below map[string]*names
	masks masks // what is to be done with this field, for masks
}

// add returns the place of a field in the tree.
func (n *names) add(field []string) *names {
	for _, name := range field {
		if n.below == nil {
			n.below = map[string]*names{}
		}
		next := n.below[name]
		if next == nil {
			next = &names{}
			n.below[name] = next
		}
		n = next
	}
	return n
}

// named returns the place below for a member's name in quotes; nil if there is none.
func (n *names) named(quoted []byte) *names {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return n.below[string(inner)]
	}
	return n.below[unquote(quoted)]
}

// appendSelected appends the fields of value that are in the tree; ok is false
// if there is nothing to append. Lists keep their objects and lists.
func (n *names) appendSelected(dst, value []byte) (_ []byte, ok bool) {
	if n.below == nil {
		return append(dst, value...), true
	}
	c := kind(value)
	if c != '{' && c != '[' {
		return dst, false
	}
	object := c == '{'
	dst = append(dst, c)
	first := true
	for s := scan(value); s.next(object); {
		place, begin := n, len(dst)
		if object {
			if place = n.named(s.name); place == nil {
				continue
			}
		}
		if !first {
			dst = append(dst, ',')
		}
		if object {
			dst = append(append(dst, s.name...), ':')
		}
		if dst, ok = place.appendSelected(dst, s.value); !ok {
			dst = dst[:begin]
			continue
		}
		first = false
	}
	return append(dst, c+2), true // the closing bracket
}

// appendMasked appends value with what the tree's leaves mask.
func (n *names) appendMasked(dst, value []byte) []byte {
	if n.masks != nil {
		return n.masks.append(dst, value)
	}
	c := kind(value)
	if c != '{' && c != '[' {
		return append(dst, value...)
	}
	copied := 0
	for s := scan(value); s.next(c == '{'); {
		place := n
		if c == '{' {
			if place = n.named(s.name); place == nil {
				continue
			}
		}
		dst = place.appendMasked(append(dst, value[copied:s.begin]...), s.value)
		copied = s.at
	}
	return append(dst, value[copied:]...)
}
