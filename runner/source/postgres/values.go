// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/big"
	"slices"
	"strconv"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/strictjson"
)

// converter makes of values as PostgreSQL writes them what files hold. It is
// the same for copies and for changes, and is used by one goroutine.
type converter struct {
	array   arrayReader
	items   []byte
	decimal big.Int
}

// appendAvro appends a value's encoding in Avro, of the branch that is not null.
// It is not ok if the type cannot hold it, as infinity: then nothing is appended.
func (c *converter) appendAvro(dst []byte, t columnType, text []byte) (_ []byte, ok bool) {
	if t.array {
		return c.appendAvroArray(dst, t, text)
	}
	return c.appendAvroValue(dst, t, text)
}

func (c *converter) appendAvroArray(dst []byte, t columnType, text []byte) ([]byte, bool) {
	c.array.rest = text
	if c.array.next() != stepOpen {
		return dst, false
	}
	items, count := c.items[:0], 0
	defer func() { c.items = items[:0] }()
	for {
		switch c.array.next() {
		case stepElement:
			var ok bool
			if items, ok = c.appendAvroValue(append(items, 2), t, c.array.element); !ok {
				return dst, false
			}
			count++
		case stepNull:
			items = append(items, 0)
			count++
		case stepClose:
			if c.array.next() != stepEnd {
				return dst, false
			}
			if count > 0 {
				dst = append(binary.AppendVarint(dst, int64(count)), items...)
			}
			return append(dst, 0), true
		default: // of several dimensions
			return dst, false
		}
	}
}

func (c *converter) appendAvroValue(dst []byte, t columnType, text []byte) (_ []byte, ok bool) {
	var n int64
	switch t.kind {
	case kindBool:
		if len(text) != 1 {
			return dst, false
		}
		return append(dst, map[bool]byte{true: 1}[text[0] == 't']), true
	case kindInt, kindLong:
		n, ok = parseInt(text)
	case kindDate:
		n, ok = dateOf(text)
	case kindTime:
		n, ok = timeOf(text)
	case kindTimestamp, kindInstant:
		n, ok = timestampOf(text, t.kind == kindInstant)
	case kindFloat:
		f, err := strconv.ParseFloat(string(text), 32)
		if err != nil {
			return dst, false
		}
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(f))), true
	case kindDouble:
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return dst, false
		}
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f)), true
	case kindDecimal:
		return c.appendDecimal(dst, t, text)
	case kindBytes:
		digits, hexadecimal := bytes.CutPrefix(text, []byte(`\x`))
		if !hexadecimal || len(digits)%2 != 0 {
			return dst, false
		}
		long := binary.AppendVarint(dst, int64(len(digits)/2))
		out, err := hex.AppendDecode(long, digits)
		if err != nil {
			return dst, false
		}
		return out, true
	default:
		return append(binary.AppendVarint(dst, int64(len(text))), text...), true
	}
	if !ok {
		return dst, false
	}
	return binary.AppendVarint(dst, n), true
}

func parseInt(text []byte) (n int64, ok bool) {
	digits, negative := bytes.CutPrefix(text, []byte("-"))
	n, rest, count := parseDigits(digits)
	if count == 0 || len(rest) > 0 {
		parsed, err := strconv.ParseInt(string(text), 10, 64) // of 19 digits
		return parsed, err == nil
	}
	if negative {
		n = -n
	}
	return n, true
}

// appendDecimal appends a decimal of a scale, which the text has as many digits
// of behind the point.
func (c *converter) appendDecimal(dst []byte, t columnType, text []byte) ([]byte, bool) {
	digits, negative := bytes.CutPrefix(text, []byte("-"))
	whole, fraction, _ := bytes.Cut(digits, []byte("."))
	if len(fraction) > t.scale || len(whole) == 0 || len(whole) > 2*mostDigits {
		return dst, false // also NaN
	}
	var room [mostDigits + 2]byte
	all := append(append(room[:0], whole...), fraction...)
	for range t.scale - len(fraction) {
		all = append(all, '0')
	}
	if n, rest, count := parseDigits(all); len(rest) == 0 && count > 0 {
		if negative {
			n = -n
		}
		return appendBigEndian(dst, n), true
	}
	if _, ok := c.decimal.SetString(string(all), 10); !ok || slices.ContainsFunc(all, func(d byte) bool { return d < '0' || '9' < d }) {
		return dst, false
	}
	b := c.decimal.Bytes()
	if negative { // the complement of two
		carry := true
		for i := len(b) - 1; i >= 0; i-- {
			if b[i] = ^b[i]; carry {
				b[i]++
				carry = b[i] == 0
			}
		}
	}
	if sign := len(b) > 0 && b[0]&0x80 != 0; sign != negative {
		b = append([]byte{map[bool]byte{true: 0xFF}[negative]}, b...)
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...), true
}

