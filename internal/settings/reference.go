// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"slices"
	"strings"
)

// Reference names a part of a record, as key, header:NAME or
// value:FIELD.FIELD; the last is a field of a value that is JSON or decoded. Of
// a time it may be a part, as value:created_at|day.
type Reference struct {
	Kind   string   // key, header or value
	Header string   // the header's name, if Kind is header
	Field  []string // names of members from the outside in, if Kind is value
	Unit   string   // year, month, day, hour or minute, down to which a time is shown; "" for all of it
}

// unitLengths are how much of a time as 2006-01-02-15-04 goes down to a unit.
var unitLengths = map[string]int{"year": len("2006"), "month": len("2006-01"), "day": len("2006-01-02"), "hour": len("2006-01-02-15"), "minute": len("2006-01-02-15-04")}

// UnitLength is how long a time is that is shown down to a unit.
func UnitLength(unit string) int { return unitLengths[unit] }

// ParseReference parses the text form of a reference.
func ParseReference(text string) (Reference, error) {
	if at := strings.LastIndexByte(text, '|'); at > 0 && unitLengths[text[at+1:]] > 0 {
		r, err := ParseReference(text[:at])
		r.Unit = text[at+1:]
		return r, err
	}
	kind, name, named := strings.Cut(text, ":")
	switch {
	case kind == "key" && !named:
		return Reference{Kind: kind}, nil
	case kind == "header" && name != "":
		return Reference{Kind: kind, Header: name}, nil
	case kind == "value" && name != "":
		field, err := ParseField(name)
		return Reference{Kind: kind, Field: field}, err
	}
	return Reference{}, fmt.Errorf("has %q, which is none of key, header:NAME and value:FIELD", text)
}

// ParseField splits the name of a field of a JSON value, as customer.email.
func ParseField(text string) ([]string, error) {
	field := strings.Split(text, ".")
	if slices.Contains(field, "") {
		return nil, fmt.Errorf("has the field %q, which is not like id or customer.email", text)
	}
	return field, nil
}

func (r Reference) String() string {
	text := r.Kind
	switch r.Kind {
	case "header":
		text += ":" + r.Header
	case "value":
		text += ":" + strings.Join(r.Field, ".")
	}
	if r.Unit != "" {
		text += "|" + r.Unit
	}
	return text
}
