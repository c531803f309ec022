// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Tree is a tree of fields, by what they are called.
type Tree struct {
	Below map[string]*Tree
	Mask  Mask // what is to be done with this field, in a tree of masks
}

// Mask appends something in place of what a field says.
type Mask interface {
	Mask(dst, content []byte) []byte
}

// Add returns the place of a field in the tree.
func (t *Tree) Add(field []string) *Tree {
	for _, name := range field {
		if t.Below == nil {
			t.Below = map[string]*Tree{}
		}
		next := t.Below[name]
		if next == nil {
			next = &Tree{}
			t.Below[name] = next
		}
		t = next
	}
	return t
}

// below is the place of what a field is called; nil if there is none.
func (t *Tree) below(f *Field) *Tree {
	if t == nil {
		return nil
	}
	if next := t.Below[f.called()]; next != nil {
		return next
	}
	return t.Below[f.Name]
}

// any returns a mask that is in the tree.
func (t *Tree) any() Mask {
	if t.Mask != nil {
		return t.Mask
	}
	for _, next := range t.Below {
		if m := next.any(); m != nil {
			return m
		}
	}
	return nil
}

// Reshaping is what is done to the fields of rows.
type Reshaping struct {
	Fields *Tree // that are kept, nil for all
	Masks  *Tree // that are masked, nil for none
	In     JSONText
	// Unfold has types that contain themselves become finite: within itself, a
	// type is there so many times more, and JSON text from there on. It is
	// negative to leave them as they are.
	Unfold int
	Most   int // bytes that a value may become
}

// Shape brings values of rows into the form of others.
type Shape struct {
	Rows *Rows // the others

	step                 *step
	r                    *Reshaping
	text, chosen, hidden []byte // scratch
}

// action is what is done with a value.
type action uint8

const (
	copied    action = iota // as it is
	dropped                 // left out; of a union, null
	masked                  // a string in place of it, where it is not null
	textual                 // a string of its JSON
	inJSON                  // JSON text of which some is taken, or masked
	inParts                 // part by part
	inEntries               // a map, of which some entries are dropped or others than the rest
)

// step is what is done with values of a type.
type step struct {
	do       action
	of, to   *Type
	parts    []*step // of a record's fields, a union's branches, the one element
	branches []int64 // of a union: which branch it becomes; -1 is null that was none
	null     int64   // of a union: the branch that is null
	entries  map[string]*step
	kept     *Tree // what is taken of text of JSON, nil for all
	tree     *Tree // what is masked in it
	mask     Mask
}

var (
	errReshaped = errors.New("with the fields that are selected and masked, its schema has too many types")
	keep        = &step{}
)

// maxUnfolded bounds the steps of what is unfolded: with more there would be too
// many columns.
const maxUnfolded = 2 * maxColumns

// reshaper makes steps.
type reshaper struct {
	*Reshaping
	recursive map[*Type]bool // that contain themselves, or what does
	within    []*Type
	made      []*Type // that have names
	steps     int
}

// Reshape returns what brings values of the rows into another form; nil if it
// is the same.
func (r *Rows) Reshape(how Reshaping) (*Shape, error) {
	m := &reshaper{Reshaping: &how, recursive: map[*Type]bool{}}
	own := r.own()
	if how.Unfold >= 0 {
		m.search(own, map[*Type]bool{})
	}
	fields, masks := how.Fields, how.Masks
	if r.wrapped {
		fields, masks = fields.wrapped(own.Fields[0].Type), masks.wrapped(own.Fields[0].Type)
	}
	s, err := m.step(own, fields, masks)
	if err != nil || s.do == copied {
		return nil, err
	}
	to := own
	switch s.do {
	case inParts:
		to = s.to
	case dropped:
		to = &Type{Kind: Record, Name: own.Name}
		s = &step{do: inParts, of: own, to: to, parts: make([]*step, len(own.Fields))}
		for i := range s.parts {
			s.parts[i] = &step{do: dropped, of: own.Fields[i].Type}
		}
	}
	m.name(to)
	rows, err := r.with(to)
	if err != nil {
		return nil, err
	}
	if how.Unfold < 0 { // else it counts with r
		rows.origin = r
	}
	return &Shape{Rows: rows, step: s, r: &how}, nil
}

