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

// Variable describes one variable of the contract.
type Variable struct {
	Name    string // as SPOUT_KAFKA_BROKERS
	Default string // value when unset
	Doc     string
	Secret  bool // comes from a Kubernetes secret only, never from a plain value
	Address bool // a password may have got into it by mistake
	Set     bool // a list whose order means nothing
	Line    bool // a secret on one line, whose file may end with another one
	PEM     bool // text in PEM, in which white space around it means nothing
	index   []int
}

var variables = collect(reflect.TypeFor[Settings](), nil)

// Variables lists the contract, in the order of the fields of [Settings].
func Variables() []Variable { return slices.Clone(variables) }

// IsSecret says whether name is a variable that may only be set by reference
// to a Kubernetes secret.
func IsSecret(name string) bool {
	return slices.ContainsFunc(variables, func(v Variable) bool { return v.Name == name && v.Secret })
}

func collect(t reflect.Type, index []int) []Variable {
	var out []Variable
	for i := range t.NumField() {
		field := t.Field(i)
		at := append(slices.Clone(index), i)
		if name := field.Tag.Get("env"); name != "" {
			out = append(out, Variable{Name: name, Default: field.Tag.Get("default"), Doc: field.Tag.Get("doc"),
				Secret: field.Tag.Get("secret") == "true", Address: field.Tag.Get("address") == "true",
				Set: field.Tag.Get("set") == "true", Line: field.Tag.Get("line") == "true", PEM: field.Tag.Get("pem") == "true", index: at})
		} else {
			out = append(out, collect(field.Type, at)...)
		}
	}
	return out
}

// Default returns the settings that an empty environment stands for.
func Default() Settings {
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
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, Prefix) {
			continue
		}
		if isServiceLink(name, value) {
			continue
		}
		at := slices.IndexFunc(variables, func(v Variable) bool { return v.Name == name })
		if at < 0 {
			problems.add(name, "", unknown(name))
			continue
		}
		v := variables[at]
		if value == "" {
			continue // as unset: a Kubernetes env entry cannot be left out conditionally
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

// serviceLink matches the variables that Kubernetes sets in every pod for each
// service of the namespace. A service whose name begins with spout, or that of
// a pipeline in a project called so, makes some with our prefix.
var serviceLink = regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)

func isServiceLink(name, value string) bool {
	if slices.ContainsFunc(variables, func(v Variable) bool { return v.Name == name }) {
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
		case v.PEM:
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
	for _, v := range variables {
		if v.Secret {
			continue
		}
		if value := formatField(s.field(v)); value != v.Default && value != formatField(def.field(v)) {
			out[v.Name] = value
		}
	}
	return out
}

var def = Default()

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
