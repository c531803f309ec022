// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"encoding/json"
	"math/big"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// A setting that holds named objects is a map of them. Its variable has them in
// JSON.

// namedObjects is the schema of such a setting.
func namedObjects(v settings.Variable, doc string) schema.Attribute {
	fields := map[string]schema.Attribute{}
	for _, field := range v.Fields {
		fields[field.Attribute] = setting(field)
	}
	return schema.MapNestedAttribute{Required: v.Required, Optional: !v.Required, MarkdownDescription: doc, NestedObject: schema.NestedAttributeObject{Attributes: fields}}
}

// objectsText renders named objects as their variable has them.
func objectsText(all types.Map) string {
	texts := map[string]map[string]any{}
	for name, element := range all.Elements() {
		object, _ := element.(types.Object)
		texts[name] = map[string]any{}
		for field, value := range object.Attributes() {
			if value.IsNull() {
				continue
			}
			switch value := value.(type) {
			case types.List:
				list := []string{}
				for _, element := range value.Elements() {
					text, _ := element.(types.String)
					list = append(list, text.ValueString())
				}
				texts[name][field] = list
			case types.Int64:
				texts[name][field] = value.ValueInt64()
			case types.Bool:
				texts[name][field] = value.ValueBool()
			case basetypes.StringValuable:
				text, _ := value.ToStringValue(context.Background())
				texts[name][field] = text.ValueString()
			}
		}
	}
	raw, err := json.Marshal(texts)
	if err != nil {
		panic(err) // texts, numbers and lists always render
	}
	return string(raw)
}

// isNamedObjects says whether values of a type are named objects.
func isNamedObjects(t attr.Type) (fields map[string]attr.Type, ok bool) {
	of, ok := t.(types.MapType)
	if !ok {
		return nil, false
	}
	object, ok := of.ElemType.(types.ObjectType)
	return object.AttrTypes, ok
}

// objectsValue is the reverse of objectsText, null if it is none.
func objectsValue(ctx context.Context, fields map[string]attr.Type, text string) tftypes.Value {
	element := types.ObjectType{AttrTypes: fields}.TerraformType(ctx)
	var read map[string]map[string]any
	if json.Unmarshal([]byte(text), &read) != nil {
		return tftypes.NewValue(tftypes.Map{ElementType: element}, nil)
	}
	all := map[string]tftypes.Value{}
	for name, members := range read {
		values := map[string]tftypes.Value{}
		for field, t := range fields {
			values[field] = memberValue(t.TerraformType(ctx), members[field])
		}
		all[name] = tftypes.NewValue(element, values)
	}
	return tftypes.NewValue(tftypes.Map{ElementType: element}, all)
}

func memberValue(t tftypes.Type, member any) tftypes.Value {
	switch member := member.(type) {
	case string:
		return tftypes.NewValue(t, member)
	case bool:
		return tftypes.NewValue(t, member)
	case float64:
		return tftypes.NewValue(t, big.NewFloat(member))
	case []any:
		list := []tftypes.Value{}
		for _, element := range member {
			list = append(list, tftypes.NewValue(tftypes.String, element))
		}
		return tftypes.NewValue(t, list)
	}
	return tftypes.NewValue(t, nil)
}