// wrapped is the tree for rows whose value is in one field: names are of what is
// in it.
func (t *Tree) wrapped(of *Type) *Tree {
	if t == nil {
		return nil
	}
	if below := t.Below[valueField]; below != nil && of.unwrapped(valueField) {
		return &Tree{Below: map[string]*Tree{valueField: below}}
	}
	return &Tree{Below: map[string]*Tree{valueField: t}}
}

// with returns rows that have other fields in a value, but are the same beside it.
func (r *Rows) with(value *Type) (*Rows, error) {
	root := *r.Type
	root.Name = value.Name
	root.Fields = slices.Clone(value.Fields)
	if r.before {
		names, _ := value.named()
		before := *value
		before.Name = freeName("SpoutBefore", names)
		root.addField("_before", orNull(&before))
	}
	root.addField(coordinatesField, r.Type.Fields[len(r.Type.Fields)-1].Type)
	n, err := r.coordinates.newRows(&root, r.value)
	if err != nil {
		return nil, err
	}
	n.ID, n.change, n.before, n.version, n.wrapped = r.ID, r.change, r.before, r.version, r.wrapped && len(value.Fields) == 1
	if r.nulls != nil {
		n.nulls = make([]byte, len(value.Fields)) // they begin with null
	}
	return n, nil
}

// search finds types that contain themselves, or what does.
func (m *reshaper) search(t *Type, done map[*Type]bool) bool {
	if found, known := m.recursive[t]; known && done[t] {
		return found
	}
	if _, open := m.recursive[t]; open {
		return true
	}
	m.recursive[t] = false
	found := false
	t.below(func(below *Type) { found = m.search(below, done) || found })
	m.recursive[t], done[t] = found, true
	return found
}

// step returns what is done with values of a type of which the trees are about.
func (m *reshaper) step(t *Type, fields, masks *Tree) (_ *step, err error) {
	if fields != nil && fields.Below == nil {
		fields = nil // it is kept whole
	}
	if m.steps++; m.steps > maxTypes || m.Unfold >= 0 && m.steps > maxUnfolded {
		return nil, errReshaped
	}
	if masks != nil && masks.Mask != nil {
		return m.masked(t, masks.Mask), nil
	}
	if masks != nil && masks.Below == nil {
		masks = nil
	}
	if fields == nil && masks == nil && !m.recursive[t] {
		return keep, nil
	}
	if m.Unfold >= 0 && m.recursive[t] && t.Kind == Record {
		times := 0
		for _, around := range m.within {
			if around == t {
				times++
			}
		}
		if times > m.Unfold {
			return &step{do: textual, of: t, to: &Type{Kind: String, json: true}, kept: fields, tree: masks}, nil
		}
	}
	m.within = append(m.within, t)
	defer func() { m.within = m.within[:len(m.within)-1] }()
	switch t.Kind {
	case Record:
		return m.record(t, fields, masks)
	case Array:
		s, err := m.step(t.Element, fields, masks)
		return m.around(t, s), err
	case Map:
		return m.entries(t, fields, masks)
	case Union:
		return m.union(t, fields, masks)
	}
	switch {
	case t.json && fields != nil:
		return &step{do: inJSON, of: t, to: t, kept: fields, tree: masks}, nil
	case t.json && masks != nil:
		return &step{do: inJSON, of: t, to: t, tree: masks}, nil
	case fields != nil: // it has no such field
		return &step{do: dropped, of: t}, nil
	}
	return keep, nil
}

// masked has a string in place of a value, or null if it is null.
func (m *reshaper) masked(t *Type, mask Mask) *step {
	switch {
	case t.Kind == Null:
		return keep
	case t.Kind != Union || !slices.ContainsFunc(t.Branches, func(b *Type) bool { return b.Kind == Null }):
		return &step{do: masked, of: t, to: primitive(String), mask: mask}
	}
	s := &step{do: inParts, of: t, to: &Type{Kind: Union}}
	first := t.Branches[0].Kind == Null
	s.to.Branches = []*Type{primitive(Null), primitive(String)}
	if !first {
		s.to.Branches = []*Type{primitive(String), primitive(Null)}
	}
	for _, b := range t.Branches {
		at, part := int64(0), keep
		if b.Kind != Null {
			part = &step{do: masked, of: b, to: primitive(String), mask: mask}
		}
		if (b.Kind == Null) != first {
			at = 1
		}
		s.branches, s.parts = append(s.branches, at), append(s.parts, part)
	}
	return s
}

