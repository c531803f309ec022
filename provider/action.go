// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// invocation is an action's model, by pointer, and what it does.
type invocation[M any] interface {
	*M
	target(project string) (name string) // what it is done to, as messages name it; project is the one to take if it names none
	limit() types.Object
	invoke(o *operation, progress func(format string, args ...any))
}

// objectAction is what actions have in common.
type objectAction[M any, P invocation[M]] struct {
	name       string // of the type pachyderm_<name>
	kind       string // of its target, for messages
	schema     func(context.Context) schema.Schema
	connection *connection
}

// Metadata names the action.
func (a *objectAction[M, P]) Metadata(_ context.Context, req action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_" + a.name
}

// Schema describes the action.
func (a *objectAction[M, P]) Schema(ctx context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = a.schema(ctx)
}

// Configure takes over the provider's connection.
func (a *objectAction[M, P]) Configure(_ context.Context, req action.ConfigureRequest, resp *action.ConfigureResponse) {
	a.connection = configured(req.ProviderData, &resp.Diagnostics)
}

// Invoke does it.
func (a *objectAction[M, P]) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	var m M
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	project := ""
	if a.connection != nil {
		project = a.connection.defaultProject.ValueString()
	}
	o, cancel := a.connection.begin(ctx, a.kind, P(&m).target(project), timeout(P(&m).limit(), "invoke"), &resp.Diagnostics)
	defer cancel()
	if o != nil {
		P(&m).invoke(o, func(format string, args ...any) {
			resp.SendProgress(action.InvokeProgressEvent{Message: fmt.Sprintf(format, args...)})
		})
	}
}

// actionAttributes adds the attributes that all actions have.
func actionAttributes(ctx context.Context, attributes map[string]schema.Attribute) map[string]schema.Attribute {
	attributes["project"] = schema.StringAttribute{Optional: true, MarkdownDescription: "Project. Default: the provider's `default_project`."}
	attributes["timeouts"] = schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "How long the action may take.", Attributes: map[string]schema.Attribute{
		"invoke": schema.StringAttribute{Optional: true, Validators: []validator.String{timeoutForm{}}, MarkdownDescription: "How long it may take, such as `30m`. Default: `10m`."},
	}}
	return attributes
}

var notEmptyText = []validator.String{stringvalidator.LengthAtLeast(1)}

// otherwise is a text of the configuration, or what stands for none.
func otherwise(text types.String, missing string) types.String {
	if text.ValueString() == "" {
		return types.StringValue(missing)
	}
	return text
}

// poll looks again and again until look is done, fails, or time is over.
func (o *operation) poll(look func() (done bool, err error)) error {
	ticker := time.NewTicker(o.connection.wait.Poll)
	defer ticker.Stop()
	for {
		done, err := look()
		if done || err != nil && !pachyderm.IsUnavailable(err) {
			return err
		}
		select {
		case <-o.ctx.Done():
			return o.ctx.Err()
		case <-ticker.C:
		}
	}
}
