// SPDX-License-Identifier: Apache-2.0

// Package strictjson says whether bytes are JSON that every reader takes, in
// one pass and without memory of its own for ordinary values.
//
// It is stricter than [encoding/json.Valid], since one value that a reader
// refuses makes the whole file unreadable for it: see [Checker.Check].
package strictjson

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/maphash"
	"math/bits"
	"strconv"
	"unicode/utf8"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// Why data is not JSON that every reader takes.
var (
	ErrSyntax    = errors.New("it is not JSON")
	ErrDepth     = errors.New("it is nested more than " + strconv.Itoa(settings.MaxDepth) + " deep")
	ErrUTF8      = errors.New("it is not UTF-8")
	ErrSurrogate = errors.New("it has half of a surrogate pair in a string")
	ErrNumber    = errors.New("it has a number that is beyond a double")
	ErrDuplicate = errors.New("it has an object with two members of one name")
)

// Checker checks values. It keeps memory from one to the next, and is used by
// one goroutine at a time.
//
// Values that follow each other mostly have the same members in the same
// order. What the objects at each place had is kept, so that a name is compared
// with the one that is expected rather than read: see [place].
type Checker struct {
	mode    mode
	err     error    // why the value is none
	unfit   error    // why not every reader takes it
	lines   bool     // it has white space that ends a line
	members []member // of the objects that are open and have names that are not kept
	table   []int32  // see duplicates
	known   known
	found   found
}

// mode is what a check is about.
type mode byte

const (
	syntax mode = iota // what is JSON
	strict             // and what everybody takes: it ends at the first thing that is not
	both               // the same, but it goes on
)

// member is the name of a member.
type member struct {
	hash     uint64
	from, to int32 // of its text, without the quotes; values are far shorter than 2 GiB
	kept     *name // in place of these
}

var seed = maphash.MakeSeed()

// Check returns nil if data is one JSON value (RFC 8259) that every reader
// takes: in UTF-8, nested at most [settings.MaxDepth] deep, no string with half of a
// surrogate pair, no number beyond a double, no object with two members of one
// name.
func (c *Checker) Check(data []byte) error { return c.check(data, strict) }

// CheckSyntax returns nil if data is one JSON value that is nested at most
// [settings.MaxDepth] deep; it takes what [encoding/json.Valid] takes.
func (c *Checker) CheckSyntax(data []byte) error { return c.check(data, syntax) }

// HasLines says whether the value that was checked last is on several lines.
func (c *Checker) HasLines() bool { return c.lines }

func (c *Checker) check(data []byte, m mode) error {
	c.mode, c.err, c.unfit, c.lines, c.members = m, nil, nil, false, c.members[:0]
	c.found.begin()
	at := c.space(data, 0)
	if at = c.value(data, at, 0, c.known.begin(&c.found)); at >= 0 {
		if at = c.space(data, at); at < len(data) {
			c.err = ErrSyntax
		}
	}
	if cap(c.members) > maxKept {
		c.members = nil
	}
	if cap(c.table) > maxKept {
		c.table = nil
	}
	if c.err == nil && m == strict {
		return c.unfit
	}
	return c.err
}

// maxKept is how much memory is kept, in members.
const maxKept = 1 << 14

// Functions that go over a part of data return where it ends, or failed.
const failed = -1

// fail says why data is no JSON.
func (c *Checker) fail(why error) int {
	c.err = why
	return failed
}

// refuse says why not every reader takes a part of data that ends at at.
func (c *Checker) refuse(why error, at int) int {
	if c.mode == strict {
		return c.fail(why)
	}
	if c.mode == both && c.unfit == nil {
		c.unfit = why
	}
	return at
}

// space goes over white space.
func (c *Checker) space(data []byte, at int) int {
	for at < len(data) {
		switch data[at] {
		case ' ', '\t':
		case '\n', '\r':
			c.lines = true
		default:
			return at
		}
		at++
	}
	return at
}

// value goes over the value that begins here, that of a member or element of a name.
func (c *Checker) value(data []byte, at, depth int, of *name) int {
	if at >= len(data) {
		return c.fail(ErrSyntax)
	}
	switch data[at] {
	case '"':
		return c.text(data, at)
	case '{':
		return c.object(data, at, depth+1, c.known.object(of))
	case '[':
		return c.array(data, at, depth+1, c.known.elements(of))
	}
	return c.scalar(data, at)
}

// scalar goes over a number or a word.
func (c *Checker) scalar(data []byte, at int) int {
	word := "null"
	switch data[at] {
	case 'n':
	case 't':
		word = "true"
	case 'f':
		word = "false"
	default:
		return c.number(data, at)
	}
	if end := at + len(word); end <= len(data) && string(data[at:end]) == word {
		return end
	}
	return c.fail(ErrSyntax)
}

func (c *Checker) array(data []byte, at, depth int, of *name) int {
	if depth > settings.MaxDepth {
		return c.fail(ErrDepth)
	}
	if at = c.space(data, at+1); at < len(data) && data[at] == ']' {
		return at + 1
	}
	for {
		if at = c.value(data, at, depth, of); at < 0 {
			return at
		}
		at = c.space(data, at)
		if at >= len(data) {
			return c.fail(ErrSyntax)
		}
		b := data[at]
		if at++; b == ']' {
			return at
		}
		if b != ',' {
			return c.fail(ErrSyntax)
		}
		at = c.space(data, at)
	}
}

