// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// secretModel is the resource pachyderm_secret.
type secretModel struct {
	ID            types.String `tfsdk:"id"`
	Name          types.String `tfsdk:"name"`
	Type          types.String `tfsdk:"type"`
	Labels        types.Map    `tfsdk:"labels"`
	DataWO        types.Map    `tfsdk:"data_wo"`
	DataWOVersion types.Int64  `tfsdk:"data_wo_version"`
	CreatedAt     types.String `tfsdk:"created_at"`
	Timeouts      types.Object `tfsdk:"timeouts"`

	data map[string]string // of data_wo, while it is applied
}

func (m *secretModel) limits() types.Object { return m.Timeouts }

func newSecretResource() resource.Resource {
	return &objectResource[secretModel, *secretModel]{kind: "secret", schema: secretSchema, identity: byName("Name of the Kubernetes secret.")}
}

const secretDoc = `A Kubernetes secret in Pachyderm's namespace, for pipelines to refer to: in ` + "`secret_env`, `secret_mounts`" + ` and the credentials of a ` + "`pachyderm_spout`" + `.

What it holds is [write-only](https://developer.hashicorp.com/terraform/language/resources/ephemeral/write-only): it is in no plan, no state and no log, and Pachyderm never shows it again. Needs Terraform or OpenTofu 1.11.

* Terraform cannot see that ` + "`data_wo`" + ` has changed: change ` + "`data_wo_version`" + ` along with it.
* Pachyderm cannot change a secret, so each change deletes it and creates it again, in one update. If it cannot be created again, the apply fails and says so, and the next apply creates it.
* Pods keep what they have read when they started. To restart a spout whenever its secret is written, refer to it: ` + "`restart_triggers = { secret = pachyderm_secret.<name>.created_at }`" + `.
* If somebody else has replaced the secret, which shows by its age, the next plan writes it again.

With authentication, the token's owner needs the role ` + "`secretAdmin`" + `.`

func secretSchema(ctx context.Context) schema.Schema {
	return schema.Schema{MarkdownDescription: secretDoc, Attributes: map[string]schema.Attribute{
		"id": schema.StringAttribute{Computed: true, MarkdownDescription: "The name."},
		"name": schema.StringAttribute{Required: true, Validators: []validator.String{secretNameForm, stringvalidator.LengthBetween(1, 253)},
			MarkdownDescription: "Name of the secret: lower-case letters, digits, `-` and `.`, at most 253. One with a `.` can only be used for variables, and not be mounted. A change replaces the resource."},
		"type": schema.StringAttribute{Optional: true, Computed: true, Default: stringdefault.StaticString(opaque),
			MarkdownDescription: "[Type](https://kubernetes.io/docs/concepts/configuration/secret/#secret-types) of the secret, one of these or your own:\n" +
				"    * `Opaque`: any keys. Default.\n" +
				"    * `kubernetes.io/tls`: with the keys `tls.crt` and `tls.key`.\n" +
				"    * `kubernetes.io/dockerconfigjson`: with the key `.dockerconfigjson`.\n" +
				"    * `kubernetes.io/basic-auth`: with the keys `username` and `password`.\n" +
				"    * `kubernetes.io/ssh-auth`: with the key `ssh-privatekey`."},
		"labels": schema.MapAttribute{Optional: true, ElementType: types.StringType,
			MarkdownDescription: "Kubernetes labels. Pachyderm adds `suite` and `secret-source`, and does not show labels, so the provider does not see what others change in them."},
		"data_wo": schema.MapAttribute{Optional: true, WriteOnly: true, Sensitive: true, ElementType: types.StringType,
			Validators:          []validator.Map{mapvalidator.SizeAtLeast(1)},
			MarkdownDescription: "What the secret holds, by key, as plain text (not in base64). Needed to create the secret and for each change of it, together with `data_wo_version`. Write-only."},
		"data_wo_version": schema.Int64Attribute{Optional: true,
			MarkdownDescription: "Any number that is changed along with `data_wo`, and needed with it. A change writes the secret again."},
		"created_at": schema.StringAttribute{Computed: true, MarkdownDescription: "When the secret was written last, in RFC 3339. It changes with each change of the secret."},
		"timeouts":   timeoutsAttribute(""),
	}}
}

// take gets the write-only values out of the configuration.
func (m *secretModel) take(ctx context.Context, config *secretModel) diag.Diagnostics {
	m.data = nil
	if config.DataWO.IsNull() || config.DataWO.IsUnknown() {
		return nil
	}
	return config.DataWO.ElementsAs(ctx, &m.data, false)
}

func (m *secretModel) plan(_ context.Context, c *connection, config, state *secretModel, diags *diag.Diagnostics) {
	changed := state == nil || !m.same(state)
	if !changed {
		m.CreatedAt = state.CreatedAt
		return
	}
	m.CreatedAt = types.StringUnknown()
	c.refuseExposed("the data of a secret", diags)
	if config.DataWO.IsNull() {
		diags.AddAttributeError(path.Root("data_wo"), "Missing data_wo",
			"The secret is written as a whole, and what it holds cannot be read back: set data_wo and data_wo_version.")
	}
	if state != nil {
		diags.AddWarning("Secret "+m.Name.ValueString()+" is written again", "It is deleted and created again. Pods that run keep what they have read of it. Restart the pipelines that use it. "+
			"A spout does so by itself if created_at of this secret is among its restart_triggers.")
	}
}

