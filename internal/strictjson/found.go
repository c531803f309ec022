// SPDX-License-Identifier: Apache-2.0

package strictjson

// Fields is a tree of the names of members, from the outside in.
type Fields struct {
	below map[string]*Fields
	here  []int // what is sought here, by number
	all   []int // the same here and below
}

func newFields(paths [][]string) *Fields {
	if len(paths) == 0 {
		return nil
	}
	root := &Fields{}
	for i, path := range paths {
		f := root
		for _, name := range path {
			f.all = append(f.all, i)
			if f.below == nil {
				f.below = map[string]*Fields{}
			}
			if f.below[name] == nil {
				f.below[name] = &Fields{}
			}
			f = f.below[name]
		}
		f.here, f.all = append(f.here, i), append(f.all, i)
	}
	return root
}

// named is what is below the name of a member, nil for nothing.
func (f *Fields) named(text string) *Fields {
	if f == nil {
		return nil
	}
	return f.below[text]
}

// Span is where a part of a value is.
type Span struct {
	Begin, End int // End is 0 for nowhere
	Number     int // of what was sought
}

// maxSpans is how many spans of everywhere are kept of a value.
const maxSpans = 256

// found is what is sought, and where it is.
type found struct {
	single, everywhere *Fields // nil for nothing

	spans []Span // of single, by number
	all   []Span // of everywhere, in their order
	many  bool   // there are more
}

// Seek has each check find fields of the value: of single ones the one that
// counts, which is the last of its name in objects, and of everywhere all, in
// lists too, but none within another. It is called before the first check.
func (c *Checker) Seek(single, everywhere [][]string) {
	c.found = found{single: newFields(single), everywhere: newFields(everywhere), spans: make([]Span, len(single))}
}

// Single is where a field was that is sought, in the value that was checked last.
func (c *Checker) Single(number int) Span { return c.found.spans[number] }

// Everywhere is where the fields were that are sought everywhere, in the value
// that was checked last. It is not ok if there are more.
func (c *Checker) Everywhere() (spans []Span, ok bool) { return c.found.all, !c.found.many }

func (f *found) begin() {
	clear(f.spans)
	f.all, f.many = f.all[:0], false
}

func (f *found) nothing() bool { return f.single == nil && f.everywhere == nil }

// forget forgets what was found in another member of the name.
func (f *found) forget(n *name) {
	if n.single == nil {
		return
	}
	for _, number := range n.single.all {
		f.spans[number] = Span{}
	}
}

// note notes the value of a member.
func (f *found) note(n *name, begin, end int) {
	if n.single != nil {
		for _, number := range n.single.here {
			f.spans[number] = Span{begin, end, number}
		}
	}
	if n.everywhere == nil || len(n.everywhere.here) == 0 {
		return
	}
	if f.many = f.many || len(f.all) == maxSpans; !f.many {
		here := n.everywhere.here
		f.all = append(f.all, Span{begin, end, here[len(here)-1]})
	}
}
