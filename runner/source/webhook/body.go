// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/strictjson"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/redelivery"
)

// event are the records of a request that have an id together: all of it, or one
// CloudEvent.
type event struct {
	records    []source.Record
	id         redelivery.ID
	identified bool
}

// refusal is why a request is not taken, and with which answer.
type refusal struct {
	status int
	reason string // one word or two, for metrics
	text   string // for the sender
	after  time.Duration
}

func (r *refusal) Error() string { return r.text }

func malformed(format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, reason: "malformed", text: fmt.Sprintf(format, args...)}
}

func tooLarge(format string, args ...any) *refusal {
	return &refusal{status: http.StatusRequestEntityTooLarge, reason: "too large", text: fmt.Sprintf(format, args...)}
}

// received is a request whose sender is known.
type received struct {
	endpoint *endpoint
	header   http.Header
	request  *http.Request
	body     []byte
	at       time.Time
	room     func(n int) bool // takes memory for n bytes more
	most     int              // memory that records may take besides the body

	remembered bool // ids are
}

// About what is taken besides the bytes of the body.
const (
	recordMemory = 112 // a record
	detailMemory = 96  // its detail, without the id
	eventMemory  = 256 // an event that is one of many, with its id
)

// byteOrderMark is what some senders write in front of JSON.
var byteOrderMark = []byte("\ufeff")

// events takes the body apart. The error is a *refusal.
func (r *received) events() ([]event, error) {
	if kind := r.endpoint.Body; kind == "ndjson" || kind == "json_array" || isJSON(r.header.Get("Content-Type")) {
		r.body = bytes.TrimPrefix(r.body, byteOrderMark)
	}
	if r.endpoint.Body == "cloudevents" {
		return r.cloudEvents()
	}
	id, identified, err := r.id()
	if err != nil {
		return nil, err
	}
	var records []source.Record
	switch r.endpoint.Body {
	case "ndjson":
		records, err = r.lines()
	case "json_array":
		records, err = r.array()
	case "multipart":
		records, err = r.parts()
	case "form_payload":
		records, err = r.formPayload()
	default:
		records, err = r.whole()
	}
	if err != nil {
		return nil, err
	}
	if r.endpoint.id.Kind == "value" && r.endpoint.Body != "whole" {
		return r.each(records)
	}
	e := event{records: records, identified: identified}
	if identified {
		e.id = redelivery.Hash(r.endpoint.name, []byte(id))
		if err := r.name(records, []byte(id)); err != nil {
			return nil, err
		}
	}
	return []event{e}, nil
}

// name gives the records of a request its id: as key, and with their numbers
// behind it if there are several.
func (r *received) name(records []source.Record, id []byte) error {
	if len(records) == 1 {
		records[0].Key, records[0].Detail = id, &source.Detail{ID: id}
		return nil
	}
	each := len(id) + len("#") + len(strconv.Itoa(len(records)))
	if err := r.need(len(records) * (detailMemory + each)); err != nil {
		return err
	}
	details, names := make([]source.Detail, len(records)), make([]byte, 0, len(records)*each)
	for i := range records {
		from := len(names)
		names = strconv.AppendInt(append(append(names, id...), '#'), int64(i), 10)
		details[i].ID = names[from:len(names):len(names)]
		records[i].Key, records[i].Detail = id, &details[i]
	}
	return nil
}

// each makes an event of each record, which have ids of their own.
func (r *received) each(records []source.Record) ([]event, error) {
	if err := r.need(len(records) * eventMemory); err != nil {
		return nil, err
	}
	if err := r.mayHave(len(records)); err != nil {
		return nil, err
	}
	events := make([]event, len(records))
	for i := range records {
		id, found := fieldIn(records[i].Value, r.endpoint.id.Field)
		if !found {
			return nil, malformed("record %d has no id: %s is missing; nothing of the request was taken", i+1, r.endpoint.ID)
		}
		name := []byte(id)
		records[i].Key, records[i].Detail = name, &source.Detail{ID: name}
		events[i] = event{records: records[i : i+1 : i+1], identified: true, id: redelivery.Hash(r.endpoint.name, name)}
	}
	return events, nil
}

// mayHave says whether a request may have so many events with ids of their own.
func (r *received) mayHave(events int) error {
	if r.remembered && events > mostFresh {
		return tooLarge("the request has more than %d records with ids of their own; send fewer at once", mostFresh)
	}
	return nil
}

