// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"unicode/utf8"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// reference is the checker as it was before it expected names, which reads each
// byte on its own.
type reference struct {
	data    []byte
	at      int
	members []referenceMember // of the objects that are open
	table   []int32           // see duplicates
	escaped bool              // the last string had an escape
	// strict is about what is JSON, but not everybody takes.
	strict bool
}

// member is the name of a member.
type referenceMember struct {
	hash     uint64
	from, to int32 // of its text, without the quotes; values are far shorter than 2 GiB
}

// Check returns nil if data is one JSON value (RFC 8259) that every reader
// takes: in UTF-8, nested at most [settings.MaxDepth] deep, no string with half of a
// surrogate pair, no number beyond a double, no object with two members of one
// name.
func (c *reference) Check(data []byte) error { return c.check(data, true) }

// CheckSyntax returns nil if data is one JSON value that is nested at most
// [settings.MaxDepth] deep; it takes what [encoding/json.Valid] takes.
func (c *reference) CheckSyntax(data []byte) error { return c.check(data, false) }

func (c *reference) check(data []byte, strict bool) error {
	c.data, c.at, c.members, c.strict = data, 0, c.members[:0], strict
	c.skipSpace()
	err := c.value(0)
	if err == nil {
		if c.skipSpace(); c.at < len(data) {
			err = ErrSyntax
		}
	}
	c.data = nil
	if cap(c.members) > maxKept {
		c.members = nil
	}
	if cap(c.table) > maxKept {
		c.table = nil
	}
	return err
}

// peek returns the next byte, 0 at the end: no token begins with that.
func (c *reference) peek() byte {
	if c.at < len(c.data) {
		return c.data[c.at]
	}
	return 0
}

func (c *reference) skipSpace() {
	for c.at < len(c.data) && isSpace(c.data[c.at]) {
		c.at++
	}
}

func isSpace(b byte) bool { return b == ' ' || b == '\n' || b == '\r' || b == '\t' }

// value goes over the value that begins here.
func (c *reference) value(depth int) error {
	switch b := c.peek(); b {
	case '{':
		return c.object(depth + 1)
	case '[':
		return c.array(depth + 1)
	case '"':
		return c.text()
	case 't':
		return c.word("true")
	case 'f':
		return c.word("false")
	case 'n':
		return c.word("null")
	}
	return c.number()
}

func (c *reference) word(word string) error {
	if len(c.data)-c.at < len(word) || string(c.data[c.at:c.at+len(word)]) != word {
		return ErrSyntax
	}
	c.at += len(word)
	return nil
}

func (c *reference) array(depth int) error {
	if depth > settings.MaxDepth {
		return ErrDepth
	}
	c.at++
	if c.skipSpace(); c.peek() == ']' {
		c.at++
		return nil
	}
	for {
		if err := c.value(depth); err != nil {
			return err
		}
		c.skipSpace()
		b := c.peek()
		c.at++
		if b == ']' {
			return nil
		}
		if b != ',' {
			return ErrSyntax
		}
		c.skipSpace()
	}
}

func (c *reference) object(depth int) error {
	if depth > settings.MaxDepth {
		return ErrDepth
	}
	c.at++
	if c.skipSpace(); c.peek() == '}' {
		c.at++
		return nil
	}
	first := len(c.members)
	for {
		if c.peek() != '"' {
			return ErrSyntax
		}
		from := c.at + 1
		if err := c.text(); err != nil {
			return err
		}
		if c.strict {
			c.name(from, c.at-1)
		}
		if c.skipSpace(); c.peek() != ':' {
			return ErrSyntax
		}
		c.at++
		c.skipSpace()
		if err := c.value(depth); err != nil {
			return err
		}
		c.skipSpace()
		b := c.peek()
		c.at++
		if b == '}' {
			break
		}
		if b != ',' {
			return ErrSyntax
		}
		c.skipSpace()
	}
	if c.duplicates(c.members[first:]) {
		return ErrDuplicate
	}
	c.members = c.members[:first]
	return nil
}

// name notes a member's name.
func (c *reference) name(from, to int) {
	text := c.data[from:to]
	if c.escaped {
		text = unquoted(c.data[from-1 : to+1])
	}
	c.members = append(c.members, referenceMember{maphash.Bytes(seed, text), int32(from), int32(to)})
}

