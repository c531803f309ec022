// SPDX-License-Identifier: Apache-2.0

package schema

import "slices"

// JSONText looks into text of columns that is JSON, and changes it.
type JSONText interface {
	// Find returns what a field of a JSON value says; ok is false if it is
	// missing or null.
	Find(text []byte, field []string) (content []byte, ok bool)
	// Select appends the fields of a JSON value that are in the tree; it is
	// not ok if there are none.
	Select(dst, text []byte, fields *Tree) (_ []byte, ok bool)
	// Mask appends a JSON value with what the tree masks; it is not ok if that
	// becomes longer than most bytes.
	Mask(dst, text []byte, masks *Tree, most int) (_ []byte, ok bool)
}

// Finder finds a field in values of a type.
type Finder struct {
	of *finder
	in JSONText
}

// finder is a step on the way to a field. With nothing set, the value is it.
type finder struct {
	of     *Type
	index  int       // of the record's field
	next   *finder   // what to find in that, or in the entry of a map
	key    string    // of the entry
	each   []*finder // what to find in a union's branches; nil for nothing
	json   []string  // the field within the text of JSON
	inJSON bool
}

// Finder returns what finds a field, whose name is taken apart at its dots, in
// the values of the rows: one of a record, an entry of a map, or a member of
// text that is JSON. It is nil if no value has it.
func (r *Rows) Finder(field []string, in JSONText) *Finder {
	own := r.own()
	if r.wrapped && !(len(field) > 0 && own.Fields[0].Type.unwrapped(field[0])) {
		field = append([]string{own.Fields[0].Name}, field...)
	}
	if of := newFinder(own, field); of != nil {
		return &Finder{of, in}
	}
	return nil
}

// unwrapped says whether a name of a field of rows whose value is in one field
// is that one field, rather than one within.
func (t *Type) unwrapped(name string) bool {
	return name == valueField && !(t.Kind == Record && t.fieldCalled(name) >= 0)
}

// valueField is the name of the field with a value that cannot be the row.
const valueField = "value"

// own is the type of a row's value alone: a record of its fields.
func (r *Rows) own() *Type {
	if r.plain == nil {
		r.plain = &Type{Kind: Record, Name: r.Type.Name}
		if r.value == valueFirst {
			fields := r.Type.Fields
			r.plain.Fields = fields[:len(fields)-r.beside()]
		}
	}
	return r.plain
}

// beside is how many fields of a row are none of the value's.
func (r *Rows) beside() int {
	n := 1 // the coordinates
	if r.before {
		n++
	}
	if r.keyed {
		n++
	}
	return n
}

func newFinder(t *Type, field []string) *finder {
	f := &finder{of: t}
	switch {
	case t.Kind == Union:
		found := false
		for _, branch := range t.Branches {
			next := newFinder(branch, field)
			if branch.Kind == Null {
				next = nil
			}
			f.each = append(f.each, next)
			found = found || next != nil
		}
		if !found {
			return nil
		}
	case len(field) == 0:
	case t.Kind == Record:
		if f.index = t.fieldCalled(field[0]); f.index >= 0 {
			f.next = newFinder(t.Fields[f.index].Type, field[1:])
		} else if f.index = slices.IndexFunc(t.Fields, func(f Field) bool { return f.others }); f.index >= 0 {
			f.next = newFinder(t.Fields[f.index].Type, field)
		}
		if f.next == nil {
			return nil
		}
	case t.Kind == Map:
		f.key = field[0]
		if f.next = newFinder(t.Element, field[1:]); f.next == nil {
			return nil
		}
	case t.json:
		f.json, f.inJSON = field, true
	default:
		return nil
	}
	return f
}

// fieldCalled returns the index of the field that was made of what is called
// so or, if there is none, of the one that is called so itself; -1 for none.
func (t *Type) fieldCalled(name string) int {
	index := slices.IndexFunc(t.Fields, func(f Field) bool { return f.called() == name && !f.others && !f.texts })
	if index < 0 {
		index = slices.IndexFunc(t.Fields, func(f Field) bool { return f.Name == name })
	}
	return index
}

// Append appends what the field of a value says, as [appendContent] has it, or
// its JSON if it has parts. It is not ok if it is missing or null. An error says
// that it would be longer than most bytes.
func (f *Finder) Append(dst, value []byte, most int) (_ []byte, ok bool, err error) {
	if f == nil || value == nil {
		return dst, false, nil
	}
	t, at, content := f.find(value)
	switch {
	case content != nil:
		return append(dst, content...), true, nil
	case t == nil || t.Kind == Null:
		return dst, false, nil
	}
	switch t.Kind {
	case Record, Array, Map:
		dst, _, err = t.AppendJSON(dst, at, most)
	default:
		if t.json {
			b, _ := text(at)
			if content, ok := f.in.Find(b, nil); ok {
				return append(dst, content...), true, nil
			}
			return dst, false, nil
		}
		dst, _, _, err = appendContent(dst, t, at)
	}
	return dst, err == nil, err
}

// find returns the field's type and where it is, or what it says in JSON. There
// is neither if it is missing.
func (f *Finder) find(data []byte) (t *Type, at, content []byte) {
	for s := f.of; s != nil; {
		t := s.of
		switch {
		case t.Kind == Union:
			branch, rest := long(data)
			s, data = s.each[branch], rest
			continue
		case s.inJSON:
			b, _ := text(data)
			if content, ok := f.in.Find(b, s.json); ok {
				return nil, nil, content
			}
			return nil, nil, nil
		case s.next == nil:
			return t, data, nil
		case t.Kind == Record:
			for i := range s.index {
				data = pass(t.Fields[i].Type, data)
			}
		default:
			var ok bool
			if data, ok = entry(t, data, s.key); !ok {
				return nil, nil, nil
			}
		}
		s = s.next
	}
	return nil, nil, nil
}

// entry returns where the last entry of a map with that key is.
func entry(t *Type, data []byte, key string) (at []byte, ok bool) {
	for {
		count, rest := block(data)
		if data = rest; count == 0 {
			return at, ok
		}
		for range count {
			var name []byte
			if name, data = text(data); string(name) == key {
				at, ok = data, true
			}
			data = pass(t.Element, data)
		}
	}
}

// AppendContent appends what a value of the rows says, as [appendContent] has
// it, or its JSON if it has parts. A text that is too long is a [*Refused].
func (r *Rows) AppendContent(dst, value []byte, most int) ([]byte, error) {
	t := r.valueType()
	for t.Kind == Union {
		var branch int64
		branch, value = long(value)
		t = t.Branches[branch]
	}
	var err error
	switch t.Kind {
	case Record, Array, Map:
		dst, _, err = t.AppendJSON(dst, value, most)
	default:
		dst, _, _, err = appendContent(dst, t, value)
	}
	if err != nil {
		return nil, refusef("it cannot be written as text: %v", err)
	}
	return dst, nil
}
