// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// identity says what identifies a resource: by which of its attributes, which
// are its identity (Terraform 1.12 and later), and how they are written in one
// text, which is its id and the id to import it by.
type identity struct {
	form    string         // the text, in the names of the attributes: "project/name"
	pattern *regexp.Regexp // its groups are named after the attributes
	docs    []identityPart

	// For identities of which not every part is an attribute of its own, and
	// not every one is there. Parts that are empty leave no trace in the text.
	at       map[string]path.Path // where an attribute is, if not at the root
	optional []string             // attributes that may be left out, besides project
	// complete fills in what was left out of an import; by default, the project.
	complete func(values map[string]types.String, c *connection)
}

// identityPart is one attribute. "project" may be left out of what is
// imported: the provider's default_project then takes its place.
type identityPart struct{ name, doc string }

// inProject is the identity of what has a name in a project.
func inProject(doc string) identity {
	return identity{form: "project/name", pattern: regexp.MustCompile(`^(?:(?P<project>[^/]+)/)?(?P<name>[^/]+)$`),
		docs: []identityPart{projectPart, {"name", doc}}}
}

// byName is the identity of what has a name and is in no project.
func byName(doc string) identity {
	return identity{form: "name", pattern: regexp.MustCompile(`^(?P<name>[^/]+)$`), docs: []identityPart{{"name", doc}}}
}

var projectPart = identityPart{"project", "Project; the provider's default_project if left out."}

func (i identity) schema() identityschema.Schema {
	attributes := map[string]identityschema.Attribute{}
	for _, part := range i.docs {
		optional := part == projectPart || slices.Contains(i.optional, part.name)
		attributes[part.name] = identityschema.StringAttribute{OptionalForImport: optional, RequiredForImport: !optional, Description: part.doc}
	}
	return identityschema.Schema{Attributes: attributes}
}

// attributes is what identity values are read from: a state or a plan.
type attributes interface {
	GetAttribute(ctx context.Context, p path.Path, target any) diag.Diagnostics
}

// path says where an attribute is in a state or a plan.
func (i identity) path(name string) path.Path {
	if at, ok := i.at[name]; ok {
		return at
	}
	return path.Root(name)
}

// values returns the identity's attributes by name.
func (i identity) values(ctx context.Context, from attributes) (map[string]types.String, diag.Diagnostics) {
	values := map[string]types.String{}
	var diags diag.Diagnostics
	for _, part := range i.docs {
		var v types.String
		diags.Append(from.GetAttribute(ctx, i.path(part.name), &v)...)
		values[part.name] = v
	}
	return values, diags
}

var word, slashes = regexp.MustCompile(`[a-z_]+`), regexp.MustCompile(`/+`)

// id writes values as one text; it is unknown while one of them is.
func (i identity) id(values map[string]types.String) types.String {
	for _, v := range values {
		if v.IsUnknown() {
			return types.StringUnknown()
		}
	}
	text := word.ReplaceAllStringFunc(i.form, func(name string) string { return values[name].ValueString() })
	return types.StringValue(slashes.ReplaceAllString(text, "/"))
}

// save puts the identity of what is in the state beside it.
func (i identity) save(ctx context.Context, from attributes, to *tfsdk.ResourceIdentity) diag.Diagnostics {
	values, diags := i.values(ctx, from)
	for name, v := range values {
		if to != nil {
			diags.Append(to.SetAttribute(ctx, path.Root(name), v)...)
		}
	}
	return diags
}

// importState takes an id or an identity.
func (i identity) importState(ctx context.Context, c *connection, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	values := map[string]types.String{}
	if req.ID == "" && req.Identity != nil && !req.Identity.Raw.IsNull() {
		var diags diag.Diagnostics
		values, diags = identity{docs: i.docs}.values(ctx, req.Identity)
		resp.Diagnostics.Append(diags...)
	} else {
		match := i.pattern.FindStringSubmatch(req.ID)
		if match == nil {
			resp.Diagnostics.AddError("Invalid import id", i.explain(req.ID))
			return
		}
		for n, name := range i.pattern.SubexpNames() {
			if name != "" {
				values[name] = textOrNull(match[n])
			}
		}
	}
	if i.complete != nil {
		i.complete(values, c)
	} else if v, ok := values["project"]; ok && v.IsNull() && c != nil {
		values["project"] = c.defaultProject
	}
	if resp.Diagnostics.HasError() {
		return
	}
	for _, part := range i.docs {
		resp.Diagnostics.Append(resp.State.SetAttribute(ctx, i.path(part.name), values[part.name])...)
		resp.Diagnostics.Append(resp.Identity.SetAttribute(ctx, path.Root(part.name), values[part.name])...)
	}
}

func (i identity) explain(id string) string {
	text := fmt.Sprintf("%q must be %s.", id, i.form)
	if short, ok := strings.CutPrefix(i.form, "project/"); ok {
		text = fmt.Sprintf("%q must be %s, or %s for one in the provider's default_project.", id, i.form, short)
	}
	return text
}
