// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/strictjson"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// jsonWords are the members' names of JSON lines, as the source calls its
// coordinates, with all that stands around them.
type jsonWords struct {
	stream, partition, offset, id []byte // the partition's and the id's are nil for none
}

func newJSONWords(l settings.Layout) *jsonWords {
	member := func(name string) []byte {
		if name == "" {
			return nil
		}
		return []byte(`,"` + name + `":`)
	}
	return &jsonWords{stream: []byte(`"` + l.Stream + `":`), partition: member(l.Partition), offset: member(l.Offset), id: member(l.ID)}
}

// appendCoordinates appends where a record came from, and what else its source
// tells of it, as members of an object; keyAndHeaders appends those two.
func (w *jsonWords) appendCoordinates(dst []byte, stream *source.Stream, r *source.Record, keyAndHeaders func(dst []byte, r *source.Record) []byte) []byte {
	dst = appendString(append(dst, w.stream...), stream.Name)
	if w.partition != nil {
		dst = strconv.AppendInt(append(dst, w.partition...), int64(stream.Partition), 10)
	}
	dst = strconv.AppendInt(append(dst, w.offset...), r.Offset, 10)
	if w.id != nil && r.Detail != nil && r.Detail.ID != nil {
		dst = appendString(append(dst, w.id...), bytes.ToValidUTF8(r.Detail.ID, []byte("\uFFFD")))
	}
	dst = strconv.AppendInt(append(dst, `,"timestamp":`...), r.Timestamp, 10)
	dst = keyAndHeaders(dst, r)
	if r.Detail != nil {
		dst = appendDetail(dst, r.Detail)
	}
	return dst
}

func appendKeyAndHeaders(dst []byte, r *source.Record) []byte {
	return appendHeaders(appendText(append(dst, ','), "key", r.Key), r.Headers)
}

// appendDecodedKeyAndHeaders is appendKeyAndHeaders for keys that are JSON.
func appendDecodedKeyAndHeaders(dst []byte, r *source.Record) []byte {
	dst = append(dst, `,"key":`...)
	if r.Key == nil {
		dst = append(dst, "null"...)
	} else {
		dst = appendOneLine(dst, r.Key)
	}
	return appendHeaders(dst, r.Headers)
}

// appendDetail appends what has become of a row, as far as it is told.
func appendDetail(dst []byte, d *source.Detail) []byte {
	if d.Op != source.OpNone {
		dst = appendString(append(dst, `,"op":`...), d.Op.String())
	}
	if d.Transaction != 0 {
		dst = strconv.AppendUint(append(dst, `,"transaction":`...), d.Transaction, 10)
	}
	for i, column := range d.Unchanged {
		if i == 0 {
			dst = append(dst, `,"unchanged":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = appendString(dst, column)
	}
	if len(d.Unchanged) > 0 {
		dst = append(dst, ']')
	}
	return dst
}

// envelope is more than the names and numbers of a line take, with the longest
// name of a stream.
const envelope = 512

// countedFrom is how long keys and headers are whose length in a file is
// counted: a header of two bytes becomes 24, and a character of a key six.
const countedFrom = 4 << 10

func mostJSON(r *source.Record) int {
	most := envelope + (len(r.Key)+len(r.Value)+len(r.Headers.Raw))*4/3 + 64*r.Headers.Count
	if len(r.Key)+len(r.Headers.Raw) > countedFrom {
		most = envelope + lengthOfText(r.Key) + lengthOfHeaders(r.Headers) + base64.StdEncoding.EncodedLen(len(r.Value))
	}
	if d := r.Detail; d != nil {
		most += 2*len(d.ID) + len(d.Before)*4/3 + 64
		for _, column := range d.Unchanged {
			most += len(column) + 3
		}
	}
	return most
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

// jsonFiles are the files of JSON lines.
type jsonFiles struct{ pool sync.Pool }

func newJSONFiles(s settings.Settings) *jsonFiles {
	words := newJSONWords(s.Layout())
	return &jsonFiles{sync.Pool{New: func() any {
		l := &jsonLines{words: words, decoded: s.SchemaRegistry.URL != "", decodedKeys: s.SchemaRegistry.DecodesKeys()}
		l.fill = oneByOne(l.append, mostJSON)
		return l
	}}}
}

// fill is the [fill] of jsonl.
func (f *jsonFiles) fill(dst []byte, stream *source.Stream, records []source.Record, end int) ([]byte, int) {
	l := f.pool.Get().(*jsonLines)
	defer f.pool.Put(l)
	return l.fill(dst, stream, records, end)
}

// jsonLines appends records as JSON lines. It is used by one goroutine at a time.
type jsonLines struct {
	words   *jsonWords
	checker strictjson.Checker
	fill    fill

	decoded, decodedKeys bool // values, and keys, are JSON that every reader takes
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
	keyAndHeaders := appendKeyAndHeaders
	if l.decodedKeys {
		keyAndHeaders = appendDecodedKeyAndHeaders
	}
	dst = l.words.appendCoordinates(append(dst, '{'), stream, r, keyAndHeaders)
	if r.Detail != nil && r.Detail.Before != nil {
		dst = l.appendValue(append(dst, ','), "before", r.Detail.Before)
	}
	dst = l.appendValue(append(dst, ','), "value", r.Value)
	return append(dst, '}', '\n')
}

func (l *jsonLines) appendValue(dst []byte, name string, value []byte) []byte {
	dst = append(append(dst, '"'), name...)
	switch {
	case value == nil:
		return append(dst, `":null`...)
	case l.decoded:
		return appendOneLine(append(dst, `":`...), value)
	case l.isJSON(value):
		if dst = append(dst, `":`...); l.checker.HasLines() {
			return appendCompact(dst, value)
		}
		return append(dst, value...)
	}
	return appendBase64(append(dst, `_base64":`...), value)
}

// isJSON says whether data is one JSON value that every reader takes, and that
// says something: null would look as if there were no value.
func (l *jsonLines) isJSON(data []byte) bool {
	return len(data) > 0 && mayBeginJSON(data[0]) && l.checker.Check(data) == nil && (data[0] == '{' || string(bytes.TrimSpace(data)) != "null")
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
	return appendCompact(dst, value)
}

// appendCompact appends a JSON value without the white space between its tokens.
func appendCompact(dst, value []byte) []byte {
	buffer := bytes.NewBuffer(dst)
	if err := json.Compact(buffer, value); err != nil {
		panic(err) // isJSON has said that it is valid
	}
	return buffer.Bytes()
}
