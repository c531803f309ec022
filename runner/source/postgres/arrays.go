// SPDX-License-Identifier: Apache-2.0

package postgres

// arrayReader takes an array's text apart, as {1,NULL,"a \"b\""}. One that
// begins at another index than 1, as [0:1]={1,2}, is not read.
type arrayReader struct {
	rest    []byte
	element []byte // of the last step that was one; its memory is used again
	scratch []byte
}

// step is what comes next in an array's text.
type step uint8

const (
	stepOpen    step = iota // {
	stepClose               // }
	stepElement             // a value
	stepNull                // NULL
	stepEnd                 // of the text
	stepDamaged
)

// next takes the next step.
func (r *arrayReader) next() step {
	for len(r.rest) > 0 && r.rest[0] == ',' {
		r.rest = r.rest[1:]
	}
	if len(r.rest) == 0 {
		return stepEnd
	}
	switch c := r.rest[0]; c {
	case '{':
		r.rest = r.rest[1:]
		return stepOpen
	case '}':
		r.rest = r.rest[1:]
		return stepClose
	case '"':
		return r.quotedElement()
	}
	end := 0
	for end < len(r.rest) && r.rest[end] != ',' && r.rest[end] != '}' {
		if r.rest[end] == '\\' || r.rest[end] == '"' || r.rest[end] == '{' {
			return stepDamaged
		}
		end++
	}
	r.element, r.rest = r.rest[:end], r.rest[end:]
	if string(r.element) == "NULL" {
		return stepNull
	}
	return stepElement
}

func (r *arrayReader) quotedElement() step {
	r.scratch = r.scratch[:0]
	for i := 1; i < len(r.rest); i++ {
		switch r.rest[i] {
		case '"':
			r.element, r.rest = r.scratch, r.rest[i+1:]
			return stepElement
		case '\\':
			if i++; i == len(r.rest) {
				return stepDamaged
			}
		}
		r.scratch = append(r.scratch, r.rest[i])
	}
	return stepDamaged
}
