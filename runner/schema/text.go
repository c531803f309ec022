// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// maxText bounds the schema that is in each file.
const maxText = 1 << 20

// textOf is a type as an Avro schema in JSON. Each name is explained where it
// comes first, with its namespace, so that no reader has to guess.
func textOf(t *Type) (string, error) {
	for {
		w := &textWriter{known: map[string]*Type{}}
		if err := w.write(t, ""); err != nil {
			return "", err
		}
		if len(w.homeless) == 0 {
			return string(w.text), nil
		}
		for _, of := range w.homeless {
			if !strings.Contains(of.Name, ".") {
				of.Name = namespace + "." + of.Name
			}
		}
	}
}

type textWriter struct {
	text  []byte
	known map[string]*Type
	depth int
	// homeless are types without a namespace that are referred to within one.
	// Not all readers look for them outside of it: they get a namespace.
	homeless []*Type
}

// write appends a type within a namespace.
func (w *textWriter) write(t *Type, around string) error {
	if len(w.text) > maxText {
		return fmt.Errorf("as an Avro schema it would be longer than %d bytes", maxText)
	}
	if w.depth++; w.depth > settings.MaxDepth {
		return errDeep
	}
	defer func() { w.depth-- }()
	if t.Kind.isNamed() {
		if known, ok := w.known[t.Name]; ok {
			if known != t {
				return fmt.Errorf("it has two types called %s", t.Name)
			}
			if around != "" && !strings.Contains(t.Name, ".") {
				w.homeless = append(w.homeless, t)
			}
			w.string(t.Name)
			return nil
		}
		w.known[t.Name] = t
	}
	switch t.Kind {
	case Union:
		return w.union(t, around)
	case Array, Map:
		w.add(`{"type":"` + kindNames[t.Kind] + `","` + map[Kind]string{Array: "items", Map: "values"}[t.Kind] + `":`)
		if err := w.write(t.Element, around); err != nil {
			return err
		}
		w.end(t)
		return nil
	case Record, Enum, Fixed:
		return w.named(t, around)
	}
	if t.Logical == "" && len(t.also) == 0 {
		w.string(kindNames[t.Kind])
		return nil
	}
	w.add(`{"type":"` + kindNames[t.Kind] + `"`)
	w.end(t)
	return nil
}

func (w *textWriter) union(t *Type, around string) error {
	w.add("[")
	for i, b := range t.Branches {
		if i > 0 {
			w.add(",")
		}
		if b.Kind == Union {
			return errors.New("it has a union directly in a union")
		}
		if err := w.write(b, around); err != nil {
			return err
		}
	}
	w.add("]")
	return nil
}

// splitName takes a name with its namespace apart.
func splitName(full string) (namespace, name string) {
	dot := strings.LastIndexByte(full, '.')
	return full[:max(dot, 0)], full[dot+1:]
}

func (w *textWriter) named(t *Type, around string) error {
	namespace, name := splitName(t.Name)
	w.add(`{"type":"` + kindNames[t.Kind] + `","name":`)
	w.string(name)
	if namespace != around {
		w.add(`,"namespace":`)
		w.string(namespace)
	}
	switch t.Kind {
	case Fixed:
		w.add(`,"size":` + strconv.Itoa(t.Size))
	case Enum:
		w.add(`,"symbols":[`)
		for i, symbol := range t.Symbols {
			if i > 0 {
				w.add(",")
			}
			w.string(string(symbol))
		}
		w.add("]")
	default:
		w.add(`,"fields":[`)
		for i, f := range t.Fields {
			if i > 0 {
				w.add(",")
			}
			w.add(`{"name":`)
			w.string(f.Name)
			w.add(`,"type":`)
			if err := w.write(f.Type, namespace); err != nil {
				return err
			}
			w.also(f.also)
			w.add("}")
		}
		w.add("]")
	}
	w.end(t)
	return nil
}

// end appends what else is known of a type.
func (w *textWriter) end(t *Type) {
	if t.Logical != "" {
		w.add(`,"logicalType":`)
		w.string(t.Logical)
	}
	if t.Logical == "decimal" {
		w.add(`,"precision":` + strconv.Itoa(t.Precision) + `,"scale":` + strconv.Itoa(t.Scale))
	}
	w.also(t.also)
	w.add("}")
}

func (w *textWriter) also(list []attribute) {
	for _, a := range list {
		w.add("," + a.name + ":")
		w.text = append(w.text, a.value...)
	}
}

func (w *textWriter) add(text string) { w.text = append(w.text, text...) }

func (w *textWriter) string(s string) {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings are never refused
	}
	w.text = append(w.text, quoted...)
}
