// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gogo/protobuf/jsonpb"
	"github.com/gogo/protobuf/proto"
	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pps"
)

// Document is the specification of any pipeline as JSON: what pachctl takes
// in a file. Names of fields are written in camelCase or snake_case, as pachd
// accepts both.
type Document struct {
	// ID is what the text says of the pipeline's own name and project; each
	// is "" if it says nothing.
	ID PipelineID
	// Newer names the fields that Pachyderm 2.6 does not know.
	Newer []string

	fields   map[string]any             // by camelCase names, as written, without what names the pipeline
	request  *pps.CreatePipelineRequest // without Newer
	zeros    bool                       // something is set to zero, which protocol buffers cannot tell from nothing
	filledIn bool                       // it comes from a server that shows its own defaults with it
}

// DocumentError is what is wrong with a text that should be a [Document].
type DocumentError struct {
	Field string   // in the text's own words, as input.pfs.glob; "" for all of it
	What  string   // what is wrong, as "is not a field"
	Known []string // the fields that there are, if Field is not one
}

func (e *DocumentError) Error() string {
	if e.Field == "" {
		return "the specification " + e.What
	}
	return e.Field + " " + e.What
}

// newerSpecFields are fields that a pipeline may be specified with from 2.7 on, by message.
// A client of 2.6 can send them only as JSON.
var newerSpecFields = map[string][]string{
	"pps_v2.CreatePipelineRequest": {"determined", "maximumExpectedUptime"},
	"pfs_v2.Trigger":               {"rateLimitSpec"},
}

// ParseDocument reads a specification. An error is a [*DocumentError].
func ParseDocument(text string) (*Document, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var fields map[string]any
	if err := decoder.Decode(&fields); err != nil || fields == nil {
		return nil, &DocumentError{What: "must be a JSON object. Write it with jsonencode({...})"}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, &DocumentError{What: "must be one JSON object and nothing after it: a resource is one pipeline"}
	}
	return newDocument(fields, false)
}

// newDocument takes fields apart. What it does not know is an error, or kept
// if it comes from a server.
func newDocument(fields map[string]any, fromServer bool) (*Document, error) {
	d := &Document{}
	w := fieldWalk{document: d, fromServer: fromServer}
	known, err := w.message("", reflect.TypeFor[pps.CreatePipelineRequest](), fields)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(known)
	if err != nil {
		return nil, &DocumentError{What: err.Error()}
	}
	d.request = &pps.CreatePipelineRequest{}
	if err := jsonpb.Unmarshal(bytes.NewReader(plain), d.request); err != nil {
		return nil, &DocumentError{What: "cannot be understood: " + err.Error()}
	}
	d.fields = w.all
	d.ID = PipelineID{Project: d.request.GetPipeline().GetProject().GetName(), Name: d.request.GetPipeline().GetName()}
	d.strip()
	return d, nil
}

// strip removes what is no part of the specification: the pipeline's name, and
// what belongs to one request or to the server.
func (d *Document) strip() {
	for _, name := range []string{"pipeline", "update", "reprocess", "dryRun", "salt", "specCommit"} {
		delete(d.fields, name)
	}
	r := d.request
	r.Pipeline, r.Update, r.Reprocess, r.Salt, r.SpecCommit = nil, false, false, "", nil
}

// fieldWalk follows JSON along the messages that it stands for.
type fieldWalk struct {
	document   *Document
	fromServer bool
	all        map[string]any // by camelCase names
}

// message returns the fields that 2.6 knows, by camelCase names.
func (w *fieldWalk) message(at string, t reflect.Type, fields map[string]any) (map[string]any, error) {
	known, all := map[string]any{}, map[string]any{}
	if at == "" {
		w.all = all
	}
	byName := fieldsOf(t)
	for name, v := range fields {
		path := strings.TrimPrefix(at+"."+name, ".")
		f, ok := byName[name]
		if !ok {
			camel := camelCase(name)
			newer := newerSpecFields[messageName(t)]
			if !w.fromServer && !slices.Contains(newer, camel) {
				names := slices.Clone(newer)
				for n := range byName {
					names = append(names, n)
				}
				slices.Sort(names)
				return nil, &DocumentError{Field: path, What: "is not a field of a pipeline's specification", Known: names}
			}
			all[camel] = v
			w.document.Newer = append(w.document.Newer, path)
			slices.Sort(w.document.Newer)
			continue
		}
		if _, twice := known[f.name]; twice {
			return nil, &DocumentError{Field: path, What: "is there twice, in both spellings"}
		}
		if v == nil {
			all[f.name], w.document.zeros = nil, true
			continue
		}
		plain, whole, err := w.value(path, f, v)
		if err != nil {
			return nil, err
		}
		if isZero(v) {
			w.document.zeros = true
		}
		known[f.name], all[f.name] = plain, whole
	}
	if at != "" {
		w.all = all
	}
	return known, nil
}

