// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// DeadLetters is a file of records that could not be written as the settings
// ask: JSON lines with the reason, the coordinates and the bytes as they came.
type DeadLetters struct {
	textFile
	words  *jsonWords
	reason string
}

// NewDeadLetters begins a file of dead letters of a stream. They are never
// compressed: they are few, and people look at them.
func (e *Encoder) NewDeadLetters(stream source.Stream) *DeadLetters {
	d := &DeadLetters{words: e.words}
	d.textFile = textFile{place: Place{Stream: stream}, kind: &textKind{path: e.deadLetterPath, extension: "jsonl",
		format: format{most: d.most, fill: oneByOne(d.append, d.most)}}}
	return d
}

func (e *Encoder) deadLetterPath(at Place, extension string, first, last int64) string {
	folder := streamFolder(at.Stream)
	if e.settings.Layout().Partition != "" {
		folder += fmt.Sprintf("/%05d", at.Stream.Partition)
	}
	return fmt.Sprintf("/%s/%s/%020d-%020d.%s", e.settings.Record.DeadLetterFolder, folder, first, last, extension)
}

// Add appends a record with the reason why it is here.
func (d *DeadLetters) Add(r source.Record, reason string) error {
	d.reason = reason
	_, err := d.Append([]source.Record{r}, 0)
	return err
}

func (d *DeadLetters) most(r *source.Record) int {
	n := envelope + 6*len(d.reason) + base64.StdEncoding.EncodedLen(len(r.Value))
	if isLong(r) {
		return n + base64.StdEncoding.EncodedLen(len(r.Key)) + base64.StdEncoding.EncodedLen(len(r.Headers.Raw))
	}
	return n + (len(r.Key)+len(r.Headers.Raw))*6 + 64*r.Headers.Count
}

// DeadLetterMemory is about what a record takes as a dead letter.
func DeadLetterMemory(r *source.Record) int {
	return base64.StdEncoding.EncodedLen(len(r.Key) + len(r.Value) + len(r.Headers.Raw))
}

// isLong says whether a record's key and headers are written in base64, which
// never takes much more than they do.
func isLong(r *source.Record) bool { return len(r.Key)+len(r.Headers.Raw) > countedFrom }

// append writes keys and headers as jsonl files do, which loses nothing, and
// values always in base64: there is no telling what they are. Long headers are
// in base64 as they came, with their number.
func (d *DeadLetters) append(dst []byte, stream *source.Stream, r *source.Record) []byte {
	dst = appendText(append(dst, '{'), "reason", []byte(d.reason))
	keyAndHeaders := appendKeyAndHeaders
	if isLong(r) {
		keyAndHeaders = appendLong
	}
	dst = d.words.appendCoordinates(append(dst, ','), stream, r, keyAndHeaders)
	if r.Value == nil {
		return append(dst, `,"value":null}`+"\n"...)
	}
	dst = appendBase64(append(dst, `,"value_base64":`...), r.Value)
	return append(dst, '}', '\n')
}

func appendLong(dst []byte, r *source.Record) []byte {
	if r.Key == nil {
		dst = append(dst, `,"key":null`...)
	} else {
		dst = appendBase64(append(dst, `,"key_base64":`...), r.Key)
	}
	if r.Headers.Count == 0 {
		return dst
	}
	dst = strconv.AppendInt(append(dst, `,"headers_count":`...), int64(r.Headers.Count), 10)
	return appendBase64(append(dst, `,"headers_base64":`...), r.Headers.Raw)
}