// duplicates says whether two members have one name. Different names have
// different hashes but for accidents, which are looked into.
func (c *reference) duplicates(members []referenceMember) bool {
	if len(members) <= few {
		for i := range members {
			for j := range i {
				if members[i].hash == members[j].hash && c.same(members[i], members[j]) {
					return true
				}
			}
		}
		return false
	}
	size := 1 << bits.Len(uint(2*len(members)-1))
	if cap(c.table) < size {
		c.table = make([]int32, size)
	}
	table := c.table[:size]
	clear(table)
	for i := range members {
		slot := int(members[i].hash) & (size - 1)
		for table[slot] != 0 {
			if other := members[table[slot]-1]; other.hash == members[i].hash && c.same(other, members[i]) {
				return true
			}
			slot = (slot + 1) & (size - 1)
		}
		table[slot] = int32(i + 1)
	}
	return false
}

func (c *reference) same(a, b referenceMember) bool {
	return bytes.Equal(unquoted(c.data[a.from-1:a.to+1]), unquoted(c.data[b.from-1:b.to+1]))
}

// text goes over a string.
func (c *reference) text() error {
	data, at := c.data, c.at+1
	c.escaped = false
	for {
		// Eight bytes at a time, as long as they are plain.
		for len(data)-at >= 8 {
			if n := plainBytes(binary.LittleEndian.Uint64(data[at:])); n < 8 {
				at += n
				break
			}
			at += 8
		}
		if at >= len(data) {
			return ErrSyntax
		}
		switch b := data[at]; {
		case b == '"':
			c.at = at + 1
			return nil
		case b == '\\':
			n, err := c.escape(at)
			if err != nil {
				return err
			}
			c.escaped = true
			at += n
		case b < ' ':
			return ErrSyntax
		case b < utf8.RuneSelf:
			at++
		default:
			r, n := utf8.DecodeRune(data[at:])
			if r == utf8.RuneError && n == 1 && c.strict {
				return ErrUTF8
			}
			at += n
		}
	}
}

// plainBytes returns how many of eight bytes, the first is the lowest, are
// ASCII and neither control characters, quotes nor backslashes. The first that
// is not is always found; those behind it do not count.
func plainBytes(word uint64) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	quote, backslash := word^(ones*'"'), word^(ones*'\\')
	special := (word-ones*' ')&^word | (quote-ones)&^quote | (backslash-ones)&^backslash | word
	return bits.TrailingZeros64(special&high) / 8
}

// escape returns the length of the escape at a position.
func (c *reference) escape(at int) (int, error) {
	if at+1 >= len(c.data) {
		return 0, ErrSyntax
	}
	switch c.data[at+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, nil
	case 'u':
	default:
		return 0, ErrSyntax
	}
	unit, ok := c.hex(at)
	switch {
	case !ok:
		return 0, ErrSyntax
	case !c.strict || unit < 0xD800 || unit > 0xDFFF:
		return 6, nil
	}
	if low, ok := c.hex(at + 6); unit <= 0xDBFF && ok && low >= 0xDC00 && low <= 0xDFFF {
		return 12, nil
	}
	return 0, ErrSurrogate
}

// hex reads \uXXXX at a position; ok is false if it is something else.
func (c *reference) hex(at int) (unit uint, ok bool) {
	if len(c.data)-at < 6 || c.data[at] != '\\' || c.data[at+1] != 'u' {
		return 0, false
	}
	for _, b := range c.data[at+2 : at+6] {
		switch {
		case '0' <= b && b <= '9':
			b -= '0'
		case 'a' <= b && b <= 'f':
			b -= 'a' - 10
		case 'A' <= b && b <= 'F':
			b -= 'A' - 10
		default:
			return 0, false
		}
		unit = unit<<4 | uint(b)
	}
	return unit, true
}

// number goes over a number.
func (c *reference) number() error {
	begin := c.at
	if c.peek() == '-' {
		c.at++
	}
	whole := c.at
	switch b := c.peek(); {
	case b == '0':
		c.at++
	case '1' <= b && b <= '9':
		c.digits()
	default:
		return ErrSyntax
	}
	size := c.at - whole
	if c.peek() == '.' {
		c.at++
		if !c.digits() {
			return ErrSyntax
		}
	}
	exponent := false
	if b := c.peek(); b == 'e' || b == 'E' {
		c.at++
		if b := c.peek(); b == '+' || b == '-' {
			c.at++
		}
		exponent = true
		if !c.digits() {
			return ErrSyntax
		}
	}
	if c.strict && (size > maxPlainDigits || exponent) && isBeyondDouble(c.data[begin:c.at]) {
		return ErrNumber
	}
	return nil
}

// digits goes over digits; ok is false if there is none.
func (c *reference) digits() (ok bool) {
	begin := c.at
	for c.at < len(c.data) && '0' <= c.data[c.at] && c.data[c.at] <= '9' {
		c.at++
	}
	return c.at > begin
}
