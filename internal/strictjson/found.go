// SPDX-License-Identifier: Apache-2.0

package strictjson

// Fields is a tree of the names of members that are to be found.
type Fields struct {
	below map[string]*Fields
	index int   // of what is here, from 1; 0 for nothing
	all   []int // of references that are here
}

func (f *Fields) named(text string) *Fields {
	if f == nil {
		return nil
	}
	return f.below[text]
}

type wanted struct{ references, masks *Fields }

// Span is a part of a value.
type Span struct{ Begin, End, Field int }

// found is what is looked for, and where it is.
type found struct {
	fields *wanted
}

func (f *found) begin()                    {}
func (f *found) forget(n *name)            {}
func (f *found) note(n *name, at, end int) {}
