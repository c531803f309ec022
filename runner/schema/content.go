// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"math/big"
	"strconv"
)

// maxDecimal is how many bytes a decimal has whose digits are written out: it
// takes time that grows faster than they do.
const maxDecimal = 4 << 10

var errDigits = errors.New("it has a decimal of too many digits")

// appendContent appends what a value of a type without parts says, and returns
// what follows it in data, which has been checked. In JSON it is a string if it
// is quoted. It is the same in JSON lines, filters, paths and masks: times are
// RFC 3339 with as many digits of a second as there are, decimals have all
// digits of their scale, bytes are base64, and longs and doubles have as many
// digits as it takes.
func appendContent(dst []byte, t *Type, data []byte) (_, rest []byte, quoted bool, err error) {
	switch t.Kind {
	case Null:
		return append(dst, "null"...), data, false, nil
	case Boolean:
		return strconv.AppendBool(dst, data[0] != 0), data[1:], false, nil
	case Int, Long:
		n, rest := long(data)
		if t.unsigned {
			return strconv.AppendUint(dst, uint64(n), 10), rest, false, nil
		}
		dst, quoted = appendWhole(dst, t.Logical, n)
		return dst, rest, quoted, nil
	case Float:
		dst, quoted = appendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(data))), 32)
		return dst, data[4:], quoted, nil
	case Double:
		dst, quoted = appendFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(data)), 64)
		return dst, data[8:], quoted, nil
	case Enum:
		n, rest := long(data)
		return append(dst, t.Symbols[n]...), rest, true, nil
	case Fixed:
		dst, err = t.appendBytes(dst, data[:t.Size])
		return dst, data[t.Size:], true, err
	}
	b, rest := text(data)
	if t.Kind == String {
		return append(dst, b...), rest, !t.json, nil
	}
	dst, err = t.appendBytes(dst, b)
	return dst, rest, true, err
}

// appendBytes appends what bytes of a type say.
func (t *Type) appendBytes(dst, b []byte) ([]byte, error) {
	switch {
	case t.Logical == "decimal":
		return appendDecimalText(dst, b, t.Scale)
	case t.Logical == "uuid" && len(b) == 16:
		for i, from := range []int{0, 4, 6, 8, 10} {
			if i > 0 {
				dst = append(dst, '-')
			}
			dst = hex.AppendEncode(dst, b[from:[]int{4, 6, 8, 10, 16}[i]])
		}
		return dst, nil
	case t.Logical == "duration" && len(b) == 12:
		return appendDurationText(dst, b), nil
	}
	return base64.StdEncoding.AppendEncode(dst, b), nil
}

// appendDurationText appends months, days and milliseconds as ISO 8601 has them.
func appendDurationText(dst, b []byte) []byte {
	dst = strconv.AppendUint(append(dst, 'P'), uint64(binary.LittleEndian.Uint32(b)), 10)
	dst = strconv.AppendUint(append(dst, 'M'), uint64(binary.LittleEndian.Uint32(b[4:])), 10)
	millis := uint64(binary.LittleEndian.Uint32(b[8:]))
	dst = strconv.AppendUint(append(dst, 'D', 'T'), millis/1000, 10)
	return append(appendFraction(dst, int64(millis%1000), 3), 'S')
}

// appendDecimalText appends a decimal, whose unscaled value is a big-endian
// complement of two.
func appendDecimalText(dst, b []byte, scale int) ([]byte, error) {
	if len(b) > maxDecimal || scale > maxDecimal {
		return nil, errDigits
	}
	var room [40]byte
	digits, negative := room[:0], len(b) > 0 && b[0]&0x80 != 0
	if len(b) <= 8 {
		var n int64
		if negative {
			n = -1
		}
		for _, c := range b {
			n = n<<8 | int64(c)
		}
		magnitude := uint64(n)
		if negative {
			magnitude = -magnitude
		}
		digits = strconv.AppendUint(digits, magnitude, 10)
	} else {
		n := new(big.Int).SetBytes(b)
		if negative {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		digits = n.Abs(n).Append(digits, 10)
	}
	if negative {
		dst = append(dst, '-')
	}
	for n := len(digits); n <= scale; n++ {
		dst = append(dst, '0')
		if n == len(digits) && scale > 0 {
			dst = append(dst, '.')
		}
	}
	if len(digits) <= scale {
		return append(dst, digits...), nil
	}
	dst = append(dst, digits[:len(digits)-scale]...)
	if scale > 0 {
		dst = append(append(dst, '.'), digits[len(digits)-scale:]...)
	}
	return dst, nil
}

// appendFloat appends a number in as few digits as tell it from all others.
// What JSON has no numbers for is text.
func appendFloat(dst []byte, x float64, bits int) (_ []byte, quoted bool) {
	switch {
	case math.IsNaN(x):
		return append(dst, "NaN"...), true
	case math.IsInf(x, 1):
		return append(dst, "Infinity"...), true
	case math.IsInf(x, -1):
		return append(dst, "-Infinity"...), true
	}
	format := byte('f')
	if magnitude := math.Abs(x); magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, x, format, -1, bits), false
}

