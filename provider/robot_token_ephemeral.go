// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

var (
	_ ephemeral.EphemeralResourceWithConfigure      = (*robotTokenEphemeral)(nil)
	_ ephemeral.EphemeralResourceWithValidateConfig = (*robotTokenEphemeral)(nil)
	_ ephemeral.EphemeralResourceWithClose          = (*robotTokenEphemeral)(nil)
)

func newRobotTokenEphemeral() ephemeral.EphemeralResource { return &robotTokenEphemeral{} }

// robotTokenEphemeral is the ephemeral pachyderm_robot_token.
type robotTokenEphemeral struct{ connection *connection }

type robotTokenModel struct {
	Robot         types.String `tfsdk:"robot"`
	TTL           textValue    `tfsdk:"ttl"`
	RevokeOnClose types.Bool   `tfsdk:"revoke_on_close"`
	Principal     types.String `tfsdk:"principal"`
	ExpiresAt     types.String `tfsdk:"expires_at"`
	Token         types.String `tfsdk:"token"`
}

const defaultTokenTTL = "1h"

// Metadata names the ephemeral resource.
func (r *robotTokenEphemeral) Metadata(_ context.Context, req ephemeral.MetadataRequest, resp *ephemeral.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_robot_token"
}

// Schema describes the ephemeral resource.
func (r *robotTokenEphemeral) Schema(_ context.Context, _ ephemeral.SchemaRequest, resp *ephemeral.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "An authentication token for a robot user, which lives only as long as it is needed. It is in no plan and no state.\n\n" +
			"Terraform opens it in each plan and once more in each apply, and each time Pachyderm makes another token. At the end of the run the token is revoked. " +
			"Where it must outlive the run, for example in the `data_wo` of a `pachyderm_secret`, set `revoke_on_close = false` and a `ttl`: the token of the apply is then the one that stays, while that of the plan is left to expire. " +
			"A robot exists as soon as it has a token. A `pachyderm_role_binding` says what it may do.\n\n" +
			"Needs authentication to be active, the role `clusterAdmin` or `robotUser`, and Terraform 1.10 or OpenTofu 1.11.",
		Attributes: map[string]schema.Attribute{
			"robot": schema.StringAttribute{Required: true,
				Validators:          []validator.String{stringvalidator.RegexMatches(regexp.MustCompile(`^[^:\s]+$`), "must be the robot's name alone, without \"robot:\", colons and spaces")},
				MarkdownDescription: "Name of the robot, for example `ci`. Its principal is `robot:ci`."},
			"ttl": schema.StringAttribute{Optional: true, Computed: true, CustomType: textType{kind: durationKind},
				MarkdownDescription: "How long the token is valid, in whole seconds, for example `90m`. It must be longer than what uses the token takes. Default: `1h`."},
			"revoke_on_close": schema.BoolAttribute{Optional: true, Computed: true,
				MarkdownDescription: "Whether the token is revoked when Terraform has no more use for it in this run. Default: `true`."},
			"principal":  schema.StringAttribute{Computed: true, MarkdownDescription: "The robot's principal for role bindings, for example `robot:ci`."},
			"expires_at": schema.StringAttribute{Computed: true, MarkdownDescription: "When the token expires, in RFC 3339."},
			"token":      schema.StringAttribute{Computed: true, Sensitive: true, MarkdownDescription: "The token."},
		},
	}
}

// Configure takes over the provider's connection.
func (r *robotTokenEphemeral) Configure(_ context.Context, req ephemeral.ConfigureRequest, resp *ephemeral.ConfigureResponse) {
	r.connection = configured(req.ProviderData, &resp.Diagnostics)
}

// ValidateConfig refuses a token that would never expire, which is what
// Pachyderm makes of a time of 0.
func (r *robotTokenEphemeral) ValidateConfig(ctx context.Context, req ephemeral.ValidateConfigRequest, resp *ephemeral.ValidateConfigResponse) {
	var m robotTokenModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if ttl, err := time.ParseDuration(m.TTL.ValueString()); err == nil && ttl < time.Second {
		resp.Diagnostics.AddAttributeError(path.Root("ttl"), "Invalid ttl", fmt.Sprintf("ttl = %q must be at least \"1s\".", m.TTL.ValueString()))
	}
}

