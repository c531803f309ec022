// SPDX-License-Identifier: Apache-2.0

// Package encode turns records into the bytes of files: formats, compression,
// and the blocks of memory that hold a file until it is uploaded.
package encode

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// format appends records to a file's content.
type format struct {
	extension string // the file name's ending, without a dot
	fill      fill
	// most returns a bound for the bytes that a record takes, but for a few
	// control characters: what is long is counted.
	most func(r *source.Record) int
}

// fill appends records until dst is as long as end, or until the next one
// might not fit into dst's capacity, and returns how many it took. The first
// is taken anyhow: dst has room for it.
type fill func(dst []byte, stream *source.Stream, records []source.Record, end int) (filled []byte, taken int)

// formatNamed returns the format with a name of settings.Formats.
func formatNamed(name string) (format, error) {
	switch name {
	case "lines":
		return format{extension: "txt", fill: fillLines, most: mostLine}, nil
	case "jsonl":
		return format{extension: "jsonl", fill: fillJSON, most: mostJSON}, nil
	}
	return format{}, fmt.Errorf("unknown format %q", name)
}

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

// envelope is more than the names and numbers of a line take, with the longest
// name of a topic.
const envelope = 512

// countedFrom is how long keys and headers are whose length in a file is
// counted: a header of two bytes becomes 24, and a character of a key six.
const countedFrom = 4 << 10

func mostJSON(r *source.Record) int {
	if len(r.Key)+len(r.Headers.Raw) > countedFrom {
		return envelope + lengthOfText(r.Key) + lengthOfHeaders(r.Headers) + base64.StdEncoding.EncodedLen(len(r.Value))
	}
	return envelope + (len(r.Key)+len(r.Value)+len(r.Headers.Raw))*4/3 + 64*r.Headers.Count
}

// lengthOfHeaders is what [appendHeaders] appends, about.
func lengthOfHeaders(headers source.Headers) (n int) {
	const around = len(`{"key":"","value":null},`)
	for key, value := range headers.All() {
		n += around + lengthOfText(key) + lengthOfText(value)
	}
	return n
}

// lengthOfText is what the content of [appendText] takes at most.
func lengthOfText(text []byte) int {
	if !utf8.Valid(text) {
		return len("_base64") + base64.StdEncoding.EncodedLen(len(text))
	}
	n := len(text)
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			n++
		case c < ' ':
			n += len(`\u0000`) - 1
		}
	}
	return n
}

// append appends one JSON object and a newline.
//
// The value is null if the record has none; the JSON itself, if the bytes are
// one JSON value other than null that every reader takes (see
// [strictjson.Checker.Check]): one that a reader refuses would spoil the file
// for it. Otherwise it is in base64 under "value_base64". Numbers, key order and white space of JSON values stay as they came; only
// values on several lines are compacted.
//
// Keys and the headers' keys and values are text as a rule: they are null,
// strings, or in base64 under a name that ends in _base64. That a key looks
// like a number does not make it one.
func (l *jsonLines) append(dst []byte, stream *source.Stream, r *source.Record) []byte {
	dst = append(dst, `{"topic":`...)
	dst = appendString(dst, stream.Topic)
	dst = append(dst, `,"partition":`...)
	dst = strconv.AppendInt(dst, int64(stream.Partition), 10)
	dst = append(dst, `,"offset":`...)
	dst = strconv.AppendInt(dst, r.Offset, 10)
	dst = append(dst, `,"timestamp":`...)
	dst = strconv.AppendInt(dst, r.Timestamp, 10)
	dst = appendText(append(dst, ','), "key", r.Key)
	dst = appendHeaders(dst, r.Headers)
	dst = l.appendValue(append(dst, ','), r.Value)
	return append(dst, '}', '\n')
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

func (l *jsonLines) appendValue(dst, value []byte) []byte {
	switch {
	case value == nil:
		return append(dst, `"value":null`...)
	case l.isJSON(value):
		return appendOneLine(append(dst, `"value":`...), value)
	}
	return appendBase64(append(dst, `"value_base64":`...), value)
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
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
