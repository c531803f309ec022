// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// defaultTimeout is how long an operation may take.
const defaultTimeout = 10 * time.Minute

// timeoutsAttribute is the attribute timeouts of a resource. more is added to
// what it says of create and update.
func timeoutsAttribute(more string) schema.Attribute {
	attributes := map[string]schema.Attribute{}
	for verb, doc := range map[string]string{
		"create": "How long create may take" + more + ", such as `5m`. Default: `10m`.",
		"update": "How long update may take" + more + ". Default: `10m`.",
		"delete": "How long destroy may take. Default: `10m`.",
	} {
		attributes[verb] = schema.StringAttribute{Optional: true, MarkdownDescription: doc, Validators: []validator.String{timeoutForm{}}}
	}
	return schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "How long operations may take.", Attributes: attributes}
}

// timeout is how long a verb may take by the attribute timeouts, which
// [timeoutForm] has validated.
func timeout(timeouts types.Object, verb string) time.Duration {
	text, _ := timeouts.Attributes()[verb].(types.String)
	if limit, err := time.ParseDuration(text.ValueString()); err == nil {
		return limit
	}
	return defaultTimeout
}

// timeoutForm validates how long something may take.
type timeoutForm struct{}

func (timeoutForm) Description(context.Context) string { return "a length of time, such as 5m" }

func (v timeoutForm) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (timeoutForm) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	text := req.ConfigValue.ValueString()
	if text == "" {
		return
	}
	if limit, err := time.ParseDuration(text); err != nil || limit <= 0 {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid "+req.Path.String(),
			fmt.Sprintf("%s = %q must be a length of time above 0, such as \"90s\", \"10m\" or \"1h30m\".", req.Path, text))
	}
}