// id is the request's id, unless its records have some of their own.
func (r *received) id() (id string, found bool, err error) {
	e := r.endpoint
	switch {
	case e.ID == "none" || e.id.Kind == "value" && e.Body != "whole":
		return "", false, nil
	case e.ID == "":
		for _, header := range e.scheme.ids {
			if id := r.header.Get(header); id != "" {
				return id, true, nil
			}
		}
		if e.scheme.field != "" && e.Body == "whole" {
			id, found = fieldIn(r.body, []string{e.scheme.field})
		}
		return id, found, nil
	case e.id.Kind == "header":
		id = r.header.Get(e.id.Header)
		found = id != ""
	default:
		id, found = fieldIn(r.body, e.id.Field)
	}
	if !found {
		return "", false, malformed("the request has no id: %s is missing", e.ID)
	}
	return id, true, nil
}

// record makes a record with the request's headers.
func (r *received) record(value []byte, headers source.Headers) source.Record {
	return source.Record{Timestamp: r.at.UnixMilli(), Value: value, Headers: headers}
}

// headers are those of the request which records keep. Names are in lower case.
func (r *received) headers() (kept source.Headers) {
	add := func(name string) {
		for _, value := range r.header.Values(name) {
			kept.Append(strings.ToLower(name), []byte(value))
		}
	}
	add("Content-Type")
	return r.chosen(kept)
}

// chosen adds the headers that the settings or the sender's scheme name.
func (r *received) chosen(kept source.Headers) source.Headers {
	for _, name := range append(r.endpoint.scheme.headers, r.endpoint.Headers...) {
		switch name {
		case ":path":
			kept.Append(name, []byte(r.request.URL.Path))
		case ":query":
			kept.Append(name, []byte(r.request.URL.RawQuery))
		case ":remote":
			kept.Append(name, []byte(r.request.RemoteAddr))
		default:
			for _, value := range r.header.Values(name) {
				kept.Append(strings.ToLower(name), []byte(value))
			}
		}
	}
	return kept
}

var errNoRoom = &refusal{status: http.StatusTooManyRequests, reason: "memory", text: "too much is waiting to be committed; send this again later", after: time.Second}

// makeRoom makes room for n records.
func (r *received) makeRoom(n int) ([]source.Record, error) {
	if err := r.need(n * recordMemory); err != nil {
		return nil, err
	}
	return make([]source.Record, 0, n), nil
}

// need takes memory for records.
func (r *received) need(n int) error {
	if r.most -= n; r.most < 0 {
		return tooLarge("the request has too many records; send fewer at once")
	}
	if !r.room(n) {
		return errNoRoom
	}
	return nil
}

func (r *received) whole() ([]source.Record, error) {
	records, err := r.makeRoom(1)
	return append(records, r.record(r.body, r.headers())), err
}

// lines are those of NDJSON.
func (r *received) lines() ([]source.Record, error) {
	records, err := r.makeRoom(bytes.Count(r.body, []byte{'\n'}) + 1)
	if err != nil {
		return nil, err
	}
	headers, at, number := r.headers(), r.at.UnixMilli(), 0
	var checker strictjson.Checker
	for rest := r.body; len(rest) > 0; {
		line := rest
		if end := bytes.IndexByte(rest, '\n'); end >= 0 {
			line, rest = rest[:end:end], rest[end+1:]
		} else {
			rest = nil
		}
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if checker.CheckSyntax(line) != nil {
			return nil, malformed("line %d is not JSON, or nested too deep; nothing of the request was taken", number)
		}
		records = append(records, source.Record{Timestamp: at, Value: line[:len(line):len(line)], Headers: headers})
	}
	if len(records) == 0 {
		return nil, malformed("the body has no record")
	}
	return records, nil
}

func (r *received) array() ([]source.Record, error) {
	all, ok := elements(r.body)
	if !ok {
		return nil, malformed("the body is not an array in JSON")
	}
	n := 0
	for range all {
		n++
	}
	if n == 0 {
		return nil, malformed("the body has no record")
	}
	records, err := r.makeRoom(n)
	if err != nil {
		return nil, err
	}
	headers := r.headers()
	for element := range all {
		records = append(records, r.record(element, headers))
	}
	return records, nil
}

// formPayload is the field payload of a form, or a body that is JSON already:
// senders as GitHub leave the choice to who sets them up.
func (r *received) formPayload() ([]source.Record, error) {
	contentType := r.header.Get("Content-Type")
	if isJSON(contentType) {
		return r.whole()
	}
	if kind, _, err := mime.ParseMediaType(contentType); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, &refusal{status: http.StatusUnsupportedMediaType, reason: "malformed", text: "the body must be a form (application/x-www-form-urlencoded) or JSON"}
	}
	const inForm = 3                 // names and values are copied
	if len(r.body) > r.most/inForm { // however long it waited
		return nil, tooLarge("a form may have %d bytes, as it takes several times its length in memory", r.most/inForm)
	}
	if !r.room(inForm * len(r.body)) {
		return nil, errNoRoom
	}
	form, err := url.ParseQuery(string(r.body))
	if err != nil || len(form["payload"]) != 1 {
		return nil, malformed("the body is not a form with one field payload")
	}
	records, err := r.makeRoom(1)
	if err != nil {
		return nil, err
	}
	var headers source.Headers
	headers.Append("content-type", []byte("application/json"))
	return append(records, r.record([]byte(form.Get("payload")), r.chosen(headers))), nil
}