// object goes over an object whose names are expected to be those of a place.
func (c *Checker) object(data []byte, at, depth int, in *place) int {
	if depth > settings.MaxDepth {
		return c.fail(ErrDepth)
	}
	if at = c.space(data, at+1); at < len(data) && data[at] == '}' {
		return at + 1
	}
	if in == nil || in.isWide() {
		return c.others(data, at, depth, in)
	}
	var seen [namesPerPlace / 64]uint64
	expected := &in.first
	for {
		n := *expected
		if n == nil || len(data)-at < n.reach || (binary.LittleEndian.Uint64(data[at:])^n.head)&n.mask != 0 || n.length > 8 && !n.endsAt(data, at) {
			if n = c.known.lookup(data, at, in); n == nil {
				return c.unexpected(data, at, depth, in, &seen)
			}
			*expected = n
		}
		expected = &n.next
		at += n.length
		if seen[n.number/64]&n.bit != 0 && c.refuse(ErrDuplicate, at) < 0 {
			return failed
		}
		seen[n.number/64] |= n.bit
		if at >= len(data) {
			return c.fail(ErrSyntax)
		}
		if data[at] != ':' {
			if at = c.space(data, at); at >= len(data) || data[at] != ':' {
				return c.fail(ErrSyntax)
			}
		}
		if at++; at < len(data) && data[at] <= ' ' {
			at = c.space(data, at)
		}
		switch {
		case n.isSought:
			at = c.sought(data, at, depth, n)
		case at < len(data) && data[at] == '"':
			at = c.text(data, at)
		default:
			at = c.value(data, at, depth, n)
		}
		if at < 0 {
			return at
		}
		if at < len(data) && data[at] <= ' ' {
			at = c.space(data, at)
		}
		if at >= len(data) {
			return c.fail(ErrSyntax)
		}
		b := data[at]
		if at++; b != ',' {
			if b == '}' {
				return at
			}
			return c.fail(ErrSyntax)
		}
		if at < len(data) && data[at] <= ' ' {
			at = c.space(data, at)
		}
	}
}

// sought goes over a member's value, and notes where it is if that is sought.
func (c *Checker) sought(data []byte, at, depth int, n *name) int {
	if !n.isSought {
		return c.value(data, at, depth, n)
	}
	c.found.forget(n)
	end := c.value(data, at, depth, n)
	if end >= 0 {
		c.found.note(n, at, end)
	}
	return end
}

// unexpected goes on with an object that has a name which is not kept.
func (c *Checker) unexpected(data []byte, at, depth int, in *place, seen *[namesPerPlace / 64]uint64) int {
	if c.mode == syntax {
		return c.others(data, at, depth, in)
	}
	first := len(c.members)
	for i, word := range seen {
		for ; word != 0; word &= word - 1 {
			n := in.list[64*i+bits.TrailingZeros64(word)]
			c.members = append(c.members, member{hash: maphash.String(seed, n.text()), kept: n})
		}
	}
	return c.rest(data, at, depth, in, first)
}

// others goes over the members of an object from the one that begins here.
func (c *Checker) others(data []byte, at, depth int, in *place) int {
	return c.rest(data, at, depth, in, len(c.members))
}

// rest is others; the names before are noted from first on.
func (c *Checker) rest(data []byte, at, depth int, in *place, first int) int {
	for {
		if at >= len(data) || data[at] != '"' {
			return c.fail(ErrSyntax)
		}
		from := at
		if at = c.text(data, at); at < 0 {
			return at
		}
		text := data[from+1 : at-1]
		if bytes.IndexByte(text, '\\') >= 0 {
			text = unquoted(data[from:at])
		}
		if c.mode != syntax {
			c.members = append(c.members, member{hash: maphash.Bytes(seed, text), from: int32(from + 1), to: int32(at - 1)})
		}
		if at = c.space(data, at); at >= len(data) || data[at] != ':' {
			return c.fail(ErrSyntax)
		}
		at = c.space(data, at+1)
		if n := c.known.other(in, text); n != nil {
			at = c.sought(data, at, depth, n)
		} else {
			at = c.value(data, at, depth, nil)
		}
		if at < 0 {
			return at
		}
		if at = c.space(data, at); at >= len(data) {
			return c.fail(ErrSyntax)
		}
		b := data[at]
		if at++; b == '}' {
			break
		}
		if b != ',' {
			return c.fail(ErrSyntax)
		}
		at = c.space(data, at)
	}
	if c.mode != syntax {
		if c.duplicates(data, c.members[first:]) && c.refuse(ErrDuplicate, at) < 0 {
			return failed
		}
		c.members = c.members[:first]
	}
	return at
}

func unquoted(quoted []byte) []byte {
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		panic(err) // it has been checked
	}
	return []byte(s)
}

// few members are compared each with each.
const few = 8