// kind is the secret's type in Kubernetes.
func (m *secretModel) kind() string { return cmp.Or(m.Type.ValueString(), opaque) }

// same says whether nothing of what can be compared differs.
func (m *secretModel) same(o *secretModel) bool {
	return m.kind() == o.kind() && sameElements(m.Labels, o.Labels) && m.DataWOVersion.Equal(o.DataWOVersion)
}

func (m *secretModel) create(o *operation) bool {
	secret, ok := m.secret(o)
	if !ok {
		return false
	}
	if !o.make(creation{
		look:   m.look(o),
		create: func(ctx context.Context) error { return o.client.CreateSecret(ctx, secret) },
	}) {
		return false
	}
	m.observe(o)
	return true
}

// look finds the secret. Whether it holds what this operation would write
// cannot be seen.
func (m *secretModel) look(o *operation) func(context.Context) (there, same bool, err error) {
	return func(ctx context.Context) (there, same bool, err error) {
		info, err := o.client.InspectSecret(ctx, m.Name.ValueString())
		if pachyderm.IsNotFound(err) {
			return false, false, nil
		}
		return err == nil, err == nil && info.Type == m.kind(), err
	}
}

// secret is what is to be created.
func (m *secretModel) secret(o *operation) (pachyderm.NewSecret, bool) {
	s := pachyderm.NewSecret{Name: m.Name.ValueString(), Type: m.kind(), Data: m.data, Labels: map[string]string{}}
	if !m.Labels.IsNull() {
		o.diags.Append(m.Labels.ElementsAs(o.ctx, &s.Labels, false)...)
	}
	o.connection.refuseExposed("the data of a secret", o.diags)
	if len(m.data) == 0 {
		o.diags.AddAttributeError(path.Root("data_wo"), "Missing data_wo", "The secret is written as a whole: set data_wo and data_wo_version.")
	}
	return s, !o.diags.HasError()
}

// observe reads when the secret was created. That it cannot is no reason to
// give the secret up: the next refresh tries again.
func (m *secretModel) observe(o *operation) {
	ctx, cancel := o.after()
	defer cancel()
	info, err := o.client.InspectSecret(ctx, m.Name.ValueString())
	if err != nil {
		m.CreatedAt = types.StringValue("")
		o.diags.AddWarning(capital(o.label())+" was written but not read", o.connection.explain(err))
		return
	}
	m.CreatedAt = timeText(info.Created)
}

func timeText(t time.Time) types.String { return types.StringValue(t.UTC().Format(time.RFC3339)) }

func (m *secretModel) read(o *operation) bool {
	info, err := o.client.InspectSecret(o.ctx, m.Name.ValueString())
	if pachyderm.IsNotFound(err) {
		return false
	}
	if err != nil {
		o.fail("read", err)
		return false
	}
	created := timeText(info.Created)
	if before := m.CreatedAt.ValueString(); before != "" && before != created.ValueString() {
		o.diags.AddWarning(capital(o.label())+" was replaced by somebody else", fmt.Sprintf("It was written at %s, and not at %s as Terraform knew. What it holds now cannot be read. The next apply writes data_wo again.",
			created.ValueString(), before))
		m.DataWOVersion = types.Int64Null() // what makes the next plan write it
	}
	if m.CreatedAt = created; m.Type.IsNull() || m.kind() != info.Type {
		m.Type = types.StringValue(info.Type)
	}
	return true
}

// update replaces the secret. From the delete on, neither an interrupt nor a
// lost answer may keep it from being created again.
func (m *secretModel) update(o *operation, before *secretModel) bool {
	if m.same(before) {
		m.CreatedAt = before.CreatedAt
		return true
	}
	secret, ok := m.secret(o)
	if !ok {
		return false
	}
	tflog.Info(o.ctx, "deleting the secret, to create it again")
	if err := o.client.DeleteSecret(o.ctx, secret.Name); err != nil && !pachyderm.IsNotFound(err) {
		o.fail("replace", err)
		return false
	}
	ctx, cancel := o.after()
	defer cancel()
	err := o.client.CreateSecret(ctx, secret)
	switch {
	case err == nil:
	case pachyderm.IsUnanswered(err):
		if !o.followUp(m.look(o), err) {
			o.lost(secret.Name, err)
			return false
		}
	case pachyderm.IsAlreadyExists(err):
		o.refuse("was created by somebody else", "It was deleted here, to be created again, and at that moment another one of that name appeared. What it holds cannot be known. Apply again to write data_wo.")
		return false
	default:
		o.lost(secret.Name, err)
		return false
	}
	m.observe(o)
	return true
}

// lost says that a secret is gone for now.
func (o *operation) lost(name string, err error) {
	o.refuse("was deleted, and not created again", "Pachyderm cannot change a secret, so it was deleted to be created with what is new; the create failed: %s\n\n"+
		"Pipelines that use it continue with what their pods have read, but cannot start new ones. Remove the cause and apply again: the next apply creates it. By hand: pachctl create secret -f <file>, with the name %s.",
		o.connection.explain(err), name)
}

func (m *secretModel) delete(o *operation) {
	if err := o.client.DeleteSecret(o.ctx, m.Name.ValueString()); err != nil && !pachyderm.IsNotFound(err) {
		o.fail("destroy", err)
	}
}