// unit is how a whole number counts time.
type unit struct {
	digits int  // of a second
	clock  bool // it counts from midnight, rather than from 1970
	zone   bool // it is in UTC, rather than where somebody was
	days   bool
}

var units = map[string]unit{
	"date": {days: true}, "time-millis": {digits: 3, clock: true}, "time-micros": {digits: 6, clock: true},
	"timestamp-millis": {digits: 3, zone: true}, "timestamp-micros": {digits: 6, zone: true}, "timestamp-nanos": {digits: 9, zone: true},
	"local-timestamp-millis": {digits: 3}, "local-timestamp-micros": {digits: 6}, "local-timestamp-nanos": {digits: 9},
}

var powers = [...]int64{1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

const secondsOfDay = 24 * 60 * 60

// appendWhole appends a number, or the time that it stands for.
func appendWhole(dst []byte, logical string, n int64) (_ []byte, quoted bool) {
	if logical == "" {
		return strconv.AppendInt(dst, n, 10), false
	}
	u, ok := units[logical]
	if !ok {
		return strconv.AppendInt(dst, n, 10), false
	}
	if u.days {
		return appendDate(dst, n), true
	}
	perSecond := powers[u.digits]
	perDay := perSecond * secondsOfDay
	if u.clock && (n < 0 || n >= perDay) { // no time of day
		return strconv.AppendInt(dst, n, 10), true
	}
	days, rest := floorDiv(n, perDay)
	if !u.clock {
		dst = append(appendDate(dst, days), 'T')
	}
	seconds, fraction := floorDiv(rest, perSecond)
	dst = appendTwo(appendTwo(appendTwo(dst, seconds/3600, 0), seconds/60%60, ':'), seconds%60, ':')
	dst = appendFraction(dst, fraction, u.digits)
	if u.zone {
		dst = append(dst, 'Z')
	}
	return dst, true
}

func floorDiv(n, by int64) (quotient, rest int64) {
	quotient, rest = n/by, n%by
	if rest < 0 {
		quotient, rest = quotient-1, rest+by
	}
	return quotient, rest
}

func appendTwo(dst []byte, n int64, before byte) []byte {
	if before != 0 {
		dst = append(dst, before)
	}
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}

// appendFraction appends the digits behind the point, without zeros at the end.
func appendFraction(dst []byte, n int64, digits int) []byte {
	if n == 0 {
		return dst
	}
	dst = append(dst, '.')
	for at := digits - 1; n > 0; at-- {
		dst = append(dst, byte('0'+n/powers[at]))
		n %= powers[at]
	}
	return dst
}

// appendDate appends the date of a day counted from 1970, in the Gregorian
// calendar. Years of more than four digits have a sign, as ISO 8601 asks for.
func appendDate(dst []byte, days int64) []byte {
	year, month, day := civil(days)
	switch {
	case year < 0:
		dst, year = append(dst, '-'), -year
		if year < 100_000 {
			dst = append(dst, '0')
		}
		if year < 10_000 {
			dst = append(dst, '0')
		}
	case year >= 10_000:
		dst = append(dst, '+')
		if year < 100_000 {
			dst = append(dst, '0')
		}
	}
	for at := int64(1000); at > 1 && year < at; at /= 10 {
		dst = append(dst, '0')
	}
	return appendTwo(appendTwo(strconv.AppendInt(dst, year, 10), month, '-'), day, '-')
}

// civil is the date of a day counted from 1970: eras of 400 years, which begin
// in March, are all alike.
func civil(days int64) (year, month, day int64) {
	era, inEra := floorDiv(days+719_468, 146_097)
	ofEra := (inEra - inEra/1460 + inEra/36_524 - inEra/146_096) / 365
	ofYear := inEra - (365*ofEra + ofEra/4 - ofEra/100)
	shifted := (5*ofYear + 2) / 153
	day = ofYear - (153*shifted+2)/5 + 1
	year, month = ofEra+era*400, shifted+3
	if month > 12 {
		year, month = year+1, month-12
	}
	return year, month, day
}

// pass returns what follows a value of the type in data, which has been checked.
func pass(t *Type, data []byte) []byte {
	switch t.Kind {
	case Null:
		return data
	case Boolean:
		return data[1:]
	case Int, Long, Enum:
		for data[0] >= 0x80 {
			data = data[1:]
		}
		return data[1:]
	case Float:
		return data[4:]
	case Double:
		return data[8:]
	case Fixed:
		return data[t.Size:]
	case Record:
		for i := range t.Fields {
			data = pass(t.Fields[i].Type, data)
		}
		return data
	case Union:
		branch, rest := long(data)
		return pass(t.Branches[branch], rest)
	case Array, Map:
		for {
			count, rest := block(data)
			if data = rest; count == 0 {
				return data
			}
			for range count {
				if t.Kind == Map {
					_, data = text(data)
				}
				data = pass(t.Element, data)
			}
		}
	}
	_, rest := text(data)
	return rest
}

// block takes the number of elements of the next block off data, which has been
// checked.
func block(data []byte) (count int64, rest []byte) {
	if count, data = long(data); count < 0 {
		count = -count
		_, data = long(data)
	}
	return count, data
}
