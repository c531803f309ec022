// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Variable describes one setting: the variable that the runner reads, and the
// attribute of pachyderm_spout that sets it. It is made of the tags of a field.
//
// These are the tags of a field that is a setting:
//
//	env         the variable's name; in a struct with a prefix, its end
//	attribute   the attribute, within those of the structs around it
//	default     the value of a variable that is not set
//	doc         what it is, in Markdown; see below
//	values      all that it may be, as NAME: meaning|NAME: meaning
//	forms       what its text is made of or looks like, as NAME: meaning\nNAME: meaning
//	required    true: the attribute must be set where the one around it is
//	secret      it comes from a Kubernetes secret only: the default key in that.
//	            The attribute names the key, and those around it the secret
//	address     true: a password may have got into it by mistake
//	set         true: a list whose order means nothing
//	line        true: a secret on one line, whose file may end with another one
//	pem, time   true: text of which several forms mean the same
//	presence    true: whether the attribute around it is there
//
// And these are of a field that is a struct of settings:
//
//	attribute   the attribute that is an object of them
//	doc, title  what that is, and its heading
//	prefix      begins the variables' names
//	source      the source that they belong to, which is the attribute, too
//
// A text names settings by their variables, which become attributes where the
// provider speaks: see [WithAttributes]. In tags, ´ stands for a backtick, which
// cannot be there, and PREFIX for the prefix.
type Variable struct {
	Name      string // as SPOUT_KAFKA_BROKERS
	Attribute string // as kafka.brokers; of a secret, the object that refers to it, as kafka.tls.client_certificate_secret
	Key       string // of a secret, the attribute in that object which names the key
	Kind      Kind
	Source    string // the source that it belongs to, "" for all

	Default    string     // value when unset
	DefaultKey string     // of a secret, the key where none is named
	Doc        string     // in Markdown
	Values     []Value    // all that it may be
	Forms      []Value    // how it is written; they are explained, not checked
	Fields     []Variable // of Objects, what is in each; they have no variables of their own

	Required bool
	Secret   bool // comes from a Kubernetes secret only, never from a plain value
	Address  bool
	Set      bool
	Line     bool
	Filled   bool // a secret that guards something: with an empty one, nothing would

	index []int
}

// Value is one of the values that a setting may have, or a form of them.
type Value struct{ Name, Meaning string }

// Kind says how a setting is written.
type Kind int

// The kinds of settings.
const (
	Text Kind = iota
	List      // of texts without commas
	Int
	Bool
	Size     // a number of bytes
	Length   // of time
	Time     // in RFC 3339, or a keyword
	PEM      // in which white space around it means nothing
	Offsets  // by stream and partition
	Presence // of an object
	NamedObjects
)

// Group is an object of attributes, as kafka.tls.
type Group struct {
	Attribute string
	Title     string
	Doc       string
	Source    string
	Required  bool // it must be set where the one around it is
	Root      bool // it is an attribute of the resource itself
}

var variables, groups = contract()

// contract reads all tags.
func contract() ([]Variable, []Group) {
	c := &collector{}
	c.collect(reflect.TypeFor[Settings](), scope{})
	for i, v := range c.variables {
		if v.Secret && !slices.ContainsFunc(c.groups, func(g Group) bool { return g.Attribute == v.Attribute }) {
			c.groups = append(c.groups, Group{Attribute: v.Attribute, Doc: v.Doc, Source: v.Source})
		}
		if v.Name != "SPOUT_SOURCE" {
			continue
		}
		for _, g := range c.groups {
			if g.Source != "" && g.Root {
				c.variables[i].Values = append(c.variables[i].Values, Value{g.Source, g.Title})
			}
		}
	}
	return c.variables, c.groups
}

// Variables lists the contract, in the order of the fields of [Settings].
func Variables() []Variable { return slices.Clone(variables) }

// Groups lists the objects of attributes, each before those in it.
func Groups() []Group { return slices.Clone(groups) }

// VariableNamed finds a variable.
func VariableNamed(name string) (Variable, bool) {
	at, ok := byName[name]
	if !ok {
		return Variable{}, false
	}
	return variables[at], true
}

// byName are the places of variables in their list.
var byName = func() map[string]int {
	places := make(map[string]int, len(variables))
	for i, v := range variables {
		places[v.Name] = i
	}
	return places
}()

// IsSecret says whether name is a variable that may only be set by reference
// to a Kubernetes secret.
func IsSecret(name string) bool {
	v, _ := VariableNamed(name)
	return v.Secret
}

// scope is what the structs around a field say.
type scope struct {
	index                     []int
	prefix, attribute, source string
}

type collector struct {
	variables []Variable
	groups    []Group
}