// around is what is done with an array whose elements that is done with.
func (m *reshaper) around(t *Type, element *step) *step {
	if element == nil || element.do == copied {
		return keep
	}
	if element.do == dropped {
		return &step{do: dropped, of: t}
	}
	to := *t
	to.Element = element.to
	return &step{do: inParts, of: t, to: &to, parts: []*step{element}}
}

func (m *reshaper) record(t *Type, fields, masks *Tree) (*step, error) {
	to := *t
	to.Fields, to.width = nil, 0
	s := &step{do: inParts, of: t, to: &to}
	for i := range t.Fields {
		f := &t.Fields[i]
		part, err := m.field(t, f, fields, masks)
		if err != nil {
			return nil, fmt.Errorf("field %.100s: %w", f.Name, err)
		}
		s.parts = append(s.parts, part)
		if part.do == dropped {
			part.of = f.Type
			continue
		}
		out := *f
		if part.do != copied {
			out.Type = part.to
			out.also = slices.DeleteFunc(slices.Clone(f.also), func(a attribute) bool { return a.name == `"default"` }) // of another type
		}
		to.Fields = append(to.Fields, out)
	}
	if fields != nil && len(to.Fields) == 0 {
		return &step{do: dropped, of: t}, nil
	}
	m.made = append(m.made, &to)
	return s, nil
}

// field is what is done with a field of a record.
func (m *reshaper) field(t *Type, f *Field, fields, masks *Tree) (*step, error) {
	switch {
	case f.others:
		kept := unnamed(t, fields)
		if fields != nil && kept == nil {
			return &step{do: dropped, of: f.Type}, nil
		}
		return m.step(f.Type, kept, unnamed(t, masks))
	case f.texts:
		return m.step(f.Type, columnsOf(fields, false), columnsOf(masks, true))
	case fields == nil:
		return m.step(f.Type, nil, masks.below(f))
	}
	kept := fields.below(f)
	if kept == nil {
		return &step{do: dropped, of: f.Type}, nil
	}
	return m.step(f.Type, kept, masks.below(f))
}

// unnamed is the part of a tree that is about members which a record has no
// fields for. A member may have the name of a column that was made of another.
func unnamed(t *Type, tree *Tree) *Tree {
	if tree == nil {
		return nil
	}
	rest := &Tree{Below: map[string]*Tree{}}
	for name, below := range tree.Below {
		if !slices.ContainsFunc(t.Fields, func(f Field) bool { return f.called() == name && !f.others && !f.texts }) {
			rest.Below[name] = below
		}
	}
	if len(rest.Below) == 0 {
		return nil
	}
	return rest
}

// columnsOf is a tree of whole columns.
func columnsOf(tree *Tree, masks bool) *Tree {
	if tree == nil {
		return nil
	}
	whole := &Tree{Below: map[string]*Tree{}}
	for name, below := range tree.Below {
		whole.Below[name] = &Tree{}
		if masks {
			whole.Below[name].Mask = below.any()
		}
	}
	return whole
}

