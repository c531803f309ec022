// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// isJSON says whether data is one JSON value in valid UTF-8 that says
// something: null would look as if there were no value. encoding/json's own
// check does not look at the encoding inside strings.
func isJSON(data []byte) bool {
	return len(data) > 0 && mayBeginJSON(data[0]) && utf8.Valid(data) && json.Valid(data) &&
		string(bytes.TrimSpace(data)) != "null"
}

// mayBeginJSON turns away most other data by its first byte.
func mayBeginJSON(c byte) bool {
	switch c {
	case '{', '[', '"', '-', 't', 'f', 'n', ' ', '\t', '\r', '\n':
		return true
	}
	return '0' <= c && c <= '9'
}

// appendOneLine appends a JSON value as it is or, if it is on several lines,
// without the white space between its tokens.
func appendOneLine(dst, value []byte) []byte {
	if bytes.IndexByte(value, '\n') < 0 && bytes.IndexByte(value, '\r') < 0 {
		return append(dst, value...)
	}
	buffer := bytes.NewBuffer(dst)
	if err := json.Compact(buffer, value); err != nil {
		panic(err) // isJSON has said that it is valid
	}
	return buffer.Bytes()
}
