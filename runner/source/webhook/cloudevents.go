// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/redelivery"
)

// CloudEvents 1.0: https://github.com/cloudevents/spec, with the HTTP binding
// and the JSON formats of events and batches.
const (
	mediaEvent = "application/cloudevents+json"
	mediaBatch = "application/cloudevents-batch+json"
	headerCE   = "Ce-"
)

// maxAttributes is how many attributes an event may have.
const maxAttributes = 100

var attributeName = regexp.MustCompile(`^[a-z0-9]{1,100}$`)

// cloudEvent is one event, in whatever mode it came.
type cloudEvent struct {
	attributes [][2]string // without datacontenttype, in the order of their names
	mediaType  string      // of the data
	data       []byte      // nil for none
}

func (e *cloudEvent) attribute(name string) string {
	for _, a := range e.attributes {
		if a[0] == name {
			return a[1]
		}
	}
	return ""
}

// cloudEvents takes a body apart that is one event or several.
func (r *received) cloudEvents() ([]event, error) {
	kind, _, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	switch {
	case err == nil && kind == mediaEvent:
		return r.structured(func(yield func([]byte) bool) { yield(r.body) })
	case err == nil && kind == mediaBatch:
		all, ok := elements(r.body)
		if !ok {
			return nil, malformed("the batch is not an array in JSON")
		}
		return r.structured(all)
	case strings.HasPrefix(kind, "application/cloudevents"):
		return nil, &refusal{status: http.StatusUnsupportedMediaType, reason: "malformed", text: "CloudEvents can be sent as " + mediaEvent + ", " + mediaBatch + " or in the binary mode"}
	case len(r.header.Values(headerCE+"Specversion")) == 0:
		return nil, &refusal{status: http.StatusUnsupportedMediaType, reason: "malformed", text: "this is not a CloudEvent: the header ce-specversion is missing, and Content-Type is not " + mediaEvent}
	}
	e, err := r.binary()
	if err != nil {
		return nil, err
	}
	return r.add(nil, e, "the event")
}

// structured are events in JSON.
func (r *received) structured(all func(func([]byte) bool)) (list []event, err error) {
	if !r.room(len(r.body)) { // for data that is not written as it came
		return nil, errNoRoom
	}
	n := 0
	for text := range all {
		n++
		var e *cloudEvent
		if e, err = parseEvent(text); err == nil {
			list, err = r.add(list, e, fmt.Sprintf("event %d", n))
		} else {
			err = malformed("event %d %s; nothing of the request was taken", n, err)
		}
		if err != nil {
			return nil, err
		}
	}
	if n == 0 {
		return nil, malformed("the batch has no event")
	}
	return list, nil
}

// add checks an event and makes a record of it.
func (r *received) add(list []event, e *cloudEvent, what string) ([]event, error) {
	for _, name := range []string{"id", "source", "type", "specversion"} {
		if e.attribute(name) == "" {
			return nil, malformed("%s has no %s; nothing of the request was taken", what, name)
		}
	}
	if version := e.attribute("specversion"); version != "1.0" {
		return nil, malformed("%s has another specversion than 1.0; nothing of the request was taken", what)
	}
	origin, id := e.attribute("source"), e.attribute("id")
	if strings.IndexByte(origin, 0) >= 0 || strings.IndexByte(id, 0) >= 0 { // where one ends could not be told
		return nil, malformed("%s has the character U+0000 in its source or id; nothing of the request was taken", what)
	}
	at := r.at
	if text := e.attribute("time"); text != "" {
		var err error
		if at, err = time.Parse(time.RFC3339Nano, strings.ToUpper(text)); err != nil {
			return nil, malformed("%s has a time that is not of RFC 3339; nothing of the request was taken", what)
		}
	}
	var headers source.Headers
	if e.mediaType != "" {
		headers.Append("content-type", []byte(e.mediaType))
	}
	for _, a := range e.attributes {
		headers.Append("ce_"+a[0], []byte(a[1]))
	}
	headers = r.chosen(headers)
	if err := r.mayHave(len(list) + 1); err != nil {
		return nil, err
	}
	if err := r.need(recordMemory + eventMemory + cap(headers.Raw)); err != nil {
		return nil, err
	}
	record := source.Record{Timestamp: at.UnixMilli(), Key: []byte(origin + " " + id), Value: e.data, Headers: headers, Detail: &source.Detail{ID: []byte(id)}}
	return append(list, event{records: []source.Record{record}, identified: true, id: redelivery.Hash(r.endpoint.name, []byte(origin+"\x00"+id))}), nil
}

