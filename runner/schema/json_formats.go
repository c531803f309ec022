// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

// string is the shape of strings: those of some formats become times, UUIDs or
// bytes.
func (s *jsonShape) string(doc *document, k *keywords) *jsonType {
	plain := &jsonType{kind: String}
	if s.logical == LogicalNone {
		return plain
	}
	if encoding, ok := doc.string(k.contentEncoding); ok {
		if encoding == "base64" || encoding == "base64url" {
			return &jsonType{kind: Bytes, format: encoding}
		}
		return plain
	}
	format, _ := doc.string(k.format)
	switch format {
	case "date-time":
		return &jsonType{kind: Long, format: format, logical: s.logical.timestamp().Logical}
	case "date":
		return &jsonType{kind: Int, format: format, logical: "date"}
	case "time":
		return &jsonType{kind: Long, format: format, logical: "time-micros"}
	case "uuid":
		return &jsonType{kind: String, format: format, logical: "uuid"}
	}
	return plain
}

// formatted appends what a string of a format becomes.
func (w *jsonWriter) formatted(dst []byte, t *jsonType, n node) ([]byte, error) {
	if w.kind(n) != '"' {
		return nil, w.not(n, "not a string")
	}
	quoted := w.raw(n)
	text := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(text, '\\') >= 0 {
		said, err := unquote(quoted)
		if err != nil {
			return nil, err
		}
		text = []byte(said)
	}
	switch t.format {
	case "date-time":
		if seconds, nanos, ok := parseDateTime(text); ok {
			return w.logical.appendTime(dst, seconds, nanos)
		}
	case "date":
		if days, rest, ok := parseDate(text); ok && len(rest) == 0 {
			return binary.AppendVarint(dst, days), nil
		}
	case "time":
		if seconds, nanos, _, ok := parseClock(text); ok {
			_, seconds = floorDiv(seconds, secondsOfDay)
			return binary.AppendVarint(dst, seconds*1e6+nanos/1000), nil
		}
	case "uuid":
		if isUUID(text) {
			return appendText(dst, bytes.ToLower(text)), nil
		}
	default:
		encoding := base64.StdEncoding
		if t.format == "base64url" {
			encoding = base64.URLEncoding
		}
		if len(text)%4 != 0 {
			encoding = encoding.WithPadding(base64.NoPadding)
		}
		if decoded, err := encoding.DecodeString(string(text)); err == nil {
			return appendText(dst, decoded), nil
		}
	}
	return nil, fmt.Errorf("%s is not a %s, which its schema says it is; SPOUT_SCHEMA_REGISTRY_LOGICAL_TYPES=none leaves text as it is", whatIs(w.raw(n)), t.format)
}

// digits takes so many digits off a text.
func digits(text []byte, n int) (value int64, rest []byte, ok bool) {
	if len(text) < n {
		return 0, nil, false
	}
	for _, c := range text[:n] {
		if c < '0' || '9' < c {
			return 0, nil, false
		}
		value = value*10 + int64(c-'0')
	}
	return value, text[n:], true
}

// after takes one of some characters off a text.
func after(text []byte, any string) (rest []byte, ok bool) {
	if len(text) == 0 || bytes.IndexByte([]byte(any), text[0]) < 0 {
		return nil, false
	}
	return text[1:], true
}

// parseDate takes a date, as 2006-01-02, off a text as days since 1970.
func parseDate(text []byte) (days int64, rest []byte, ok bool) {
	var part [3]int64
	for i, n := range []int{4, 2, 2} {
		if i > 0 {
			if text, ok = after(text, "-"); !ok {
				return 0, nil, false
			}
		}
		if part[i], text, ok = digits(text, n); !ok {
			return 0, nil, false
		}
	}
	year, month, day := part[0], part[1], part[2]
	if month < 1 || month > 12 || day < 1 || day > daysOf(year, month) {
		return 0, nil, false
	}
	if month -= 3; month < 0 { // years begin in March, so that their last day is the one that is not in all
		year, month = year-1, month+12
	}
	century, year := floorDiv(year, 100)
	return century*146097>>2 + year*1461/4 + (153*month+2)/5 + day - 719469, text, true
}

// daysOf is how many days a month has.
func daysOf(year, month int64) int64 {
	switch {
	case month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0):
		return 29
	case month == 2:
		return 28
	case month == 4 || month == 6 || month == 9 || month == 11:
		return 30
	}
	return 31
}

// parseClock reads a time of day, as 15:04:05.999+02:00, in seconds since
// midnight in UTC, which may be of another day. It says whether there is an
// offset; without, the time is taken as it is.
func parseClock(text []byte) (seconds, nanos int64, offset, ok bool) {
	var part [3]int64
	for i, most := range []int64{23, 59, 60} { // a second may be a leap second
		if i > 0 {
			if text, ok = after(text, ":"); !ok {
				return 0, 0, false, false
			}
		}
		if part[i], text, ok = digits(text, 2); !ok || part[i] > most {
			return 0, 0, false, false
		}
	}
	seconds = part[0]*3600 + part[1]*60 + part[2]
	if rest, dot := after(text, "."); dot {
		unit := int64(1e9)
		if len(rest) == 0 || rest[0] < '0' || '9' < rest[0] {
			return 0, 0, false, false
		}
		for text = rest; len(text) > 0 && '0' <= text[0] && text[0] <= '9'; text = text[1:] {
			unit /= 10
			nanos += int64(text[0]-'0') * unit
		}
	}
	switch {
	case len(text) == 0:
		return seconds, nanos, false, true
	case text[0] == 'Z' || text[0] == 'z':
		return seconds, nanos, true, len(text) == 1
	case text[0] != '+' && text[0] != '-':
		return 0, 0, false, false
	}
	sign := int64(1)
	if text[0] == '-' {
		sign = -1
	}
	hours, rest, ok := digits(text[1:], 2)
	if !ok || hours > 23 {
		return 0, 0, false, false
	}
	if rest, ok = after(rest, ":"); !ok {
		return 0, 0, false, false
	}
	minutes, rest, ok := digits(rest, 2)
	if !ok || minutes > 59 || len(rest) > 0 {
		return 0, 0, false, false
	}
	return seconds - sign*(hours*3600+minutes*60), nanos, true, true
}

// parseDateTime reads a time, as 2006-01-02T15:04:05.999+02:00, which must say
// where it is.
func parseDateTime(text []byte) (seconds, nanos int64, ok bool) {
	days, text, ok := parseDate(text)
	if !ok {
		return 0, 0, false
	}
	if text, ok = after(text, "Tt "); !ok {
		return 0, 0, false
	}
	seconds, nanos, offset, ok := parseClock(text)
	return days*secondsOfDay + seconds, nanos, ok && offset
}

func isUUID(text []byte) bool {
	if len(text) != 36 {
		return false
	}
	for i, c := range text {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
				return false
			}
		}
	}
	return true
}