// parts are those of a multipart body. Their content is copied.
func (r *received) parts() (records []source.Record, err error) {
	kind, params, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(kind, "multipart/") || params["boundary"] == "" {
		return nil, &refusal{status: http.StatusUnsupportedMediaType, reason: "malformed", text: "the body must be multipart, with a boundary in Content-Type"}
	}
	if !r.room(len(r.body)) {
		return nil, errNoRoom
	}
	all := multipart.NewReader(bytes.NewReader(r.body), params["boundary"])
	for {
		part, err := all.NextRawPart()
		// A header that is cut off looks like the end.
		if errors.Is(err, io.EOF) && bytes.Contains(r.body, []byte("--"+params["boundary"]+"--")) {
			break
		}
		if err != nil {
			return nil, malformed("part %d cannot be read; nothing of the request was taken", len(records)+1)
		}
		var headers source.Headers
		if of := part.Header.Get("Content-Type"); of != "" {
			headers.Append("content-type", []byte(of))
		}
		if name := part.FormName(); name != "" {
			headers.Append("name", []byte(name))
		}
		if name := part.FileName(); name != "" {
			headers.Append("filename", []byte(name))
		}
		headers = r.chosen(headers)
		if err := r.need(2*recordMemory + len(headers.Raw)); err != nil { // the list grows
			return nil, err
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, malformed("part %d is cut off; nothing of the request was taken", len(records)+1)
		}
		records = append(records, r.record(value, headers))
	}
	if len(records) == 0 {
		return nil, malformed("the body has no part")
	}
	return records, nil
}

// maxWindow is the largest window of zstd: what all decoders must have.
const maxWindow = 8 << 20

// unpacker makes bodies of what was sent.
type unpacker struct {
	slots chan struct{} // decompressors are large
	limit int
}

func newUnpacker(limit int) *unpacker { return &unpacker{slots: make(chan struct{}, 2), limit: limit} }

// unpack undoes the encodings of a body. What it returns has at most limit
// bytes, for which room was taken.
func (u *unpacker) unpack(encoding string, packed []byte, room func(int) bool) ([]byte, error) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return packed, nil
	case "gzip", "x-gzip", "zstd":
	default:
		return nil, &refusal{status: http.StatusUnsupportedMediaType, reason: "malformed", text: "the Content-Encoding must be gzip, zstd or none"}
	}
	u.slots <- struct{}{}
	defer func() { <-u.slots }()
	var in io.Reader
	if strings.EqualFold(encoding, "zstd") {
		decoder, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(uint64(u.limit)+maxWindow))
		if err != nil {
			return nil, malformed("the body is not zstd: %v", err)
		}
		defer decoder.Close()
		in = decoder
	} else {
		decoder, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, malformed("the body is not gzip: %v", err)
		}
		defer decoder.Close() //nolint:errcheck // it was read to the end, or is refused
		in = decoder
	}
	body, err := readAll(in, -1, u.limit, room)
	var refused *refusal
	if err != nil && !errors.As(err, &refused) {
		return nil, malformed("the body cannot be decompressed: %v", err)
	}
	return body, err
}

// readAll reads up to limit bytes, and takes room as it grows. The error is a
// *refusal, or that of the reader.
func readAll(in io.Reader, length int64, limit int, room func(int) bool) ([]byte, error) {
	// What is said to come may never come.
	size, end := 4<<10, limit+1
	if length >= 0 {
		end = int(min(length, int64(limit))) + 1 // to see its end
		size = min(size, end)
	}
	if !room(size) {
		return nil, errNoRoom
	}
	buffer := make([]byte, 0, size)
	for {
		if len(buffer) == cap(buffer) {
			if len(buffer) > limit {
				return nil, tooLarge("the body has more than %d bytes", limit)
			}
			bigger := min(2*cap(buffer), end)
			if bigger <= cap(buffer) {
				bigger = min(2*cap(buffer), limit+1) // there is more than was said
			}
			if !room(bigger - cap(buffer)) {
				return nil, errNoRoom
			}
			buffer = append(make([]byte, 0, bigger), buffer...)
		}
		n, err := in.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if errors.Is(err, io.EOF) {
			if len(buffer) > limit {
				return nil, tooLarge("the body has more than %d bytes", limit)
			}
			return buffer, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
