// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// The attributes of the bundled runner are made of the contract in
// internal/settings, which has their names, types, defaults, documentation and
// allowed values.
var (
	contract = settings.Variables()
	objects  = settings.Groups()
)

// settingAttributes are the attributes of a spout that are objects of settings.
var settingAttributes = sync.OnceValue(func() map[string]schema.Attribute {
	attributes := map[string]schema.Attribute{}
	for _, g := range objects {
		if !g.Root {
			continue
		}
		object := settingObject(g)
		if g.Source != "" {
			object.MarkdownDescription += " Exactly one of " + sourceNames("`") + " and `transform` is set. Each attribute becomes the environment variable in parentheses, and only those that differ from their defaults are sent."
		} else {
			object.MarkdownDescription += " Not with `transform`."
		}
		if g.Attribute == "runner" {
			object.Attributes["prometheus_scrape"] = prometheusScrapeAttribute()
			object.Attributes["image_pull_secrets"] = pullSecretsAttribute()
		}
		attributes[g.Attribute] = object
	}
	return attributes
})

// settingObject is the schema of an object and of all that is in it.
func settingObject(g settings.Group) schema.SingleNestedAttribute {
	attributes, doc := map[string]schema.Attribute{}, settings.WithAttributes(g.Doc)
	for _, inner := range objects {
		if parent, name := cutAttribute(inner.Attribute); parent == g.Attribute {
			attributes[name] = settingObject(inner)
		}
	}
	var keys []settings.Variable
	for _, v := range contract {
		parent, name := cutAttribute(v.Attribute)
		switch {
		case v.Secret && v.Attribute == g.Attribute:
			keys = append(keys, v)
		case !v.Secret && v.Kind != settings.Presence && parent == g.Attribute && parent != "":
			attributes[name] = setting(v)
		}
	}
	switch {
	case len(keys) == 1:
		doc += fmt.Sprintf(" It is a key of a Kubernetes secret in Pachyderm's namespace. (`%s`)", keys[0].Name)
		attributes[keys[0].Key] = secretKey("Key in it. Default: `%s`.", keys[0].DefaultKey)
	case len(keys) > 1:
		doc += " It must be in Pachyderm's namespace."
		for _, v := range keys {
			attributes[v.Key] = secretKey("Key in it: %s Default: `%s`. (`%s`)", uncapital(v.Doc), v.DefaultKey, v.Name)
		}
	}
	if len(keys) > 0 {
		attributes["name"] = schema.StringAttribute{Required: true, MarkdownDescription: "Name of the Kubernetes secret."}
	}
	return schema.SingleNestedAttribute{Required: g.Required, Optional: !g.Required, MarkdownDescription: doc, Attributes: attributes}
}

func secretKey(format string, args ...any) schema.Attribute {
	return schema.StringAttribute{Optional: true, MarkdownDescription: fmt.Sprintf(format, args...)}
}

// setting is the schema of one setting.
func setting(v settings.Variable) schema.Attribute {
	doc := settingDoc(v)
	switch v.Kind {
	case settings.List:
		list := schema.ListAttribute{ElementType: types.StringType, Required: v.Required, Optional: !v.Required, MarkdownDescription: doc,
			Validators: []validator.List{listvalidator.ValueStringsAre(stringvalidator.LengthAtLeast(1), noComma)}}
		if v.Set {
			list.PlanModifiers = []planmodifier.List{keepSameSet{}}
		}
		return list
	case settings.Int:
		return schema.Int64Attribute{Required: v.Required, Optional: !v.Required, MarkdownDescription: doc}
	case settings.Bool:
		return schema.BoolAttribute{Required: v.Required, Optional: !v.Required, MarkdownDescription: doc}
	case settings.NamedObjects:
		return namedObjects(v, doc)
	case settings.Offsets:
		return schema.MapAttribute{ElementType: types.MapType{ElemType: types.Int64Type}, Required: v.Required, Optional: !v.Required, MarkdownDescription: doc}
	}
	text := schema.StringAttribute{MarkdownDescription: doc}
	if kind := textKinds[v.Kind]; kind != nil {
		text = textAttribute(kind, doc)
	}
	text.Required, text.Optional = v.Required, !v.Required
	if len(v.Values) > 0 {
		text.Validators = []validator.String{oneOfValues{v}}
	}
	return text
}

// textKinds are the kinds of settings that are compared by what they mean.
var textKinds = map[settings.Kind]*textKind{settings.Size: bytesKind, settings.Length: durationKind, settings.Time: timeKind, settings.PEM: pemKind}

// settingDoc is the documentation of a setting on the page of the resource.
func settingDoc(v settings.Variable) string {
	doc := settings.WithAttributes(v.Doc)
	if v.Kind == settings.Offsets {
		doc += " Takes the `offsets` of another spout's commit, or a value such as `{ orders = { 0 = 1200, 1 = 1180 } }`."
	}
	if v.Default != "" && len(v.Values) == 0 {
		doc += fmt.Sprintf(" Default: `%s`.", v.Default)
	}
	if v.Name != "" { // a field of an object has no variable
		doc += fmt.Sprintf(" (`%s`)", v.Name)
	}
	for _, value := range v.Explained() {
		doc += fmt.Sprintf("\n    * `%s`: %s.", value.Name, settings.WithAttributes(value.Meaning))
		if value.Name == v.Default {
			doc += " Default."
		}
	}
	return doc
}

// oneOfValues is the validator of a setting that may have certain values only.
type oneOfValues struct{ variable settings.Variable }

func (o oneOfValues) Description(context.Context) string {
	names := make([]string, len(o.variable.Values))
	for i, value := range o.variable.Values {
		names[i] = fmt.Sprintf("%q", value.Name)
	}
	return "must be one of " + strings.Join(names, ", ")
}

func (o oneOfValues) MarkdownDescription(ctx context.Context) string { return o.Description(ctx) }

// ValidateString says the same as the validation of all settings together,
// which is not repeated then. The empty text is as good as none.
func (o oneOfValues) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.ValueString() == "" {
		return
	}
	for _, p := range o.variable.Check(req.ConfigValue.ValueString()) {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid "+o.variable.Attribute, problemText(o.variable.Attribute, p))
	}
}

// textAttribute is an optional string that is compared by meaning.
func textAttribute(kind *textKind, doc string) schema.StringAttribute {
	return schema.StringAttribute{Optional: true, MarkdownDescription: doc, CustomType: textType{kind: kind},
		PlanModifiers: []planmodifier.String{keepSameText{kind}}}
}

// attributeOf returns the attribute that sets a variable.
func attributeOf(variable string) (string, bool) {
	v, _ := settings.VariableNamed(variable)
	return v.Attribute, v.Attribute != ""
}

// cutAttribute takes the path of an attribute apart into that of the object
// around it and its name.
func cutAttribute(attribute string) (object, name string) {
	at := strings.LastIndexByte(attribute, '.')
	return attribute[:max(at, 0)], attribute[at+1:]
}

func attributePath(dotted string) path.Path {
	names := strings.Split(dotted, ".")
	p := path.Root(names[0])
	for _, name := range names[1:] {
		p = p.AtName(name)
	}
	return p
}
