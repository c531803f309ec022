// SPDX-License-Identifier: Apache-2.0

package schema

import "strconv"

// linker puts the types of definitions where they are referred to. Definitions
// that lead back to themselves are in one circle; a reference within a circle
// is JSON text, so that no type contains itself, whichever is looked at first.
// It is Tarjan's search, which comes to a circle after all that it leads to.
type linker struct {
	visited, cycles int
	stack           []*definition
}

func (l *linker) visit(d *definition) {
	l.visited++
	d.number, d.low, d.onStack = l.visited, l.visited, true
	l.stack = append(l.stack, d)
	for _, to := range d.references {
		if to.number == 0 {
			l.visit(to)
			d.low = min(d.low, to.low)
		} else if to.onStack {
			d.low = min(d.low, to.number)
		}
	}
	if d.low != d.number {
		return
	}
	l.cycles++
	from := len(l.stack) - 1
	for l.stack[from] != d {
		from--
	}
	circle := l.stack[from:]
	for _, member := range circle {
		member.onStack, member.cycle = false, l.cycles
	}
	for _, member := range circle {
		l.link(&member.use, l.cycles)
	}
	l.stack = l.stack[:from]
}

// link gives a place its type, and those below it theirs.
func (l *linker) link(u *jsonUse, cycle int) {
	if d := u.definition; d != nil {
		u.definition = nil
		if d.cycle == cycle {
			u.of = anything.of
		} else {
			u.of, u.nullable = d.use.of, u.nullable || d.use.nullable
		}
	}
	t := u.of
	if t.linked {
		return
	}
	t.linked = true
	switch t.kind {
	case Array, Map:
		l.link(&t.element, cycle)
		t.element.bound(0)
		t.depth, t.leaves = t.element.of.depth+1, t.element.of.leaves
		if t.kind == Map {
			t.leaves++
		}
	case Record:
		for i := range t.fields {
			f := &t.fields[i]
			l.link(&f.jsonUse, cycle)
			f.bound(t.leaves)
			t.depth, t.leaves = max(t.depth, f.of.depth+1), t.leaves+f.of.leaves
		}
		if t.others != "" {
			t.leaves++
		}
	default:
		t.leaves = 1
	}
}

// bound makes JSON text of what is too deep, or too wide beside the columns
// that are there already.
func (u *jsonUse) bound(beside int) {
	if u.of.depth >= maxJSONDepth || u.of.leaves > 1 && beside+u.of.leaves > maxJSONColumns {
		u.of = anything.of
	}
}

// shape is the type in Avro. Records are numbered by count.
func (u *jsonUse) shape(count *int) *Type {
	t := u.of
	if t.avro == nil {
		t.avro = &Type{Kind: t.kind, Logical: t.logical}
		switch t.kind {
		case Array, Map:
			t.avro.Element = t.element.shape(count)
		case Record:
			*count++
			t.avro.Name = namespace + ".Object" + strconv.Itoa(*count)
			for i := range t.fields {
				t.avro.Fields = append(t.avro.Fields, Field{Name: t.fields[i].column, Type: t.fields[i].shape(count), member: t.fields[i].name})
			}
			if t.others != "" {
				t.avro.Fields = append(t.avro.Fields, Field{Name: t.others, Type: nullable(&Type{Kind: String, json: true}), others: true})
			}
		}
	}
	if u.nullable {
		return nullable(t.avro)
	}
	return t.avro
}
