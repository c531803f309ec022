// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"context"
	"fmt"
	"reflect"

	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/defaults"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// fields are the attributes of an object as Terraform encodes it, each still
// encoded: in MessagePack, where null is nil, and what is not known yet an
// extension.
type fields map[string]msgpack.RawMessage

// fieldsOf takes an encoded object apart. It is not ok for null, for what is
// not known yet, and for what is no object.
func fieldsOf(object []byte) (f fields, ok bool) {
	if !isMap(object) {
		return nil, false
	}
	decoder := msgpack.NewDecoder(bytes.NewReader(object))
	n, err := decoder.DecodeMapLen()
	if err != nil {
		return nil, false
	}
	f = make(fields, n)
	for range n {
		name, err := decoder.DecodeString()
		if err != nil {
			return nil, false
		}
		if f[name], err = decoder.DecodeRaw(); err != nil {
			return nil, false
		}
	}
	return f, true
}

func isMap(encoded []byte) bool {
	return len(encoded) > 0 && (msgpcode.IsFixedMap(encoded[0]) || encoded[0] == msgpcode.Map16 || encoded[0] == msgpcode.Map32)
}

func (f fields) isNull(name string) bool {
	return len(f[name]) == 1 && f[name][0] == msgpcode.Nil
}

// isObject says whether an attribute is an object that is there.
func (f fields) isObject(name string) bool { return isMap(f[name]) }

func (f fields) isText(name, text string) bool {
	return bytes.Equal(f[name], encoded(tftypes.String, tftypes.NewValue(tftypes.String, text)).MsgPack)
}

// encoded is a value as Terraform encodes it, which has one way to do so.
func encoded(t tftypes.Type, v tftypes.Value) tfprotov6.DynamicValue {
	d, err := tfprotov6.NewDynamicValue(t, v)
	if err != nil {
		panic(fmt.Sprintf("provider: %s cannot be encoded: %v", t, err)) // the caller made it of that type
	}
	return d
}

// defaultValues are the defaults of a schema, encoded, by attribute.
type defaultValues struct {
	values map[string][]byte
	nested map[string]*defaultValues
}

// defaultsOf collects the defaults of attributes, and of those of single
// objects among them. Defaults elsewhere it does not understand.
func defaultsOf(attributes map[string]schema.Attribute) *defaultValues {
	d := &defaultValues{map[string][]byte{}, map[string]*defaultValues{}}
	for name, attribute := range attributes {
		if value := defaultOf(attribute); value != nil {
			d.values[name] = value
		}
		switch a := attribute.(type) {
		case schema.SingleNestedAttribute:
			if nested := defaultsOf(a.Attributes); nested.any() {
				d.nested[name] = nested
			}
		case schema.NestedAttribute:
			if elementsHaveDefaults(a) {
				panic("provider: a default in elements of " + name + ", of which no way is known to check it")
			}
		}
	}
	return d
}

func elementsHaveDefaults(a schema.NestedAttribute) bool {
	for _, attribute := range a.GetNestedObject().GetAttributes() {
		if defaultOf(attribute) != nil {
			return true
		}
		if inner, ok := attribute.(schema.NestedAttribute); ok && elementsHaveDefaults(inner) {
			return true
		}
	}
	return false
}

func (d *defaultValues) any() bool { return len(d.values)+len(d.nested) > 0 }

// defaultOf is an attribute's default; nil if it has none. All types of
// attributes that can have one have it in the field Default.
func defaultOf(attribute any) []byte {
	field := reflect.ValueOf(attribute).FieldByName("Default")
	if !field.IsValid() || field.IsNil() {
		return nil
	}
	ctx := context.Background()
	switch d := field.Interface().(type) {
	case defaults.String:
		var resp defaults.StringResponse
		d.DefaultString(ctx, defaults.StringRequest{}, &resp)
		return encoded(tftypes.String, tftypes.NewValue(tftypes.String, resp.PlanValue.ValueString())).MsgPack
	case defaults.Bool:
		var resp defaults.BoolResponse
		d.DefaultBool(ctx, defaults.BoolRequest{}, &resp)
		return encoded(tftypes.Bool, tftypes.NewValue(tftypes.Bool, resp.PlanValue.ValueBool())).MsgPack
	default:
		panic(fmt.Sprintf("provider: a default of the type %T", d))
	}
}

// hold says whether the state has each default that the configuration leaves
// the choice to.
func (d *defaultValues) hold(config, state fields) bool {
	for name, value := range d.values {
		if _, ok := config[name]; !ok || config.isNull(name) && !bytes.Equal(state[name], value) {
			return false
		}
	}
	for name, nested := range d.nested {
		if state.isNull(name) {
			continue
		}
		c, ok := fieldsOf(config[name])
		s, ok2 := fieldsOf(state[name])
		if !ok || !ok2 || !nested.hold(c, s) {
			return false
		}
	}
	return true
}
