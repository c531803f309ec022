// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Objects are structs of settings by name, in one variable: a JSON object of
// JSON objects, as {"github":{"auth":"github"}}. The fields of T have the tags
// of a [Variable], apart from env, and none of them is a secret. As an
// attribute, it is a map of objects.
type Objects[T any] map[string]T

// objects is what all kinds of [Objects] are.
type objects interface{ element() reflect.Type }

func (Objects[T]) element() reflect.Type { return reflect.TypeFor[T]() }

// fieldsOf are the settings in the objects of a type.
func fieldsOf(element reflect.Type) (fields []Variable) {
	for i := range element.NumField() {
		field := element.Field(i)
		v := newVariable(field, scope{index: []int{i}})
		v.Name = ""
		fields = append(fields, v)
	}
	return fields
}

// UnmarshalText parses JSON. What is left out has its default, and what is not
// known is an error that names the nearest known field.
func (o *Objects[T]) UnmarshalText(text []byte) error {
	var read map[string]map[string]json.RawMessage
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&read); err != nil {
		return errors.New(`must be a JSON object of JSON objects, such as {"name":{"field":"value"}}`)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("must be one JSON object, and nothing after it")
	}
	fields, parsed := fieldsOf(reflect.TypeFor[T]()), Objects[T]{}
	for name, members := range read {
		var element T
		value := reflect.ValueOf(&element).Elem()
		for _, field := range fields {
			raw, given := members[field.Attribute]
			delete(members, field.Attribute)
			f := value.FieldByIndex(field.index)
			if err := setField(f, field.Default); field.Default != "" && err != nil {
				panic(fmt.Sprintf("settings: default of %s: %v", field.Attribute, err)) // a mistake in a struct tag
			}
			if !given || string(raw) == "null" || string(raw) == `""` {
				continue
			}
			if err := setJSON(f, raw); err != nil {
				return fmt.Errorf("has %s of %q, which %w", field.Attribute, name, err)
			}
		}
		for unknown := range members {
			return fmt.Errorf("has %q of %q, which is no such setting; %s", unknown, name, meant(unknown, fields))
		}
		parsed[name] = element
	}
	*o = parsed
	return nil
}

func meant(unknown string, fields []Variable) string {
	names := make([]string, len(fields))
	for i, field := range fields {
		names[i] = field.Attribute
	}
	if near, ok := Nearest(unknown, names); ok {
		return "did you mean " + near + "?"
	}
	return "there are " + strings.Join(names, ", ")
}

// setJSON sets a field to a value in JSON.
func setJSON(f reflect.Value, raw json.RawMessage) error {
	if f.Kind() == reflect.Slice || f.Kind() == reflect.Bool || f.Kind() == reflect.Int {
		if json.Unmarshal(raw, f.Addr().Interface()) != nil {
			return map[reflect.Kind]error{reflect.Slice: errors.New("must be a list of texts"), reflect.Bool: errors.New("must be true or false"),
				reflect.Int: errors.New("must be a whole number")}[f.Kind()]
		}
		return nil
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return errors.New("must be a text, in double quotes")
	}
	return setField(f, text)
}

// MarshalText renders the fields that differ from their defaults, by name.
func (o Objects[T]) MarshalText() ([]byte, error) {
	if len(o) == 0 {
		return nil, nil
	}
	fields, all := fieldsOf(reflect.TypeFor[T]()), map[string]map[string]any{}
	for name, element := range o {
		value, members := reflect.ValueOf(&element).Elem(), map[string]any{}
		for _, field := range fields {
			f := value.FieldByIndex(field.index)
			text := formatField(f)
			if text == field.Default || f.IsZero() && field.Default == "" {
				continue
			}
			switch f.Kind() {
			case reflect.Slice, reflect.Bool, reflect.Int:
				members[field.Attribute] = f.Interface()
			default:
				members[field.Attribute] = text
			}
		}
		all[name] = members
	}
	return json.Marshal(all)
}
