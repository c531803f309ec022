// SPDX-License-Identifier: Apache-2.0

package promised

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Things are what is promised, by name. The name of what is within another
// thing begins with the other's, and a dot or a space.
type Things map[string]Thing

// Thing is an object, an attribute or a variable.
type Thing struct {
	Type      string   `json:"type,omitempty"`
	Version   int64    `json:"version,omitempty"` // of a resource's state
	Required  bool     `json:"required,omitempty"`
	Optional  bool     `json:"optional,omitempty"`
	Computed  bool     `json:"computed,omitempty"`
	Sensitive bool     `json:"sensitive,omitempty"`
	WriteOnly bool     `json:"write_only,omitempty"`
	Secret    bool     `json:"secret,omitempty"`
	Default   string   `json:"default,omitempty"`
	Values    []string `json:"values,omitempty"` // all that it may be
}

// Breaks says what of before is no longer so.
func Breaks(before, now Things) (broken []string) {
	add := func(name, format string, args ...any) {
		broken = append(broken, name+" "+fmt.Sprintf(format, args...))
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		was := before[name]
		is, ok := now[name]
		switch {
		case !ok:
			add(name, "is gone")
			continue
		case is.Type != was.Type:
			add(name, "is of type %s, and was of type %s", is.Type, was.Type)
		case is.Version < was.Version:
			add(name, "has version %d of its state, and had %d", is.Version, was.Version)
		}
		if is.Required && !was.Required {
			add(name, "must be set now")
		}
		if (was.Required || was.Optional) && !is.Required && !is.Optional {
			add(name, "can no longer be set")
		}
		if was.Computed && !is.Computed {
			add(name, "no longer has a value where it is not set")
		}
		if is.Sensitive && !was.Sensitive {
			add(name, "is sensitive now, so that outputs with it fail")
		}
		if is.WriteOnly != was.WriteOnly {
			add(name, "was and is no longer, or was not and is, write-only")
		}
		if is.Secret != was.Secret {
			add(name, "was and is no longer, or was not and is, a secret")
		}
		if is.Default != was.Default {
			add(name, "is %q by default, and was %q", is.Default, was.Default)
		}
		for _, value := range was.Values {
			if !slices.Contains(is.Values, value) {
				add(name, "can no longer be %q", value)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if _, known := before[name]; known || !now[name].Required {
			continue
		}
		if _, known := before[within(name)]; known {
			add(name, "is new, and must be set")
		}
	}
	return broken
}

// within is the name of the thing around one.
func within(name string) string {
	return name[:max(strings.LastIndexAny(name, ". "), 0)]
}

// New are the names of what was not there before, or is more than it was.
func New(before, now Things) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(now)) {
		was, known := before[name]
		if is := now[name]; !known || !slices.Equal(was.Values, is.Values) || fmt.Sprint(was) != fmt.Sprint(is) {
			names = append(names, name)
		}
	}
	return names
}

// Write is the form of files, with a line for each thing.
func (t Things) Write() []byte {
	var out bytes.Buffer
	out.WriteString("{\n")
	names := slices.Sorted(maps.Keys(t))
	for i, name := range names {
		end := ",\n"
		if i == len(names)-1 {
			end = "\n"
		}
		var line bytes.Buffer
		encoder := json.NewEncoder(&line)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(t[name]); err != nil {
			panic(err) // texts, numbers and booleans always render
		}
		fmt.Fprintf(&out, "%q: %s%s", name, bytes.TrimSpace(line.Bytes()), end)
	}
	out.WriteString("}\n")
	return out.Bytes()
}
