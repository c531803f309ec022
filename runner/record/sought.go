// SPDX-License-Identifier: Apache-2.0

package record

import (
	"slices"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/strictjson"
)

// sought are the parts of a value that rules ask for. The check that the value
// is JSON finds them all, so that there is one pass over it.
type sought struct {
	references []*settings.Reference // in the checker's order
	stays      []bool                // it says the same in the value that Apply makes
	masks      []masks               // in the checker's order

	value  []byte // that was checked last, nil for none
	shaped []byte // what Apply has made of it
}

// seek tells the checker what the rules ask for.
func (r *Rules) seek(s settings.Settings) {
	found := &r.sought
	var single, everywhere [][]string
	add := func(of *settings.Reference) {
		if of.Kind != "value" {
			return
		}
		found.references, single = append(found.references, of), append(single, of.Field)
		found.stays = append(found.stays, r.fields == nil && !slices.ContainsFunc(s.Record.Masks(), func(m settings.Masked) bool { return isWithin(m.Field, of.Field) || isWithin(of.Field, m.Field) }))
	}
	for i := range r.filter {
		add(&r.filter[i].Of)
	}
	for i := range r.route {
		add(&r.route[i])
	}
	if r.fields == nil {
		for _, m := range s.Record.Masks() {
			found.masks, everywhere = append(found.masks, r.masks.add(m.Field).masks), append(everywhere, m.Field)
		}
	}
	r.json.Seek(single, everywhere)
}

// isWithin says whether a field is another, or in it.
func isWithin(field, of []string) bool {
	return len(field) >= len(of) && slices.Equal(field[:len(of)], of)
}

// find is [find] of a reference in a value that Apply was given, or has made.
func (r *Rules) find(of *settings.Reference, value []byte) []byte {
	s := &r.sought
	number := slices.Index(s.references, of)
	if number < 0 || !isSame(value, s.value) && !(s.stays[number] && isSame(value, s.shaped)) {
		return find(value, of.Field)
	}
	at := r.json.Single(number)
	if at.End == 0 || s.value[at.Begin] == 'n' {
		return nil
	}
	return s.value[at.Begin:at.End]
}

// isSame says whether two values are the same memory.
func isSame(a, b []byte) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}

// shapeFound is [shaper.shape] of the value that was checked.
func (r *Rules) shapeFound(value []byte) (shaped []byte, err error) {
	spans, all := r.json.Everywhere()
	if r.fields != nil || !all || len(value) > keptBuffer {
		shaped, err = r.value.shape(r, value)
	} else if shaped = r.maskFound(value, spans); shaped == nil {
		shaped, err = r.value.shape(r, value) // which says why
	}
	r.sought.shaped = shaped
	return shaped, err
}

// maskFound masks spans of a value; it returns nil if that becomes too long.
func (r *Rules) maskFound(value []byte, spans []strictjson.Span) []byte {
	if len(spans) == 0 {
		return value
	}
	if cap(r.value.masked) > keptBuffer {
		r.value.masked = nil
	}
	masked, copied := r.value.masked[:0], 0
	for _, at := range spans {
		if len(masked) > r.largest {
			return nil
		}
		masked = r.sought.masks[at.Number].append(append(masked, value[copied:at.Begin]...), value[at.Begin:at.End])
		copied = at.End
	}
	masked = append(masked, value[copied:]...)
	if r.value.masked = masked; len(masked) > r.largest {
		return nil
	}
	return masked
}
