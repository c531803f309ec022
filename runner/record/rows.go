// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"fmt"
	"maps"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// decodedRules are the rules for values that are decoded into rows.
type decodedRules struct {
	fields, masks *schema.Tree
	bySchema      map[*schema.Rows]*rowRules
	open          func(*schema.Rows) bool // see InUse
	last          *rowRules
	lastOf        *schema.Rows

	found         []byte
	value, before []byte
	detail        source.Detail
}

// rowRules are the rules for rows of one schema.
type rowRules struct {
	conditions []*schema.Finder // of the filter, nil where it is not about the value, or no value has the field
	shape      *schema.Shape    // nil if nothing changes
	rows       *schema.Rows     // with that
	route      []*schema.Finder
	err        error
}

// maxRowRules bounds the memory of the rules for schemas that are kept though no
// open file has them: beyond it they are made again.
const maxRowRules = 8 << 20

func newDecodedRules(s settings.Settings) decodedRules {
	d := decodedRules{bySchema: map[*schema.Rows]*rowRules{}, open: func(*schema.Rows) bool { return false }}
	for _, text := range s.Record.Fields {
		field, err := settings.ParseField(text)
		if err != nil {
			panic(err) // validated
		}
		if d.fields == nil {
			d.fields = &schema.Tree{}
		}
		d.fields.Add(field)
	}
	for _, m := range s.Record.Masks() {
		if d.masks == nil {
			d.masks = &schema.Tree{}
		}
		d.masks.Add(m.Field).Mask = newMasks(m.Method, s.Record.MaskKey)
	}
	return d
}

// ApplyUndecoded is [Rules.Apply] as far as a record's value need not be looked
// into: [Rules.ApplyRows] comes after it.
func (r *Rules) ApplyUndecoded(rec *source.Record) (keep bool, err error) {
	if r.dropNull && rec.Value == nil {
		return false, nil
	}
	if err := r.checkSize(rec); err != nil {
		return false, err
	}
	for i := range r.filter {
		if c := &r.filter[i]; c.Of.Kind != "value" && !r.holds(c, rec) {
			return false, nil
		}
	}
	return true, nil
}

// ApplyRows decides about a record whose value is a row, or nil. It returns the
// rows that the value is one of then. The value is valid until the next call.
func (r *Rules) ApplyRows(rec *source.Record, rows *schema.Rows) (_ *schema.Rows, keep bool, err error) {
	d := &r.decoded
	of, err := r.forRows(rows)
	if err != nil {
		return nil, false, err
	}
	for i := range r.filter {
		c := &r.filter[i]
		if c.Of.Kind != "value" {
			continue
		}
		value, ok, err := r.inRow(&c.Of, of.conditions[i], rec.Value)
		if err != nil {
			return nil, false, err
		}
		if !meets(c, value, ok) {
			return nil, false, nil
		}
	}
	if of.shape == nil {
		return rows, true, nil
	}
	if rec.Value != nil {
		if d.value, err = reshaped(d.value, of.shape, rec.Value); err != nil {
			return nil, false, err
		}
		rec.Value = d.value
	}
	if rec.Detail != nil && rec.Detail.Before != nil {
		d.detail = *rec.Detail
		if d.before, err = reshaped(d.before, of.shape, d.detail.Before); err != nil {
			return nil, false, err
		}
		d.detail.Before = d.before
		rec.Detail = &d.detail
	}
	return of.rows, true, nil
}

// RouteRow is [Rules.Route] of a record that ApplyRows has kept.
func (r *Rules) RouteRow(rec *source.Record) (_ []byte, err error) {
	r.path = r.path[:0]
	for i := range r.route {
		of := &r.route[i]
		var value []byte
		var ok bool
		if of.Kind == "value" {
			value, ok, err = r.inRow(of, r.decoded.last.route[i], rec.Value)
		} else {
			value, ok = r.look(of, rec)
		}
		if err != nil {
			return nil, err
		}
		r.showInPath(i, value, ok)
	}
	return r.path, nil
}

func reshaped(scratch []byte, shape *schema.Shape, value []byte) ([]byte, error) {
	if cap(scratch) > keptBuffer {
		scratch = nil
	}
	if scratch == nil {
		scratch = make([]byte, 0, len(value)+64)
	}
	out, err := shape.Apply(scratch[:0], value)
	if err != nil {
		return nil, &Refused{fmt.Sprintf("%v", err)}
	}
	return out, nil
}