func (c *collector) collect(t reflect.Type, in scope) {
	for i := range t.NumField() {
		field, at := t.Field(i), in
		at.index = append(slices.Clone(in.index), i)
		if _, ok := field.Tag.Lookup("env"); ok {
			c.variables = append(c.variables, newVariable(field, at))
			continue
		}
		if prefix, ok := field.Tag.Lookup("prefix"); ok {
			at.prefix = prefix
		}
		if source, ok := field.Tag.Lookup("source"); ok {
			at.source = source
		}
		if attribute := field.Tag.Get("attribute") + field.Tag.Get("source"); attribute != "" {
			at.attribute = within(in.attribute, attribute)
			c.groups = append(c.groups, Group{Attribute: at.attribute, Title: field.Tag.Get("title"), Doc: doc(field, at),
				Source: at.source, Required: field.Tag.Get("required") == "true", Root: in.attribute == ""})
		}
		c.collect(field.Type, at)
	}
}

func newVariable(field reflect.StructField, in scope) Variable {
	is := func(tag string) bool { return field.Tag.Get(tag) == "true" }
	v := Variable{Name: in.prefix + field.Tag.Get("env"), Attribute: within(in.attribute, field.Tag.Get("attribute")), Kind: kindOf(field), Source: in.source,
		Default: field.Tag.Get("default"), Doc: doc(field, in), Required: is("required"), Address: is("address"), Set: is("set"), Line: is("line"), Filled: is("filled"), index: in.index}
	if strings.HasPrefix(field.Tag.Get("env"), Prefix) {
		v.Name = field.Tag.Get("env")
	}
	if v.DefaultKey, v.Secret = field.Tag.Lookup("secret"); v.Secret {
		dot := strings.LastIndexByte(v.Attribute, '.')
		v.Attribute, v.Key = v.Attribute[:dot], v.Attribute[dot+1:]
	}
	if all, ok := reflect.Zero(field.Type).Interface().(objects); ok {
		v.Kind, v.Fields = NamedObjects, fieldsOf(all.element())
	}
	if values := field.Tag.Get("values"); values != "" {
		for value := range strings.SplitSeq(backticked(values), "|") {
			name, meaning, _ := strings.Cut(value, ": ")
			v.Values = append(v.Values, Value{name, named(meaning)})
		}
	}
	if forms := field.Tag.Get("forms"); forms != "" {
		for form := range strings.SplitSeq(backticked(forms), "\n") {
			name, meaning, _ := strings.Cut(form, ": ")
			v.Forms = append(v.Forms, Value{name, named(meaning)})
		}
	}
	return v
}

// within is the path of an attribute in an object.
func within(object, attribute string) string {
	if object == "" || attribute == "" {
		return object + attribute
	}
	return object + "." + attribute
}

func kindOf(field reflect.StructField) Kind {
	for tag, kind := range map[string]Kind{"pem": PEM, "time": Time, "presence": Presence} {
		if field.Tag.Get(tag) == "true" {
			return kind
		}
	}
	switch field.Type {
	case reflect.TypeFor[bool]():
		return Bool
	case reflect.TypeFor[int]():
		return Int
	case reflect.TypeFor[[]string]():
		return List
	case reflect.TypeFor[Bytes]():
		return Size
	case reflect.TypeFor[Duration]():
		return Length
	case reflect.TypeFor[StartOffsets]():
		return Offsets
	}
	return Text
}

var variableName = regexp.MustCompile(`\bSPOUT_[A-Z0-9_]*[A-Z0-9]\b`)

// doc is a field's documentation, with names of variables in backticks.
func doc(field reflect.StructField, in scope) string {
	return named(strings.ReplaceAll(backticked(field.Tag.Get("doc")), "PREFIX", in.prefix))
}

func named(text string) string     { return variableName.ReplaceAllString(text, "`$0`") }
func backticked(tag string) string { return strings.ReplaceAll(tag, "´", "`") }

// Documentation is what there is to say of the variable, in Markdown: a
// paragraph, and a list of what it may be.
func (v Variable) Documentation() string {
	text := v.Doc
	switch v.Kind {
	case List:
		text += " A list, separated by commas."
	case Offsets:
		text += " Written as `orders:0=1200,orders:1=1180`."
	case NamedObjects:
		text += " A JSON object of JSON objects, which can have:"
		for _, field := range v.Fields {
			text += "\n* `" + field.Attribute + "`: " + field.inLine()
		}
	}
	for _, value := range v.Explained() {
		text += fmt.Sprintf("\n* `%s`: %s.", value.Name, value.Meaning)
	}
	return text
}

// Explained are the forms and values, which the documentation lists.
func (v Variable) Explained() []Value { return slices.Concat(v.Forms, v.Values) }

// inLine is what there is to say of a field of an object, on one line.
func (v Variable) inLine() string {
	text := v.Doc
	for i, value := range v.Explained() {
		text += map[bool]string{true: " ", false: "; "}[i == 0] + "`" + value.Name + "`: " + value.Meaning
	}
	if len(v.Explained()) > 0 {
		text += "."
	}
	if v.Default != "" {
		text += " Default: `" + v.Default + "`."
	}
	return text
}

// WithAttributes writes the attributes that set them in place of the variables
// that a text names.
func WithAttributes(text string) string {
	return variableName.ReplaceAllStringFunc(text, func(name string) string {
		if v, ok := VariableNamed(name); ok && v.Attribute != "" {
			return v.Attribute
		}
		return name
	})
}