// value returns a field's value as 2.6 knows it, and whole.
func (w *fieldWalk) value(at string, f specField, v any) (known, all any, err error) {
	switch {
	case f.duration:
		return v, inSeconds(v), nil
	case f.message == nil:
		return v, v, nil
	case f.repeated:
		list, ok := v.([]any)
		if !ok {
			return nil, nil, &DocumentError{Field: at, What: "must be a list"}
		}
		knownList, allList := make([]any, len(list)), make([]any, len(list))
		for n, element := range list {
			if knownList[n], allList[n], err = w.object(fmt.Sprintf("%s[%d]", at, n), f.message, element); err != nil {
				return nil, nil, err
			}
		}
		return knownList, allList, nil
	}
	return w.object(at, f.message, v)
}

// inSeconds writes a duration such as "1h" as protocol buffers have it in JSON,
// "3600s": pachd takes nothing else where it reads the text itself.
func inSeconds(v any) any {
	text, _ := v.(string)
	d, err := time.ParseDuration(text)
	if err != nil {
		return v
	}
	seconds, fraction := d/time.Second, d%time.Second
	if fraction == 0 {
		return fmt.Sprintf("%ds", seconds)
	}
	sign := ""
	if d < 0 {
		sign = "-"
	}
	return fmt.Sprintf("%s%d.%09ds", sign, seconds.Abs(), fraction.Abs())
}

func (w *fieldWalk) object(at string, t reflect.Type, v any) (known, all any, err error) {
	fields, ok := v.(map[string]any)
	if !ok {
		return nil, nil, &DocumentError{Field: at, What: "must be an object"}
	}
	outer := w.all
	known, err = w.message(at, t, fields)
	all, w.all = w.all, outer
	return known, all, err
}

// specField is a field of a message of the API.
type specField struct {
	name     string       // in camelCase
	message  reflect.Type // of its elements; nil for what is not looked into
	repeated bool
	wide     bool // a number of 64 bits, which JSON has as a string
	duration bool
}

// fieldsOf returns a message's fields, by both spellings.
func fieldsOf(t reflect.Type) map[string]specField {
	properties := proto.GetProperties(t)
	fields := map[string]specField{}
	add := func(p *proto.Properties, kind reflect.Type) {
		f := specField{name: p.JSONName}
		if f.name == "" {
			f.name = p.OrigName
		}
		if kind.Kind() == reflect.Slice && kind.Elem().Kind() != reflect.Uint8 {
			f.repeated, kind = true, kind.Elem()
		}
		if kind.Kind() == reflect.Pointer && kind.Elem().Kind() == reflect.Struct && !isWellKnown(kind) {
			f.message = kind.Elem()
		}
		f.wide = kind.Kind() == reflect.Int64 || kind.Kind() == reflect.Uint64
		f.duration = kind == reflect.TypeFor[*types.Duration]()
		fields[f.name], fields[p.OrigName] = f, f
	}
	for _, p := range properties.Prop {
		if field, ok := t.FieldByName(p.Name); ok && p.OrigName != "" && !strings.HasPrefix(p.Name, "XXX_") {
			add(p, field.Type)
		}
	}
	for _, oneof := range properties.OneofTypes {
		add(oneof.Prop, oneof.Type.Elem().Field(0).Type)
	}
	return fields
}

// isWellKnown says that a message has a notation of its own in JSON, as a time.
func isWellKnown(t reflect.Type) bool {
	_, ok := reflect.Zero(t).Interface().(interface{ XXX_WellKnownType() string })
	return ok
}

func messageName(t reflect.Type) string {
	m, ok := reflect.New(t).Interface().(proto.Message)
	if !ok {
		return ""
	}
	return proto.MessageName(m)
}

func camelCase(name string) string {
	words := strings.Split(name, "_")
	for n, word := range words {
		if n > 0 && word != "" {
			words[n] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "")
}

func isZero(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case json.Number:
		f, err := v.Float64()
		return err == nil && f == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}
