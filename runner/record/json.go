// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"encoding/json"
)

// What is below works on JSON that [strictjson.Checker.CheckSyntax] has
// accepted, which bounds how deep it is nested: it finds its way by the few
// characters that matter, and copies what it keeps byte by byte, so that
// numbers, order and white space stay as they came.

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

// scanner goes through the members of an object or the elements of a list. Who
// uses it moves at to the end of each value, so that nothing is gone over twice.
type scanner struct {
	data   []byte
	at     int
	object bool
	name   []byte // of the present member, with its quotes
}

// scan begins with the object or list at a position.
func scan(data []byte, at int) scanner {
	return scanner{data: data, at: at + 1, object: data[at] == '{'}
}

// next moves on to where the next value begins, or behind the end, where it is false.
func (s *scanner) next() bool {
	s.at = skipSpace(s.data, s.at)
	if s.data[s.at] == ',' {
		s.at = skipSpace(s.data, s.at+1)
	}
	if c := s.data[s.at]; c == '}' || c == ']' {
		s.at++
		return false
	}
	if s.object {
		end := skipString(s.data, s.at)
		s.name = s.data[s.at:end]
		s.at = skipSpace(s.data, skipSpace(s.data, end)+1) // over the colon
	}
	return true
}

// skip goes over the present value and returns it.
func (s *scanner) skip() []byte {
	begin := s.at
	s.at = skipValue(s.data, begin)
	return s.data[begin:s.at]
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
		for s := scan(value, 0); s.next(); {
			if one := s.skip(); isNamed(s.name, name) {
				found = one
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
	s := selector{value, dst}
	_, ok = s.walk(n, skipSpace(value, 0))
	return s.dst, ok
}

type selector struct{ data, dst []byte }

// walk goes over the value at a position, and appends what is in the tree.
func (s *selector) walk(n *names, at int) (end int, ok bool) {
	c := s.data[at]
	if n.below == nil || c != '{' && c != '[' {
		end = skipValue(s.data, at)
		if n.below != nil {
			return end, false
		}
		s.dst = append(s.dst, s.data[at:end]...)
		return end, true
	}
	s.dst = append(s.dst, c)
	first := true
	in := scan(s.data, at)
	for in.next() {
		place, begin := n, len(s.dst)
		if in.object {
			if place = n.named(in.name); place == nil {
				in.skip()
				continue
			}
		}
		if !first {
			s.dst = append(s.dst, ',')
		}
		if in.object {
			s.dst = append(append(s.dst, in.name...), ':')
		}
		if in.at, ok = s.walk(place, in.at); ok {
			first = false
		} else {
			s.dst = s.dst[:begin]
		}
	}
	s.dst = append(s.dst, c+2) // the closing bracket
	return in.at, true
}

// appendMasked appends value with what the tree's leaves mask. It is not ok if
// that becomes longer than largest: a mask can be many times what it is for.
func (n *names) appendMasked(dst, value []byte, largest int) (masked []byte, ok bool) {
	if len(value) > keptBuffer { // it is not built step by step, each a copy of the one before
		m := masker{data: value, measure: true}
		m.walk(n, skipSpace(value, 0))
		if m.length += len(value) - m.copied; m.length > largest {
			return dst, false
		}
		if cap(dst) < m.length {
			dst = make([]byte, 0, m.length)
		}
	}
	m := masker{data: value, dst: dst, largest: largest}
	m.walk(n, skipSpace(value, 0))
	if len(m.dst)+len(value)-m.copied > largest {
		return m.dst[:0], false
	}
	return append(m.dst, value[m.copied:]...), true
}

type masker struct {
	data, dst []byte
	copied    int // data up to here is in dst
	largest   int // no more is put into a dst that is longer
	measure   bool
	length    int // of what would be in dst, to measure it
}

// walk goes over the value at a position, and puts masks in the place of what
// is in the tree.
func (m *masker) walk(n *names, at int) (end int) {
	if n.masks != nil {
		end = skipValue(m.data, at)
		if m.measure {
			m.length += at - m.copied + n.masks.length(m.data[at:end])
		} else if len(m.dst) <= m.largest {
			m.dst = n.masks.append(append(m.dst, m.data[m.copied:at]...), m.data[at:end])
		}
		m.copied = end
		return end
	}
	if c := m.data[at]; c != '{' && c != '[' {
		return skipValue(m.data, at)
	}
	in := scan(m.data, at)
	for in.next() {
		place := n
		if in.object {
			place = n.named(in.name)
		}
		if place == nil {
			in.skip()
		} else {
			in.at = m.walk(place, in.at)
		}
	}
	return in.at
}
