// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"slices"
	"strings"
)

// Reference names a part of a record, as key, header:NAME or
// value:FIELD.FIELD; the last is a field of a value that is JSON.
type Reference struct {
	Kind   string   // key, header or value
	Header string   // the header's name, if Kind is header
	Field  []string // names of members from the outside in, if Kind is value
}

// ParseReference parses the text form of a reference.
func ParseReference(text string) (Reference, error) {
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
	switch r.Kind {
	case "header":
		return "header:" + r.Header
	case "value":
		return "value:" + strings.Join(r.Field, ".")
	}
	return r.Kind
}
