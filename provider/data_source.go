// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// dataModel is a data source's model, by pointer, and how it is filled in.
type dataModel[M any] interface {
	*M
	label() string // which one, in messages, as default/orders; "" for lists
	read(o *operation)
}

// dataSource is what data sources have in common. What they name has to exist:
// unlike a resource, one that is missing is an error. An attribute "project"
// that is computed is the provider's default_project if it is left out.
type dataSource[M any, P dataModel[M]] struct {
	kind       string // of the type pachyderm_<kind>
	schema     func(context.Context) schema.Schema
	connection *connection
}

var _ datasource.DataSourceWithConfigure = (*dataSource[reposData, *reposData])(nil)

// Metadata names the data source.
func (d *dataSource[M, P]) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_" + d.kind
}

// Schema describes it.
func (d *dataSource[M, P]) Schema(ctx context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = d.schema(ctx)
}

// Configure takes over the provider's connection.
func (d *dataSource[M, P]) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.connection = configured(req.ProviderData, &resp.Diagnostics)
}

// Read asks the server.
func (d *dataSource[M, P]) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m M
	resp.State.Raw = req.Config.Raw
	if a, ok := req.Config.Schema.GetAttributes()["project"]; ok && a.IsComputed() && d.connection != nil {
		var project types.String
		resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("project"), &project)...)
		unset := !project.IsUnknown() && project.ValueString() == ""
		if unset && d.connection.defaultProject.IsUnknown() {
			resp.Diagnostics.AddAttributeError(path.Root("project"), "The project is not known yet",
				"The provider's default_project depends on something that is created in the same run. Set project to a known value.")
		} else if unset {
			resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("project"), d.connection.defaultProject)...)
		}
	}
	resp.Diagnostics.Append(resp.State.Get(ctx, &m)...)
	o, cancel := d.connection.begin(ctx, strings.ReplaceAll(d.kind, "_", " "), P(&m).label(), 0, &resp.Diagnostics)
	defer cancel()
	if o == nil {
		resp.State.RemoveResource(ctx)
		return
	}
	if P(&m).read(o); resp.Diagnostics.HasError() {
		resp.State.RemoveResource(ctx)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}

// projectOfData is the attribute project of a data source for one object.
func projectOfData(kind string) schema.Attribute {
	return schema.StringAttribute{Optional: true, Computed: true,
		MarkdownDescription: "Project of the " + kind + ". Default: the provider's `default_project`."}
}

func requiredText(doc string, validators ...validator.String) schema.Attribute {
	return schema.StringAttribute{Required: true, Validators: append([]validator.String{stringvalidator.LengthAtLeast(1)}, validators...), MarkdownDescription: doc}
}

func computedText(doc string) schema.Attribute {
	return schema.StringAttribute{Computed: true, MarkdownDescription: doc}
}

func computedNumber(doc string) schema.Attribute {
	return schema.Int64Attribute{Computed: true, MarkdownDescription: doc}
}

// nameFilter chooses objects out of a list by their names.
type nameFilter struct {
	NamePrefix types.String `tfsdk:"name_prefix"`
	NameRegex  types.String `tfsdk:"name_regex"`
}

// listAttributes are those of a data source that lists objects: which ones are
// asked for, their ids in keys, and what is shown of each under the plural.
func listAttributes(plural, keys, keysDoc, doc string, facts map[string]schema.Attribute) map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"name_prefix": schema.StringAttribute{Optional: true, MarkdownDescription: "Only " + plural + " whose name begins so."},
		"name_regex": schema.StringAttribute{Optional: true, Validators: []validator.String{regexForm{}},
			MarkdownDescription: "Only " + plural + " whose name matches this [regular expression](https://github.com/google/re2/wiki/Syntax), anywhere unless `^` and `$` say otherwise."},
		keys:   schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: keysDoc},
		plural: schema.ListNestedAttribute{Computed: true, MarkdownDescription: doc, NestedObject: schema.NestedAttributeObject{Attributes: facts}},
	}
}

// projectListAttributes are listAttributes for what belongs to a project.
func projectListAttributes(plural, doc string, facts map[string]schema.Attribute) map[string]schema.Attribute {
	attributes := listAttributes(plural, "ids", "Their ids, as `project/name`, sorted.", doc, facts)
	attributes["project"] = schema.StringAttribute{Optional: true, MarkdownDescription: "Only " + plural + " of this project. Left out, those of all projects."}
	return attributes
}

// listed returns the ids and the facts of those objects whose name the filter
// chooses.
func listed[O, F any](filter nameFilter, objects []O, named func(O) (id, name string), facts func(O) F) ([]types.String, []F) {
	ids, all := []types.String{}, []F{}
	matches := filter.matcher()
	for _, object := range objects {
		if id, name := named(object); matches(name) {
			ids, all = append(ids, types.StringValue(id)), append(all, facts(object))
		}
	}
	return ids, all
}

// matcher returns the filter as a function.
func (f nameFilter) matcher() func(name string) bool {
	prefix := f.NamePrefix.ValueString()
	form, err := regexp.Compile(f.NameRegex.ValueString())
	return func(name string) bool {
		return strings.HasPrefix(name, prefix) && (err != nil || form.MatchString(name)) // regexForm has seen the error
	}
}

// onlyProject is what a list is narrowed to: one project, or none for all.
func onlyProject(project types.String) []string {
	if project.ValueString() == "" {
		return nil
	}
	return []string{project.ValueString()}
}

// regexForm validates regular expressions.
type regexForm struct{}

func (regexForm) Description(context.Context) string { return "a regular expression" }

func (v regexForm) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (regexForm) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if !known(req.ConfigValue) {
		return
	}
	if _, err := regexp.Compile(req.ConfigValue.ValueString()); err != nil {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid "+req.Path.String(), sentence(err.Error()))
	}
}

// timeOrNull writes a point in time as Terraform's functions read it.
func timeOrNull(t time.Time) types.String {
	if t.IsZero() {
		return types.StringNull()
	}
	return types.StringValue(t.UTC().Format(time.RFC3339))
}

// missing says that what a data source names is not there.
func (o *operation) missing(err error) {
	if pachyderm.IsNotFound(err) {
		o.refuse("does not exist", "%s A data source reads what exists already. To make sure that it does, refer to the resource that creates it.", sentence(pachyderm.Reason(err)))
		return
	}
	o.fail("read", err)
}