// forRows returns the rules for rows, made once.
func (r *Rules) forRows(rows *schema.Rows) (*rowRules, error) {
	d := &r.decoded
	if d.lastOf == rows {
		return d.last, d.last.err
	}
	of := d.bySchema[rows]
	if of == nil {
		r.BoundRows()
		of = r.makeRows(rows)
		d.bySchema[rows] = of
	}
	d.last, d.lastOf = of, rows
	return of, of.err
}

// InUse tells the rules of which rows there are open files. Were their rules made
// anew, each time there would be another file.
func (r *Rules) InUse(open func(*schema.Rows) bool) { r.decoded.open = open }

// BoundRows forgets the rules for rows that no open file has if they are too
// many.
func (r *Rules) BoundRows() {
	d := &r.decoded
	memory := 0
	for rows, of := range d.bySchema {
		if d.open(of.rows) {
			continue
		}
		if memory += rows.Memory(); of.rows != rows {
			memory += of.rows.Memory()
		}
	}
	if memory > maxRowRules {
		maps.DeleteFunc(d.bySchema, func(_ *schema.Rows, of *rowRules) bool { return !d.open(of.rows) })
	}
}

func (r *Rules) makeRows(rows *schema.Rows) *rowRules {
	of := &rowRules{rows: rows, conditions: make([]*schema.Finder, len(r.filter)), route: make([]*schema.Finder, len(r.route))}
	for i := range r.filter {
		if c := &r.filter[i]; c.Of.Kind == "value" {
			of.conditions[i] = rows.Finder(c.Of.Field, inJSON{})
		}
	}
	if r.decoded.fields != nil || r.decoded.masks != nil {
		shape, err := rows.Reshape(schema.Reshaping{Fields: r.decoded.fields, Masks: r.decoded.masks, In: inJSON{}, Unfold: -1, Most: r.largest})
		if err != nil {
			of.err = &Refused{fmt.Sprintf("its fields cannot be selected or masked: %.500v", err)}
			return of
		}
		if shape != nil {
			of.shape, of.rows = shape, shape.Rows
		}
	}
	for i := range r.route {
		if r.route[i].Kind == "value" {
			of.route[i] = of.rows.Finder(r.route[i].Field, inJSON{})
		}
	}
	return of
}

// inRow returns what a field of a row says.
func (r *Rules) inRow(of *settings.Reference, in *schema.Finder, value []byte) (content []byte, ok bool, err error) {
	d := &r.decoded
	if cap(d.found) > keptBuffer {
		d.found = nil
	}
	if d.found, ok, err = in.Append(d.found[:0], value, r.largest); err != nil {
		return nil, false, &Refused{fmt.Sprintf("its field %s cannot be looked at: %v", of, err)}
	}
	if !ok {
		return nil, false, nil
	}
	content, ok = r.part(of, d.found)
	return content, ok, nil
}

// Content is what a JSON value says: a string's content, or the value as it is
// written. It is valid as long as the value.
func Content(value []byte) []byte { return text(bytes.TrimSpace(value)) }

// inJSON looks into columns whose text is JSON.
type inJSON struct{}

// Find implements [schema.JSONText].
func (inJSON) Find(content []byte, field []string) (_ []byte, ok bool) {
	found := find(content, field)
	if found == nil {
		return nil, false
	}
	return text(found), true
}

// Select implements [schema.JSONText].
func (inJSON) Select(dst, content []byte, fields *schema.Tree) (_ []byte, ok bool) {
	return namesOf(fields).appendSelected(dst, content)
}

// Mask implements [schema.JSONText].
func (inJSON) Mask(dst, content []byte, masked *schema.Tree, most int) (_ []byte, ok bool) {
	return namesOf(masked).appendMasked(dst, content, most)
}

// namesOf is a tree as it is used for JSON.
func namesOf(tree *schema.Tree) *names {
	n := &names{}
	if m, ok := tree.Mask.(masks); ok {
		n.masks = m
	}
	for name, below := range tree.Below {
		if n.below == nil {
			n.below = map[string]*names{}
		}
		n.below[name] = namesOf(below)
	}
	return n
}