// entries is what is done with a map: fields and masks are of its entries, by
// their keys. As all have one type, what of one entry is masked becomes a string
// in all.
func (m *reshaper) entries(t *Type, fields, masks *Tree) (*step, error) {
	var kept, said *Tree
	if fields != nil {
		kept = &Tree{}
		for _, tree := range fields.Below {
			kept.join(tree, nil)
		}
	}
	if masks != nil {
		said = &Tree{}
		for _, tree := range masks.Below {
			said.join(tree, unmasked{})
		}
	}
	others, err := m.step(t.Element, kept, said)
	if err != nil {
		return nil, err
	}
	if masks == nil && fields == nil || others.do == dropped { // it has what contains itself, or nothing that is selected
		return m.around(t, others), nil
	}
	to := *t
	if to.width = 0; others.do != copied {
		to.Element = others.to
	}
	s := &step{do: inEntries, of: t, to: &to, parts: []*step{others}, entries: map[string]*step{}}
	if fields != nil {
		s.parts[0] = &step{do: dropped, of: t.Element}
		for name := range fields.Below {
			s.entries[name] = others
		}
	}
	if masks == nil {
		return s, nil
	}
	for name, tree := range masks.Below {
		if fields != nil && fields.Below[name] == nil {
			continue
		}
		own := &Tree{}
		own.join(said, unmasked{})
		if own.Mask != nil {
			own.Mask = tree.any()
		} else {
			own.join(tree, tree.any())
		}
		if s.entries[name], err = m.step(t.Element, kept, own); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// unmasked has a value say what it says, as a string.
type unmasked struct{}

func (unmasked) Mask(dst, content []byte) []byte { return append(dst, content...) }

// join adds another tree's fields, with that mask where it has one. What is
// there whole has nothing below.
func (t *Tree) join(other *Tree, mask Mask) {
	switch {
	case other.Mask != nil:
		t.Mask = mask
	case mask == nil && len(other.Below) == 0: // a field that is selected whole
		t.Below, t.Mask = nil, unmasked{}
	}
	for name, below := range other.Below {
		if mask == nil && t.Mask != nil {
			return
		}
		t.Add([]string{name}).join(below, mask)
	}
}

// union is what is done with a union: a branch that has nothing of what is
// selected is null.
func (m *reshaper) union(t *Type, fields, masks *Tree) (*step, error) {
	s := &step{do: inParts, of: t, to: &Type{Kind: Union}}
	changed, left, empty := false, 0, false
	for _, b := range t.Branches {
		part := keep
		if b.Kind != Null {
			var err error
			if part, err = m.step(b, fields, masks); err != nil {
				return nil, err
			}
		}
		s.parts = append(s.parts, part)
		changed = changed || part.do != copied
		switch {
		case part.do == dropped:
			empty = true
		case b.Kind != Null:
			left++
		}
	}
	switch {
	case !changed:
		return keep, nil
	case left == 0:
		return &step{do: dropped, of: t}, nil
	}
	null := slices.IndexFunc(t.Branches, func(b *Type) bool { return b.Kind == Null })
	if empty && null < 0 {
		s.to.Branches = append(s.to.Branches, primitive(Null))
	}
	for i, b := range t.Branches {
		part := s.parts[i]
		to := b
		switch part.do {
		case copied:
		case dropped:
			s.branches = append(s.branches, -1)
			continue
		default:
			to = part.to
		}
		at := slices.IndexFunc(s.to.Branches, func(one *Type) bool { return one.Kind == to.Kind && !to.Kind.isNamed() })
		if at < 0 {
			at = len(s.to.Branches)
			s.to.Branches = append(s.to.Branches, to)
		}
		s.branches = append(s.branches, int64(at))
	}
	s.null = int64(slices.IndexFunc(s.to.Branches, func(b *Type) bool { return b.Kind == Null }))
	return s, nil
}

// name gives records that were changed names that nothing else in a type has.
func (m *reshaper) name(t *Type) {
	made := map[*Type]bool{}
	for _, one := range m.made {
		made[one] = true
	}
	taken, seen := map[string]bool{}, map[*Type]bool{}
	var all []*Type
	var visit func(*Type)
	visit = func(u *Type) {
		if seen[u] {
			return
		}
		seen[u] = true
		if u.Kind.isNamed() {
			if made[u] {
				all = append(all, u)
			} else {
				taken[u.Name] = true
			}
		}
		u.below(visit)
	}
	visit(t)
	next := map[string]int{}
	for _, u := range all {
		name := u.Name
		for n := max(next[u.Name], 2); taken[name]; n++ {
			name = u.Name + "_" + strconv.Itoa(n)
			next[u.Name] = n + 1
		}
		taken[name] = true
		u.Name = name
	}
}
