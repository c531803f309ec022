// SPDX-License-Identifier: Apache-2.0

// Package record decides what becomes of each record before it is written:
// whether it is kept, left out or refused, which fields of its value are taken
// out or masked, and which folder it goes into. It is deliberately no more
// than that: what needs more is a pipeline of its own.
package record

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/strictjson"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Refused says why a record cannot be written as the settings ask.
type Refused struct{ Reason string }

func (r *Refused) Error() string { return r.Reason }

// Rules are the settings about records, ready to be used. They are used by one
// goroutine.
type Rules struct {
	filter     []settings.Condition
	fields     *names // nil to keep all
	masks      *names // nil for none
	route      []settings.Reference
	maxBytes   int
	largest    int // bytes that a value may have with its masks
	readsValue bool
	dropNull   bool

	json          strictjson.Checker
	value, before shaper
	detail        source.Detail
	path          []byte // reused from record to record
	sought        sought

	decoded         decodedRules
	moment, instant []byte
}

// NewRules returns the rules of validated settings, nil if there are none: all
// records are kept as they are, and their paths do not depend on what is in them.
func NewRules(s settings.Settings) *Rules {
	r := &Rules{filter: s.Record.Filter.Conditions, route: s.FilePath().References(), maxBytes: int(s.Record.MaxBytes), largest: s.LargestRecord(), readsValue: s.ReadsJSON(), dropNull: s.Record.OnNull == "drop", decoded: newDecodedRules(s)}
	for _, text := range s.Record.Fields {
		field, err := settings.ParseField(text)
		if err != nil {
			panic(err) // validated
		}
		if r.fields == nil {
			r.fields = &names{}
		}
		r.fields.add(field)
	}
	for _, m := range s.Record.Masks() {
		if r.masks == nil {
			r.masks = &names{}
		}
		r.masks.add(m.Field).masks = newMasks(m.Method, s.Record.MaskKey)
	}
	if r.filter == nil && r.fields == nil && r.masks == nil && r.route == nil && r.maxBytes == 0 && !r.dropNull {
		return nil
	}
	r.seek(s)
	return r
}

// keptBuffer is how large a buffer is that is kept from record to record.
const keptBuffer = 1 << 20

// Apply decides about a record. One that is kept may get another value, which
// is valid until the next call; the error of one that cannot be written is a
// [*Refused].
func (r *Rules) Apply(rec *source.Record) (keep bool, err error) {
	if r.dropNull && rec.Value == nil {
		return false, nil
	}
	if err := r.checkSize(rec); err != nil {
		return false, err
	}
	hasValue := r.readsValue && rec.Value != nil
	if r.sought.value = nil; hasValue {
		r.sought.value, r.sought.shaped = rec.Value, rec.Value
		if err := r.json.CheckSyntax(rec.Value); errors.Is(err, strictjson.ErrDepth) {
			return false, &Refused{fmt.Sprintf("its value is JSON that is nested more than %d deep", settings.MaxDepth)}
		} else if err != nil {
			return false, &Refused{"its value is not JSON"}
		}
	}
	for i := range r.filter {
		if !r.holds(&r.filter[i], rec) {
			return false, nil
		}
	}
	if !hasValue {
		return true, nil
	}
	if rec.Value, err = r.shapeFound(rec.Value); err != nil {
		return false, err
	}
	if d := rec.Detail; d != nil && d.Before != nil && (r.fields != nil || r.masks != nil) { // what is not to be seen of the row is not to be seen of the row before
		r.detail = *d
		if r.detail.Before, err = r.before.shape(r, d.Before); err != nil {
			return false, err
		}
		rec.Detail = &r.detail
	}
	return true, nil
}

func (r *Rules) checkSize(rec *source.Record) error {
	if size := len(rec.Key) + len(rec.Value) + len(rec.Headers.Raw); r.maxBytes > 0 && size > r.maxBytes {
		return &Refused{fmt.Sprintf("it has %d bytes, more than the %d that are allowed", size, r.maxBytes)}
	}
	return nil
}

// shaper selects and masks fields of JSON values. What it returns is valid until
// the next call.
type shaper struct{ selected, masked []byte }

func (s *shaper) shape(r *Rules, value []byte) ([]byte, error) {
	if r.fields != nil {
		if kind(value) != '{' {
			return nil, &Refused{"its value is not a JSON object, so that no fields of it can be selected"}
		}
		s.selected, _ = r.fields.appendSelected(s.selected[:0], bytes.TrimSpace(value))
		value = s.selected
	}
	if r.masks == nil {
		return value, nil
	}
	if cap(s.masked) > keptBuffer {
		s.masked = nil
	}
	masked, ok := r.masks.appendMasked(s.masked[:0], value, r.largest)
	if s.masked = masked; !ok {
		return nil, &Refused{fmt.Sprintf("with its masks, its value would take more than the %d bytes that one record may take. SPOUT_MEMORY_BUDGET raises that limit", r.largest)}
	}
	return s.masked, nil
}

// Route returns what the path shows of a record that Apply has kept: the
// escaped values, with a / between them. It is valid until the next call.
func (r *Rules) Route(rec *source.Record) []byte {
	r.path = r.path[:0]
	for i := range r.route {
		value, ok := r.look(&r.route[i], rec)
		r.showInPath(i, value, ok)
	}
	return r.path
}

// showInPath appends a part of a record that the path shows.
func (r *Rules) showInPath(i int, value []byte, ok bool) {
	if i > 0 {
		r.path = append(r.path, '/')
	}
	if ok {
		r.path = settings.AppendPathValue(r.path, value)
	} else {
		r.path = append(r.path, settings.MissingPathValue...)
	}
}

// holds says whether a record meets a condition.
func (r *Rules) holds(c *settings.Condition, rec *source.Record) bool {
	value, ok := r.look(&c.Of, rec)
	return meets(c, value, ok)
}

// meets says whether a part of a record, which may be missing, meets a condition.
func meets(c *settings.Condition, value []byte, ok bool) bool {
	switch c.Operator {
	case "exists":
		return ok
	case "missing":
		return !ok
	case "!=":
		return !ok || string(value) != c.Texts[0]
	}
	return ok && slices.ContainsFunc(c.Texts, func(text string) bool { return string(value) == text })
}

// look returns a part of a record; ok is false if it is missing.
func (r *Rules) look(of *settings.Reference, rec *source.Record) (content []byte, ok bool) {
	switch of.Kind {
	case "key":
		content = rec.Key
	case "header":
		for key, value := range rec.Headers.All() {
			if string(key) == of.Header {
				content = value
			}
		}
	default:
		if rec.Value == nil {
			return nil, false
		}
		if content = r.find(of, rec.Value); content != nil {
			content = text(content)
		}
	}
	if content == nil {
		return nil, false
	}
	return r.part(of, content)
}
