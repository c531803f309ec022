// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Prefix begins the name of every variable of the contract.
const Prefix = "SPOUT_"

// Default returns the settings that an empty environment stands for.
func Default() Settings { return def }

var def = defaults()

func defaults() Settings {
	var s Settings
	for _, v := range variables {
		if err := setField(s.field(v), v.Default); err != nil {
			panic(fmt.Sprintf("settings: default of %s: %v", v.Name, err)) // a mistake in a struct tag
		}
	}
	return s
}

// Parse reads the settings from environ, a list of NAME=VALUE as [os.Environ]
// returns. Names that do not begin with SPOUT_ are passed over; an unknown one
// that does is an error which names the nearest known variable. The result is
// validated. All problems are reported together, as [Problems].
func Parse(environ []string) (Settings, error) {
	s := Default()
	var problems Problems
	source := chosenIn(environ)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, Prefix) {
			continue
		}
		if isServiceLink(name, value) {
			continue
		}
		v, ok := VariableNamed(name)
		if !ok {
			problems.add(name, "", unknown(name))
			continue
		}
		if v.Filled && strings.TrimSpace(value) == "" {
			problems.add(name, "", "is empty, so that nothing would be guarded by it; write it into the Kubernetes secret, or take the reference to that out")
			continue
		}
		if value == "" {
			continue // as unset: a Kubernetes env entry cannot be left out conditionally
		}
		if fix := otherSource(v, source); fix != "" {
			problems.add(name, shown(v, value), fix, "SPOUT_SOURCE")
			continue
		}
		if v.Line {
			value = strings.TrimRight(value, "\r\n")
		}
		if err := setField(s.field(v), value); err != nil {
			problems.add(name, shown(v, value), err.Error())
		}
	}
	problems = append(problems, s.validate()...)
	return s, problems.orNil()
}

// chosenIn is the source that an environment chooses, "" if there is none such.
func chosenIn(environ []string) string {
	source := def.Source
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, "SPOUT_SOURCE="); ok && value != "" {
			source = value
		}
	}
	if sourceAt(source) < 0 {
		return ""
	}
	return source
}

// otherSource says what is wrong with a variable that belongs to another source
// than the chosen one.
func otherSource(v Variable, chosen string) string {
	if v.Source == "" || v.Source == chosen || chosen == "" {
		return ""
	}
	return fmt.Sprintf("is a setting of the source %s, and SPOUT_SOURCE is %s; take it out, or set SPOUT_SOURCE=%s", v.Source, chosen, v.Source)
}

// serviceLink matches the variables that Kubernetes sets in every pod for each
// service of the namespace. A service whose name begins with spout, or that of
// a pipeline in a project called so, makes some with our prefix.
var serviceLink = regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)

func isServiceLink(name, value string) bool {
	if _, ok := VariableNamed(name); ok {
		// As SPOUT_HTTP_PORT, which a service called spout-http makes too.
		return strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
	}
	return serviceLink.MatchString(name) || strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
}

// Canonical is environ, by name, with each value of the contract written in the
// one way that stands for all that mean the same: lists whose order means
// nothing are sorted, and PEM has no white space around it.
func Canonical(environ map[string]string) map[string]string {
	out := maps.Clone(environ)
	for _, v := range variables {
		value, ok := environ[v.Name]
		switch {
		case !ok:
		case v.Set:
			list := strings.Split(value, ",")
			slices.Sort(list)
			out[v.Name] = strings.Join(list, ",")
		case v.Kind == PEM:
			out[v.Name] = CanonicalPEM(value)
		}
	}
	return out
}

// CanonicalPEM is text in PEM with the ends of lines that Unix has, and
// without white space around it.
func CanonicalPEM(text string) string {
	return strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
}

// ParseEnvironment is [Parse] of this process's environment.
func ParseEnvironment() (Settings, error) { return Parse(os.Environ()) }

// Environment renders the settings that differ from their defaults, for
// transform.env. Secret settings are left out.
func (s Settings) Environment() map[string]string {
	out := map[string]string{}
	if s.File.Path.text == s.Layout().DefaultPath() {
		s.File.Path = PathTemplate{} // as if it were not written out
	}
	for _, v := range variables {
		if v.Secret {
			continue
		}
		field, usual := s.field(v), def.field(v)
		if field.Comparable() && field.Equal(usual) || isEmptyList(field) && isEmptyList(usual) {
			continue // most are, and would be written for nothing
		}
		if value := formatField(field); value != v.Default && value != formatField(usual) {
			out[v.Name] = value
		}
	}
	return out
}

func isEmptyList(f reflect.Value) bool { return f.Kind() == reflect.Slice && f.Len() == 0 }

func (s *Settings) field(v Variable) reflect.Value {
	return reflect.ValueOf(s).Elem().FieldByIndex(v.index)
}

// unknown says what may have been meant by a name.
func unknown(name string) string {
	names := make([]string, 0, len(variables))
	for _, v := range variables {
		names = append(names, strings.TrimPrefix(v.Name, Prefix))
	}
	text := "is not a setting of this runner; "
	if near, ok := Nearest(strings.TrimPrefix(name, Prefix), names); ok {
		return text + "did you mean " + Prefix + near + "?"
	}
	return text + "names that begin with " + Prefix + " are its own, so call it otherwise"
}

// shown returns a value as it may appear in a message.
func shown(v Variable, value string) string {
	if v.Secret {
		return "(secret)"
	}
	return value
}

type textValue interface {
	UnmarshalText([]byte) error
	MarshalText() ([]byte, error)
}

func setField(f reflect.Value, value string) error {
	if text, ok := f.Addr().Interface().(textValue); ok {
		if value == "" {
			f.SetZero()
			return nil
		}
		return text.UnmarshalText([]byte(value))
	}
	switch f.Kind() {
	case reflect.String:
		f.SetString(value)
	case reflect.Bool:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("must be true or false")
		}
		f.SetBool(b)
	case reflect.Int:
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("must be a whole number")
		}
		f.SetInt(int64(n))
	case reflect.Slice:
		var list []string
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
		f.Set(reflect.ValueOf(list))
	default:
		panic("settings: field of unsupported type " + f.Type().String())
	}
	return nil
}

func formatField(f reflect.Value) string {
	if text, ok := f.Addr().Interface().(textValue); ok {
		b, err := text.MarshalText()
		if err != nil {
			panic(fmt.Sprintf("settings: %v", err)) // our own types do not fail
		}
		return string(b)
	}
	if list, ok := f.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(f.Interface())
}
