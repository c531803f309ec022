// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/attr/xattr"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// decodeModel reads an object into a model, a pointer to a struct whose fields
// are values of the framework, named by the tag tfsdk. It is what the
// framework's Get does, which looks at the whole struct anew each time, and
// compiles a regular expression for each of its fields.
func decodeModel(ctx context.Context, types map[string]attr.Type, object tftypes.Value, model any) error {
	if object.IsNull() || !object.IsKnown() {
		return fmt.Errorf("there is no object")
	}
	var values map[string]tftypes.Value
	if err := object.As(&values); err != nil {
		return err
	}
	target := reflect.ValueOf(model).Elem()
	fields := fieldsOfModel(target.Type())
	if len(fields) != len(values) {
		return fmt.Errorf("%d attributes for the %d fields of %T", len(values), len(fields), model)
	}
	for _, f := range fields {
		name := f.name
		t, ok := types[name]
		if !ok {
			return fmt.Errorf("no attribute %s for %T", name, model)
		}
		v, err := decodeValue(ctx, t, values[name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		field, value := target.FieldByIndex(f.index), reflect.ValueOf(v)
		if !value.Type().AssignableTo(field.Type()) {
			return fmt.Errorf("%s: a %T for a %s", name, v, field.Type())
		}
		if err := checkTexts(ctx, v); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		field.Set(value)
	}
	return nil
}

// decodeValue is what t's own ValueFromTerraform makes of a value of that type.
// That of an object makes a description of the whole type first, for each value
// and for those that are null too, only to compare it.
func decodeValue(ctx context.Context, t attr.Type, v tftypes.Value) (attr.Value, error) {
	object, ok := t.(basetypes.ObjectType)
	switch {
	case !ok:
		return t.ValueFromTerraform(ctx, v)
	case !v.IsKnown():
		return basetypes.NewObjectUnknown(object.AttrTypes), nil
	case v.IsNull():
		return basetypes.NewObjectNull(object.AttrTypes), nil
	}
	var values map[string]tftypes.Value
	if err := v.As(&values); err != nil {
		return nil, err
	}
	attributes := make(map[string]attr.Value, len(values))
	for name, value := range values {
		of, ok := object.AttrTypes[name]
		if !ok {
			return nil, fmt.Errorf("no attribute %s", name)
		}
		var err error
		if attributes[name], err = decodeValue(ctx, of, value); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	decoded, diags := basetypes.NewObjectValue(object.AttrTypes, attributes)
	if diags.HasError() {
		return nil, errors.New(diags[0].Detail())
	}
	return decoded, nil
}

// fullyKnown says whether a value is known, and all that is in it.
func fullyKnown(v attr.Value) bool {
	switch {
	case v.IsUnknown():
		return false
	case v.IsNull():
		return true
	}
	for child := range within(v) {
		if !fullyKnown(child) {
			return false
		}
	}
	return true
}

// within are the values in a value.
func within(v attr.Value) iter.Seq[attr.Value] {
	switch v := v.(type) {
	case interface{ Attributes() map[string]attr.Value }:
		return maps.Values(v.Attributes())
	case interface{ Elements() map[string]attr.Value }:
		return maps.Values(v.Elements())
	case interface{ Elements() []attr.Value }:
		return slices.Values(v.Elements())
	}
	return func(func(attr.Value) bool) {}
}

// checkTexts finds values that are not what their type asks for, as the
// framework does whenever it takes one out of a state or plan.
func checkTexts(ctx context.Context, v attr.Value) error {
	if v.IsNull() || v.IsUnknown() {
		return nil
	}
	if own, ok := v.(xattr.ValidateableAttribute); ok {
		var resp xattr.ValidateAttributeResponse
		if own.ValidateAttribute(ctx, xattr.ValidateAttributeRequest{}, &resp); resp.Diagnostics.HasError() {
			return errors.New(resp.Diagnostics.Errors()[0].Detail())
		}
	}
	for child := range within(v) {
		if err := checkTexts(ctx, child); err != nil {
			return err
		}
	}
	return nil
}

// sameModel says whether two models, of one type, have the same values.
func sameModel[M any](a, b *M) bool {
	x, y := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for _, f := range fieldsOfModel(x.Type()) {
		v, ok := x.FieldByIndex(f.index).Interface().(attr.Value)
		w, ok2 := y.FieldByIndex(f.index).Interface().(attr.Value)
		if !ok || !ok2 || !v.Equal(w) {
			return false
		}
	}
	return true
}

// attributesOf are a model's values by the attributes that they are of.
func attributesOf(model any) map[string]attr.Value {
	from := reflect.ValueOf(model).Elem()
	values := map[string]attr.Value{}
	for _, f := range fieldsOfModel(from.Type()) {
		if v, ok := from.FieldByIndex(f.index).Interface().(attr.Value); ok {
			values[f.name] = v
		}
	}
	return values
}

// modelField is a field of a model, which may be one of a struct in it.
type modelField struct {
	name  string // of the attribute that it is for
	index []int
}

var modelFields sync.Map // []modelField by reflect.Type

// fieldsOfModel are the fields of a model that are attributes.
func fieldsOfModel(t reflect.Type) []modelField {
	if fields, ok := modelFields.Load(t); ok {
		return fields.([]modelField)
	}
	var fields []modelField
	for _, field := range reflect.VisibleFields(t) {
		if name := field.Tag.Get("tfsdk"); name != "" {
			fields = append(fields, modelField{name, field.Index})
		}
	}
	modelFields.Store(t, fields)
	return fields
}
