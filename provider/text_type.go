// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/attr/xattr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// textKind is a notation in which several texts mean the same, as 1Gi and
// 1024Mi. canonical returns the one text that stands for all of them; the
// empty text is no value, and is not asked for.
type textKind struct {
	name      string
	canonical func(string) (string, error)
}

func (k *textKind) equal(a, b string) bool {
	x, errX := k.canonical(a)
	y, errY := k.canonical(b)
	return a == b || errX == nil && errY == nil && x == y
}

// textType is a string that is compared by what it means.
type textType struct {
	basetypes.StringType
	kind *textKind
}

var _ basetypes.StringTypable = textType{}

func (t textType) String() string { return "provider." + t.kind.name }

func (t textType) Equal(o attr.Type) bool {
	other, ok := o.(textType)
	return ok && t.kind == other.kind
}

func (t textType) ValueType(context.Context) attr.Value { return textValue{kind: t.kind} }

func (t textType) ValueFromString(_ context.Context, s basetypes.StringValue) (basetypes.StringValuable, diag.Diagnostics) {
	return textValue{StringValue: s, kind: t.kind}, nil
}

func (t textType) ValueFromTerraform(ctx context.Context, in tftypes.Value) (attr.Value, error) {
	v, err := t.StringType.ValueFromTerraform(ctx, in)
	if err != nil {
		return nil, err
	}
	s, ok := v.(basetypes.StringValue)
	if !ok {
		return nil, fmt.Errorf("unexpected value of type %T", v)
	}
	return textValue{StringValue: s, kind: t.kind}, nil
}

// textValue is a value of a [textType].
type textValue struct {
	basetypes.StringValue
	kind *textKind
}

var (
	_ basetypes.StringValuableWithSemanticEquals = textValue{}
	_ xattr.ValidateableAttribute                = textValue{}
)

func (v textValue) Type(context.Context) attr.Type { return textType{kind: v.kind} }

func (v textValue) Equal(o attr.Value) bool {
	other, ok := o.(textValue)
	return ok && v.StringValue.Equal(other.StringValue)
}

// StringSemanticEquals keeps the text that is in the state when the server
// answers with another one of the same meaning.
func (v textValue) StringSemanticEquals(_ context.Context, o basetypes.StringValuable) (bool, diag.Diagnostics) {
	other, ok := o.(textValue)
	return ok && v.kind != nil && v.kind.equal(v.ValueString(), other.ValueString()), nil
}

func (v textValue) ValidateAttribute(_ context.Context, req xattr.ValidateAttributeRequest, resp *xattr.ValidateAttributeResponse) {
	if v.ValueString() == "" || v.kind == nil {
		return
	}
	if _, err := v.kind.canonical(v.ValueString()); err != nil {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid "+req.Path.String(),
			fmt.Sprintf("%s = %q %s.", req.Path, v.ValueString(), err))
	}
}

// keepSameText is the plan modifier of text attributes: a configuration that
// says the same as the state in other words plans no change.
type keepSameText struct{ kind *textKind }

func (keepSameText) Description(context.Context) string {
	return "Texts of the same meaning are no change."
}

func (m keepSameText) MarkdownDescription(ctx context.Context) string { return m.Description(ctx) }

func (m keepSameText) PlanModifyString(_ context.Context, req planmodifier.StringRequest, resp *planmodifier.StringResponse) {
	if req.StateValue.IsNull() || req.PlanValue.IsNull() || req.PlanValue.IsUnknown() {
		return
	}
	if m.kind.equal(req.StateValue.ValueString(), req.PlanValue.ValueString()) {
		resp.PlanValue = req.StateValue
	}
}
