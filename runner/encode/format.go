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

// Format appends a record to a file's content.
type Format struct {
	// Extension is the file name's ending for this format, without a dot.
	Extension string
	append    func(dst []byte, stream source.Stream, r *source.Record) []byte
}

// FormatNamed returns the format with a name of settings.Formats.
func FormatNamed(name string) (Format, error) {
	switch name {
	case "lines":
		return Format{Extension: "txt", append: appendLine}, nil
	case "jsonl":
		return Format{Extension: "jsonl", append: appendJSON}, nil
	}
	return Format{}, fmt.Errorf("unknown format %q", name)
}

// appendLine appends the value and a newline; a null value is an empty line.
func appendLine(dst []byte, _ source.Stream, r *source.Record) []byte {
	return append(append(dst, r.Value...), '\n')
}

// appendJSON appends one JSON object and a newline. Value and key are:
//   - null if the record has none,
//   - under "value" the JSON itself, if the bytes are one JSON value,
//   - else under "value_base64" the bytes in base64.
//
// and likewise "key"/"key_base64". Numbers, key order and white space of JSON
// values stay as they came; only values on several lines are compacted.
func appendJSON(dst []byte, stream source.Stream, r *source.Record) []byte {
	dst = append(dst, `{"topic":`...)
	dst = appendString(dst, stream.Topic)
	dst = append(dst, `,"partition":`...)
	dst = strconv.AppendInt(dst, int64(stream.Partition), 10)
	dst = append(dst, `,"offset":`...)
	dst = strconv.AppendInt(dst, r.Offset, 10)
	dst = append(dst, `,"timestamp":`...)
	dst = strconv.AppendInt(dst, r.Timestamp, 10)
	dst = appendField(append(dst, ','), "key", r.Key)
	dst = appendHeaders(dst, r.Headers)
	dst = appendField(append(dst, ','), "value", r.Value)
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
		dst = append(dst, `{"key":`...)
		if utf8.Valid(key) {
			dst = appendString(dst, string(key))
		} else {
			dst = appendBase64(dst, key)
		}
		dst = append(appendField(append(dst, ','), "value", value), '}')
	}
	return append(dst, ']')
}

func appendField(dst []byte, name string, data []byte) []byte {
	dst = append(dst, '"')
	dst = append(dst, name...)
	switch {
	case data == nil:
		return append(dst, `":null`...)
	case isJSON(data):
		return appendOneLine(append(dst, `":`...), data)
	}
	return appendBase64(append(dst, `_base64":`...), data)
}

func appendBase64(dst, data []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, data)
	return append(dst, '"')
}

// appendString appends s, which is valid UTF-8, as a JSON string.
func appendString(dst []byte, s string) []byte {
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
