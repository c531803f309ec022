// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// validateShort says whether the framework has nothing to say about a spout's
// configuration: whether what each attribute must be, what its validators look
// at, and what [spoutModel.validate] does, is all in order. The framework
// does the same; what it takes its time for are the paths to attributes that
// are not set, of which there are many.
//
// Validators look at what is set only; TestShorterWays has one of each kind.
// What is not known yet, and what is found wrong, is left to the framework.
func (s *server) validateShort(ctx context.Context, req *tfprotov6.ValidateResourceConfigRequest) bool {
	if req.TypeName != spoutTypeName || req.Config == nil || len(req.Config.MsgPack) == 0 {
		return false
	}
	raw, err := req.Config.Unmarshal(s.spout.kind)
	if err != nil || !raw.IsFullyKnown() {
		return false
	}
	var m spoutModel
	if decodeModel(ctx, spoutTypes, raw, &m) != nil {
		return false
	}
	var diags diag.Diagnostics
	m.validate(ctx, &diags)
	v := configValidator{ctx, tfsdk.Config{Raw: raw, Schema: s.spout.schema}}
	return len(diags) == 0 && v.all(s.spout.schema.Attributes, attributesOf(&m), path.Empty())
}

// configValidator goes through a configuration.
type configValidator struct {
	ctx    context.Context
	config tfsdk.Config
}

// all checks the attributes of an object.
func (c configValidator) all(attributes map[string]schema.Attribute, values map[string]attr.Value, at path.Path) bool {
	for name, attribute := range attributes {
		v, ok := values[name]
		if !ok || attribute.IsWriteOnly() || attribute.GetDeprecationMessage() != "" {
			return false
		}
		if v.IsNull() {
			if attribute.IsRequired() {
				return false
			}
			continue
		}
		if !attribute.IsRequired() && !attribute.IsOptional() || !c.one(attribute, v, at.AtName(name)) {
			return false
		}
	}
	return true
}

// one checks an attribute that is set, and all that is in it.
func (c configValidator) one(attribute schema.Attribute, v attr.Value, at path.Path) bool {
	switch a := attribute.(type) {
	case schema.StringAttribute:
		value, ok := v.(basetypes.StringValuable)
		if !ok {
			return false
		}
		text, diags := value.ToStringValue(c.ctx)
		return len(diags) == 0 && silent(a.Validators, func(check validator.String, resp *validator.StringResponse) diag.Diagnostics {
			check.ValidateString(c.ctx, validator.StringRequest{Path: at, PathExpression: at.Expression(), Config: c.config, ConfigValue: text}, resp)
			return resp.Diagnostics
		})
	case schema.Int64Attribute:
		value, ok := v.(basetypes.Int64Value)
		return ok && silent(a.Validators, func(check validator.Int64, resp *validator.Int64Response) diag.Diagnostics {
			check.ValidateInt64(c.ctx, validator.Int64Request{Path: at, PathExpression: at.Expression(), Config: c.config, ConfigValue: value}, resp)
			return resp.Diagnostics
		})
	case schema.ListAttribute:
		value, ok := v.(basetypes.ListValue)
		return ok && silent(a.Validators, func(check validator.List, resp *validator.ListResponse) diag.Diagnostics {
			check.ValidateList(c.ctx, validator.ListRequest{Path: at, PathExpression: at.Expression(), Config: c.config, ConfigValue: value}, resp)
			return resp.Diagnostics
		})
	case schema.BoolAttribute:
		return len(a.Validators) == 0
	case schema.Float64Attribute:
		return len(a.Validators) == 0
	case schema.MapAttribute:
		return len(a.Validators) == 0
	case schema.SingleNestedAttribute:
		return len(a.Validators) == 0 && c.object(a.Attributes, v, at)
	case schema.MapNestedAttribute:
		elements, ok := v.(basetypes.MapValue)
		if !ok || len(a.Validators)+len(a.NestedObject.Validators) > 0 {
			return false
		}
		for key, element := range elements.Elements() {
			if !c.object(a.NestedObject.Attributes, element, at.AtMapKey(key)) {
				return false
			}
		}
		return true
	case schema.ListNestedAttribute:
		list, ok := v.(basetypes.ListValue)
		if !ok || len(a.Validators)+len(a.NestedObject.Validators) > 0 {
			return false
		}
		for i, element := range list.Elements() {
			if !c.object(a.NestedObject.Attributes, element, at.AtListIndex(i)) {
				return false
			}
		}
		return true
	}
	return false
}

func (c configValidator) object(attributes map[string]schema.Attribute, v attr.Value, at path.Path) bool {
	object, ok := v.(interface{ Attributes() map[string]attr.Value })
	return ok && c.all(attributes, object.Attributes(), at)
}

// silent says whether none of the validators says anything.
func silent[V, R any](validators []V, run func(V, *R) diag.Diagnostics) bool {
	return !slices.ContainsFunc(validators, func(v V) bool {
		var resp R
		return len(run(v, &resp)) > 0
	})
}