// duplicates says whether two members have one name. Different names have
// different hashes but for accidents, which are looked into.
func (c *Checker) duplicates(data []byte, members []member) bool {
	if len(members) <= few {
		for i := range members {
			for j := range i {
				if members[i].hash == members[j].hash && isSame(data, members[i], members[j]) {
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
			if other := members[table[slot]-1]; other.hash == members[i].hash && isSame(data, other, members[i]) {
				return true
			}
			slot = (slot + 1) & (size - 1)
		}
		table[slot] = int32(i + 1)
	}
	return false
}

func isSame(data []byte, a, b member) bool { return bytes.Equal(a.text(data), b.text(data)) }

func (m member) text(data []byte) []byte {
	if m.kept != nil {
		return []byte(m.kept.text())
	}
	return unquoted(data[m.from-1 : m.to+1])
}

// text goes over a string.
func (c *Checker) text(data []byte, at int) int {
	at++
	begin, above := at, uint64(0) // above has the highest bits of all bytes
	for {
		// Eight bytes at a time, as long as they are plain.
		for len(data)-at >= 8 {
			word := binary.LittleEndian.Uint64(data[at:])
			if special := specialBytes(word); special != 0 {
				above |= word & (special&-special - 1)
				at += bits.TrailingZeros64(special) / 8
				break
			}
			above |= word
			at += 8
		}
		if at >= len(data) {
			return c.fail(ErrSyntax)
		}
		switch b := data[at]; {
		case b == '"':
			if above&highBits != 0 && c.mode != syntax && !utf8.Valid(data[begin:at]) {
				return c.refuse(ErrUTF8, at+1)
			}
			return at + 1
		case b == '\\':
			n := c.escape(data, at)
			if n < 0 {
				return n
			}
			at += n
		case b < ' ':
			return c.fail(ErrSyntax)
		default:
			above |= uint64(b)
			at++
		}
	}
}

const lowBits, highBits = 0x0101010101010101, 0x8080808080808080

// specialBytes returns a word that has the highest bit of those of its eight
// bytes that are control characters, quotes or backslashes. The first, which is
// the lowest, is always right; those behind it may be others.
func specialBytes(word uint64) uint64 {
	quote, backslash := word^(lowBits*'"'), word^(lowBits*'\\')
	return ((word-lowBits*' ')&^word | (quote-lowBits)&^quote | (backslash-lowBits)&^backslash) & highBits
}

// escape returns the length of the escape at a position.
func (c *Checker) escape(data []byte, at int) int {
	if at+1 >= len(data) {
		return c.fail(ErrSyntax)
	}
	switch data[at+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
	default:
		return c.fail(ErrSyntax)
	}
	unit, ok := hex(data, at)
	switch {
	case !ok:
		return c.fail(ErrSyntax)
	case c.mode == syntax || unit < 0xD800 || unit > 0xDFFF:
		return 6
	}
	if low, ok := hex(data, at+6); unit <= 0xDBFF && ok && low >= 0xDC00 && low <= 0xDFFF {
		return 12
	}
	return c.refuse(ErrSurrogate, 6)
}

// hex reads \uXXXX at a position; ok is false if it is something else.
func hex(data []byte, at int) (unit uint, ok bool) {
	if len(data)-at < 6 || data[at] != '\\' || data[at+1] != 'u' {
		return 0, false
	}
	for _, b := range data[at+2 : at+6] {
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
func (c *Checker) number(data []byte, at int) int {
	begin := at
	if data[at] == '-' {
		at++
	}
	whole := at
	if at < len(data) && data[at] == '0' {
		at++
	} else {
		at = digits(data, at)
	}
	size := at - whole
	if size == 0 {
		return c.fail(ErrSyntax)
	}
	if at < len(data) && data[at] == '.' {
		point := at + 1
		if at = digits(data, point); at == point {
			return c.fail(ErrSyntax)
		}
	}
	exponent := at < len(data) && data[at]|0x20 == 'e'
	if exponent {
		if at++; at < len(data) && (data[at] == '+' || data[at] == '-') {
			at++
		}
		first := at
		if at = digits(data, first); at == first {
			return c.fail(ErrSyntax)
		}
	}
	if (size > maxPlainDigits || exponent) && c.mode != syntax && isBeyondDouble(data[begin:at]) {
		return c.refuse(ErrNumber, at)
	}
	return at
}

// maxPlainDigits is how many digits before the point are never too many.
const maxPlainDigits = 308

func isBeyondDouble(number []byte) bool {
	_, err := strconv.ParseFloat(string(number), 64) // too small ones become 0 without an error
	return err != nil
}

// digits goes over digits, eight at a time: how many there are is what makes
// the processor guess wrong.
func digits(data []byte, at int) int {
	for len(data)-at >= 8 {
		word := binary.LittleEndian.Uint64(data[at:]) ^ lowBits*'0'
		if others := ((word&^highBits + lowBits*(0x80-10)) | word) & highBits; others != 0 {
			return at + bits.TrailingZeros64(others)/8
		}
		at += 8
	}
	for at < len(data) && data[at]-'0' <= 9 {
		at++
	}
	return at
}