// Open makes a token.
func (r *robotTokenEphemeral) Open(ctx context.Context, req ephemeral.OpenRequest, resp *ephemeral.OpenResponse) {
	var m robotTokenModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx = r.connection.masked(ctx)
	if m.TTL.IsNull() {
		m.TTL = textValue{StringValue: types.StringValue(defaultTokenTTL), kind: durationKind}
	}
	if m.RevokeOnClose.IsNull() {
		m.RevokeOnClose = types.BoolValue(true)
	}
	ttl, err := time.ParseDuration(cmp.Or(m.TTL.ValueString(), defaultTokenTTL))
	if err != nil || ttl < time.Second { // ValidateConfig has seen only what was known
		resp.Diagnostics.AddAttributeError(path.Root("ttl"), "Invalid ttl", fmt.Sprintf("ttl = %q must be a length of time of at least \"1s\".", m.TTL.ValueString()))
		return
	}
	client, err := r.connection.open(ctx)
	if err != nil {
		resp.Diagnostics.AddError("Cannot connect to Pachyderm", r.connection.explain(err))
		return
	}
	expires := time.Now().Add(ttl).UTC()
	token, err := client.NewRobotToken(ctx, m.Robot.ValueString(), ttl)
	if err != nil {
		if pachyderm.IsAuthNotActivated(err) {
			err = pachyderm.Hint(err, authNeeded)
		}
		detail := r.connection.explain(err)
		if pachyderm.IsUnavailable(err) || pachyderm.IsTimeout(err) {
			detail += " If it made a token nevertheless, nobody knows it, and it expires after " + m.TTL.ValueString() + "."
		}
		resp.Diagnostics.AddError("Cannot get a token of robot "+m.Robot.ValueString(), detail)
		return
	}
	if m.RevokeOnClose.ValueBool() {
		// Revoking takes the token itself. Private data stay within Terraform's
		// run, and are neither logged nor stored.
		private, err := json.Marshal(tokenToRevoke{m.Robot.ValueString(), token})
		if err != nil {
			resp.Diagnostics.AddError("Cannot keep the token", "It expires after "+m.TTL.ValueString()+".")
			return
		}
		resp.Diagnostics.Append(resp.Private.SetKey(ctx, revokeKey, private)...)
	}
	m.Principal = types.StringValue(pachyderm.RobotPrefix + m.Robot.ValueString())
	m.ExpiresAt = types.StringValue(expires.Format(time.RFC3339))
	m.Token = types.StringValue(token)
	resp.Diagnostics.Append(resp.Result.Set(ctx, &m)...)
}

const revokeKey = "revoke"

// tokenToRevoke is what Close has to know.
type tokenToRevoke struct {
	Robot string `json:"robot"`
	Token string `json:"token"`
}

// Close revokes the token. What keeps it from that is a warning: what the
// token was for is done.
func (r *robotTokenEphemeral) Close(ctx context.Context, req ephemeral.CloseRequest, resp *ephemeral.CloseResponse) {
	private, diags := req.Private.GetKey(ctx, revokeKey)
	resp.Diagnostics.Append(diags...)
	if len(private) == 0 || diags.HasError() {
		return
	}
	var revoke tokenToRevoke
	if err := json.Unmarshal(private, &revoke); err != nil {
		resp.Diagnostics.AddWarning("A token was not revoked", "The provider's private data cannot be read. The token is valid until it expires.")
		return
	}
	ctx = tflog.MaskAllFieldValuesStrings(r.connection.masked(ctx), revoke.Token)
	client, err := r.connection.open(ctx)
	if err == nil {
		err = client.RevokeToken(ctx, revoke.Token)
	}
	if err != nil {
		resp.Diagnostics.AddWarning("The token of robot "+revoke.Robot+" was not revoked", r.connection.explain(err)+" It is valid until it expires.")
	}
}