// binary is an event whose attributes are headers.
func (r *received) binary() (*cloudEvent, error) {
	e := &cloudEvent{mediaType: r.header.Get("Content-Type")}
	if len(r.body) > 0 {
		e.data = r.body
	}
	for name, values := range r.header {
		name, ok := strings.CutPrefix(name, headerCE)
		if !ok {
			continue
		}
		name = strings.ToLower(name)
		if name == "datacontenttype" && len(values) == 1 && (e.mediaType == "" || e.mediaType == values[0]) {
			e.mediaType = values[0] // some senders add it
			continue
		}
		if len(values) != 1 || !attributeName.MatchString(name) || name == "datacontenttype" || name == "data" {
			return nil, malformed("the header ce-%.40s is there twice, or is not an attribute of an event, or contradicts Content-Type", name)
		}
		value, ok := attributeIn(values[0])
		if !ok {
			return nil, malformed("the header ce-%.40s is not encoded as UTF-8", name)
		}
		e.attributes = append(e.attributes, [2]string{name, value})
	}
	if len(e.attributes) > maxAttributes {
		return nil, malformed("the event has more than %d attributes", maxAttributes)
	}
	e.sort()
	return e, nil
}

func (e *cloudEvent) sort() {
	slices.SortFunc(e.attributes, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
}

// attributeIn decodes a header: quotes around it, and %XX. It is not ok if it is
// no UTF-8.
func attributeIn(header string) (string, bool) {
	if len(header) >= 2 && header[0] == '"' && header[len(header)-1] == '"' {
		var out strings.Builder
		for i := 1; i < len(header)-1; i++ {
			if header[i] == '\\' && i < len(header)-2 {
				i++
			}
			out.WriteByte(header[i])
		}
		header = out.String()
	}
	if !strings.Contains(header, "%") {
		return header, utf8.ValidString(header)
	}
	out := make([]byte, 0, len(header))
	for i := 0; i < len(header); i++ {
		if header[i] != '%' {
			out = append(out, header[i])
			continue
		}
		high, low := -1, -1
		if i+2 < len(header) {
			high, low = hexDigit(header[i+1]), hexDigit(header[i+2])
		}
		if high < 0 || low < 0 { // of a sender that does not encode, as the SDKs of Go and Java
			out = append(out, '%')
			continue
		}
		out = append(out, byte(high<<4|low))
		i += 2
	}
	return string(out), utf8.Valid(out)
}

func hexDigit(c byte) int { return strings.IndexByte("0123456789abcdef", c|0x20) }

// eventError says what is wrong with an event.
type eventError string

func (e eventError) Error() string { return string(e) }

// parseEvent reads an event in JSON.
func parseEvent(text []byte) (*cloudEvent, error) {
	all, ok := members(text)
	if !ok {
		return nil, eventError("is not an object in JSON")
	}
	e := &cloudEvent{}
	var data, data64 []byte
	seen := map[string]bool{}
	for name, value := range all {
		switch {
		case seen[name]:
			return nil, eventError("has a member twice")
		case len(seen) >= maxAttributes:
			return nil, eventError("has more than 100 attributes")
		}
		seen[name] = true
		if bytes.Equal(value, []byte("null")) {
			if name == "data" {
				data = value
			}
			continue // as if it were not there
		}
		switch name {
		case "data":
			data = value
			continue
		case "data_base64":
			data64 = value
			continue
		}
		attribute, ok := textOf(value)
		if !ok && value[0] != '{' && value[0] != '[' && value[0] != '"' {
			attribute, ok = string(value), true // a number or boolean
		}
		if !ok || !attributeName.MatchString(name) {
			return nil, eventError("has a member that is not an attribute: names have lower-case letters and digits, values are texts, numbers or booleans")
		}
		if name == "datacontenttype" {
			e.mediaType = attribute
			continue
		}
		e.attributes = append(e.attributes, [2]string{name, attribute})
	}
	e.sort()
	return e, e.setData(data, data64)
}

func (e *cloudEvent) setData(data, data64 []byte) error {
	if data != nil && data64 != nil {
		return eventError("has data and data_base64")
	}
	if data64 != nil {
		text, ok := textOf(data64)
		decoded, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil {
			return eventError("has data_base64 that is not base64")
		}
		e.data = decoded
		return nil
	}
	if data == nil {
		return nil
	}
	if e.mediaType == "" {
		e.mediaType = "application/json"
	}
	if text, ok := textOf(data); ok && !isJSON(e.mediaType) {
		e.data = []byte(text)
		return nil
	}
	e.data = data
	return nil
}

// isJSON says whether a media type is JSON.
func isJSON(mediaType string) bool {
	kind, _, err := mime.ParseMediaType(mediaType)
	_, subtype, _ := strings.Cut(kind, "/")
	return err == nil && (subtype == "json" || strings.HasSuffix(subtype, "+json"))
}
