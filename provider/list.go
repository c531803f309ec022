// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/list"
	"github.com/hashicorp/terraform-plugin-framework/list/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

var _ list.ListResourceWithConfigure = (*objectList)(nil)

// objectList lists what could be managed by one resource, for terraform query.
// What it finds it imports and reads as the resource itself does, so that a
// listed object is just what an import of it would be.
type objectList struct {
	resource func() resource.Resource
	doc      string
	filters  []string // attributes to filter by, besides name_prefix
	find     func(ctx context.Context, client *pachyderm.Client, filter filter) ([]found, error)

	connection *connection
}

// filter is what the configuration asks for; "" stands for all.
type filter struct{ project, repo, prefix string }

// projects are those to ask the server for.
func (f filter) projects() []string {
	if f.project == "" {
		return nil
	}
	return []string{f.project}
}

// found is an object of the server.
type found struct{ id, name string } // by which it is imported; that name_prefix is compared with

var filterDocs = map[string]string{
	"project":     "List what is in this project only. Left out, all projects are listed that the token's owner may see.",
	"repo":        "List branches of this repo only. Left out, those of all repos are listed.",
	"name_prefix": "List only what has a name that begins so.",
}

// Metadata names the list resource, as the resource is named.
func (l *objectList) Metadata(ctx context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	l.resource().Metadata(ctx, req, resp)
}

// ListResourceConfigSchema describes the list block's config.
func (l *objectList) ListResourceConfigSchema(_ context.Context, _ list.ListResourceSchemaRequest, resp *list.ListResourceSchemaResponse) {
	resp.Schema = schema.Schema{MarkdownDescription: l.doc + "\n\nIt is for [`terraform query`](https://developer.hashicorp.com/terraform/language/import/bulk), which can write the configuration and the `import` blocks of what it finds. Needs Terraform 1.14. `list` blocks belong in files whose names end in `.tfquery.hcl`.",
		Attributes: map[string]schema.Attribute{}}
	for _, name := range append([]string{"name_prefix"}, l.filters...) {
		resp.Schema.Attributes[name] = schema.StringAttribute{Optional: true, MarkdownDescription: filterDocs[name]}
	}
}

// Configure takes over the provider's connection.
func (l *objectList) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	l.connection = configured(req.ProviderData, &resp.Diagnostics)
}

// List finds the objects, and reads each if that is asked for. What goes wrong
// with one of them does not end the list.
func (l *objectList) List(ctx context.Context, req list.ListRequest, stream *list.ListResultsStream) {
	var diags diag.Diagnostics
	f := l.filter(ctx, req.Config, &diags)
	o, cancel := l.connection.begin(ctx, "list", l.kind(ctx), 0, &diags)
	cancel()
	if o == nil {
		stream.Results = list.ListResultsStreamDiagnostics(diags)
		return
	}
	all, err := l.find(o.ctx, o.client, f)
	if err != nil {
		diags.AddError("Cannot list "+l.kind(ctx), l.connection.explain(err))
		stream.Results = list.ListResultsStreamDiagnostics(diags)
		return
	}
	stream.Results = func(push func(list.ListResult) bool) {
		sent := int64(0)
		for _, object := range all {
			if req.Limit > 0 && sent >= req.Limit {
				return
			}
			if !strings.HasPrefix(object.name, f.prefix) {
				continue
			}
			result := req.NewListResult(ctx)
			result.DisplayName = object.id
			if !l.fill(o.ctx, req.IncludeResource, object, &result) {
				continue
			}
			sent++
			if !push(result) {
				return
			}
		}
	}
}

func (l *objectList) filter(ctx context.Context, config tfsdk.Config, diags *diag.Diagnostics) filter {
	var f filter
	get := func(name string, into *string) {
		var text types.String
		diags.Append(config.GetAttribute(ctx, path.Root(name), &text)...)
		*into = text.ValueString()
	}
	get("name_prefix", &f.prefix)
	for _, name := range l.filters {
		switch name {
		case "project":
			get(name, &f.project)
		case "repo":
			get(name, &f.repo)
		}
	}
	return f
}

// kind is the resource's name in messages.
func (l *objectList) kind(ctx context.Context) string {
	var resp resource.MetadataResponse
	l.resource().Metadata(ctx, resource.MetadataRequest{ProviderTypeName: "pachyderm"}, &resp)
	return resp.TypeName
}

// fill has the resource import and read one object. It says whether the object
// is there still.
func (l *objectList) fill(ctx context.Context, read bool, object found, result *list.ListResult) bool {
	r, ok := l.resource().(resource.ResourceWithImportState)
	if !ok {
		result.Diagnostics.AddError("Cannot list", "This is a mistake in the provider: the resource cannot be imported.")
		return true
	}
	if c, ok := r.(resource.ResourceWithConfigure); ok {
		c.Configure(ctx, resource.ConfigureRequest{ProviderData: l.connection}, &resource.ConfigureResponse{})
	}
	imported := resource.ImportStateResponse{State: tfsdk.State{Raw: result.Resource.Raw, Schema: result.Resource.Schema}, Identity: result.Identity}
	r.ImportState(ctx, resource.ImportStateRequest{ID: object.id}, &imported)
	result.Diagnostics.Append(imported.Diagnostics...)
	if !read || imported.Diagnostics.HasError() {
		result.Resource = nil
		return true
	}
	resp := resource.ReadResponse{State: imported.State, Identity: imported.Identity}
	r.Read(ctx, resource.ReadRequest{State: imported.State, Identity: imported.Identity}, &resp)
	result.Diagnostics.Append(resp.Diagnostics...)
	if !resp.Diagnostics.HasError() && resp.State.Raw.IsNull() {
		return false
	}
	result.Resource.Raw, result.Identity = resp.State.Raw, resp.Identity
	return true
}
