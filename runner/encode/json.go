// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"bytes"
	"encoding/json"
	"sync"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/strictjson"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// jsonLines appends records as JSON lines. It is used by one goroutine at a time.
type jsonLines struct {
	checker strictjson.Checker
	fill    fill
}

var jsonLinesPool = sync.Pool{New: func() any {
	l := &jsonLines{}
	l.fill = oneByOne(l.append, mostJSON)
	return l
}}

// fillJSON is the [fill] of jsonl.
func fillJSON(dst []byte, stream *source.Stream, records []source.Record, end int) ([]byte, int) {
	l := jsonLinesPool.Get().(*jsonLines)
	defer jsonLinesPool.Put(l)
	return l.fill(dst, stream, records, end)
}

// isJSON says whether data is one JSON value that every reader takes, and that
// says something: null would look as if there were no value.
func (l *jsonLines) isJSON(data []byte) bool {
	return len(data) > 0 && mayBeginJSON(data[0]) && l.checker.Check(data) == nil && string(bytes.TrimSpace(data)) != "null"
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
