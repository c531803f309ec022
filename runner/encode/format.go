// SPDX-License-Identifier: Apache-2.0

// Package encode turns records into the bytes of files: formats, compression,
// and the blocks of memory that hold a file until it is uploaded.
package encode

import (
	"encoding/base64"
	"unicode/utf8"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// format appends records to a file's content.
type format struct {
	head []byte // what a file begins with, as a CSV file with its columns' names
	fill fill
	// most returns a bound for the bytes that a record takes, but for a few
	// control characters: what is long is counted.
	most func(r *source.Record) int
}

// fill appends records until dst is as long as end, or until the next one
// might not fit into dst's capacity, and returns how many it took. The first
// is taken anyhow: dst has room for it.
type fill func(dst []byte, stream *source.Stream, records []source.Record, end int) (filled []byte, taken int)

// oneByOne makes a format's fill of what appends a single record.
func oneByOne(add func(dst []byte, stream *source.Stream, r *source.Record) []byte, most func(r *source.Record) int) fill {
	return func(dst []byte, stream *source.Stream, records []source.Record, end int) ([]byte, int) {
		for i := range records {
			if i > 0 && (len(dst) >= end || most(&records[i]) > cap(dst)-len(dst)) {
				return dst, i
			}
			dst = add(dst, stream, &records[i])
		}
		return dst, len(records)
	}
}

func mostLine(r *source.Record) int { return len(r.Value) + 1 }

// fillLines appends each value and a newline; a null value is an empty line.
// What it does for a record is most of what a record costs: nothing is called.
func fillLines(dst []byte, _ *source.Stream, records []source.Record, end int) ([]byte, int) {
	for i := range records {
		value := records[i].Value
		if i > 0 && (len(dst) >= end || len(value) >= cap(dst)-len(dst)) {
			return dst, i
		}
		dst = append(append(dst, value...), '\n')
	}
	return dst, len(records)
}

// appendHeaders appends nothing where there are none; headers are a list, as
// keys may repeat and their order counts.
func appendHeaders(dst []byte, headers source.Headers) []byte {
	if headers.Count == 0 {
		return dst
	}
	dst = append(dst, `,"headers":[`...)
	first := true
	for key, value := range headers.All() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if key == nil {
			key = []byte{}
		}
		dst = appendText(append(dst, '{'), "key", key)
		dst = append(appendText(append(dst, ','), "value", value), '}')
	}
	return append(dst, ']')
}

func appendText(dst []byte, name string, text []byte) []byte {
	dst = append(dst, '"')
	dst = append(dst, name...)
	switch {
	case text == nil:
		return append(dst, `":null`...)
	case utf8.Valid(text):
		return appendString(append(dst, `":`...), text)
	}
	return appendBase64(append(dst, `_base64":`...), text)
}

func appendBase64(dst, data []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, data)
	return append(dst, '"')
}

// appendString appends s, which is valid UTF-8, as a JSON string.
func appendString[T string | []byte](dst []byte, s T) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0 // what is before it is in dst
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		if from = i + 1; c < ' ' {
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, '\\', c)
		}
	}
	return append(append(dst, s[from:]...), '"')
}