// appendBigEndian appends a number in as few bytes as it takes.
func appendBigEndian(dst []byte, n int64) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	at := 0
	for at < 7 && (b[at] == 0 && b[at+1] < 0x80 || b[at] == 0xFF && b[at+1] >= 0x80) {
		at++
	}
	return append(binary.AppendVarint(dst, int64(8-at)), b[at:]...)
}

// appendJSON appends a value in JSON. What a number of JSON cannot say, and
// decimals, are strings as PostgreSQL writes them.
func (c *converter) appendJSON(dst []byte, t columnType, text []byte) []byte {
	if !t.array {
		return appendJSONValue(dst, t, text)
	}
	c.array.rest = text
	begin, depth, first := len(dst), 0, true
	for {
		s := c.array.next()
		if depth == 0 && len(dst) > begin && s != stepEnd {
			s = stepDamaged // something follows
		}
		if (s == stepOpen || s == stepElement || s == stepNull) && !first {
			dst = append(dst, ',')
		}
		switch s {
		case stepOpen:
			dst, first = append(dst, '['), true
			depth++
			continue
		case stepClose:
			dst = append(dst, ']')
			depth--
		case stepElement:
			dst = appendJSONValue(dst, t, c.array.element)
		case stepNull:
			dst = append(dst, "null"...)
		}
		first = false
		switch {
		case s == stepEnd && depth == 0 && len(dst) > begin && dst[begin] == '[':
			return dst
		case s == stepEnd, s == stepDamaged, depth < 0, depth == 0 && s != stepClose:
			return strictjson.AppendString(dst[:begin], text) // it does not begin at 1
		}
	}
}

func appendJSONValue(dst []byte, t columnType, text []byte) []byte {
	switch t.kind {
	case kindBool:
		return strconv.AppendBool(dst, string(text) == "t")
	case kindInt, kindLong:
		if isNumber(text, false) {
			return append(dst, text...)
		}
	case kindFloat, kindDouble:
		if isNumber(text, true) { // neither NaN nor Infinity
			return append(dst, text...)
		}
	case kindBytes:
		if digits, ok := bytes.CutPrefix(text, []byte(`\x`)); ok {
			if b, err := hex.AppendDecode(nil, digits); err == nil {
				return append(base64.StdEncoding.AppendEncode(append(dst, '"'), b), '"')
			}
		}
	case kindTimestamp, kindInstant:
		if _, ok := timestampOf(text, t.kind == kindInstant); ok {
			dst = append(dst, '"')
			for _, b := range bytes.TrimSuffix(text, utc) {
				if b == ' ' {
					b = 'T'
				}
				dst = append(dst, b)
			}
			if t.kind == kindInstant {
				dst = append(dst, 'Z')
			}
			return append(dst, '"')
		}
	}
	return strictjson.AppendString(dst, text)
}

// isNumber says whether a text is a number in JSON. A server that lies could
// otherwise write what it likes into a file.
func isNumber(text []byte, fraction bool) bool {
	rest := bytes.TrimPrefix(text, []byte("-"))
	digits := func() (n int) {
		for n < len(rest) && '0' <= rest[n] && rest[n] <= '9' {
			n++
		}
		rest = rest[n:]
		return n
	}
	if leading := rest; digits() == 0 || leading[0] == '0' && len(leading)-len(rest) > 1 {
		return false
	}
	if fraction && len(rest) > 0 && rest[0] == '.' {
		if rest = rest[1:]; digits() == 0 {
			return false
		}
	}
	if fraction && len(rest) > 1 && rest[0]|0x20 == 'e' {
		if rest = rest[1:]; rest[0] == '+' || rest[0] == '-' {
			rest = rest[1:]
		}
		if digits() == 0 {
			return false
		}
	}
	return len(rest) == 0
}
