// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// roleBindingModel is the resource pachyderm_role_binding.
type roleBindingModel struct {
	ID        types.String `tfsdk:"id"`
	Resource  types.Object `tfsdk:"resource"`
	Principal types.String `tfsdk:"principal"`
	Roles     types.Set    `tfsdk:"roles"`
	Timeouts  types.Object `tfsdk:"timeouts"`
}

// bindingOnModel is its attribute resource.
type bindingOnModel struct{ Type, Project, Name types.String }

func (m *roleBindingModel) limits() types.Object { return m.Timeouts }

func newRoleBindingResource() resource.Resource {
	on := path.Root("resource")
	return &objectResource[roleBindingModel, *roleBindingModel]{kind: "role_binding", schema: roleBindingSchema, identity: identity{
		form:    "type/project/name/principal",
		pattern: regexp.MustCompile(`^(?P<type>cluster|project|repo)(?:/(?P<project>[^/:]+))??(?:/(?P<name>[^/:]+))?/(?P<principal>[a-zA-Z]+:.+|` + pachyderm.AllUsers + `)$`),
		docs: []identityPart{{"type", "What the roles are on: cluster, project or repo."}, {"project", "Project of a repo; the provider's default_project if left out."},
			{"name", "Name of the project or repo."}, {"principal", "Who has the roles, for example user:a@example.com."}},
		at:       map[string]path.Path{"type": on.AtName("type"), "project": on.AtName("project"), "name": on.AtName("name")},
		optional: []string{"project", "name"},
		complete: func(values map[string]types.String, c *connection) {
			if values["type"].ValueString() == pachyderm.OnRepo && values["project"].IsNull() && c != nil {
				values["project"] = c.defaultProject
			}
		},
	}}
}

const roleBindingDoc = `The roles that one principal has on one resource: the cluster, a project or a repo.

The resource is authoritative for that pair: it sets all of the principal's roles there, and takes away those that were given by other means. Roles of other principals, and roles that are inherited from the project or the cluster, are left alone. Destroying it takes all of the principal's roles on the resource away.

Needs authentication to be active, and the role ` + "`clusterAdmin`, `projectOwner` or `repoOwner`" + ` on the resource. Be careful with the roles of the principal that Terraform itself uses: after destroying them, Terraform cannot put them back.`

func roleBindingSchema(ctx context.Context) schema.Schema {
	return schema.Schema{MarkdownDescription: roleBindingDoc, Attributes: map[string]schema.Attribute{
		"id": schema.StringAttribute{Computed: true, MarkdownDescription: "`cluster/<principal>`, `project/<name>/<principal>` or `repo/<project>/<name>/<principal>`."},
		"resource": schema.SingleNestedAttribute{Required: true, MarkdownDescription: "What the roles are on. A change replaces the binding.", Attributes: map[string]schema.Attribute{
			"type": schema.StringAttribute{Required: true, Validators: []validator.String{stringvalidator.OneOf(pachyderm.OnCluster, pachyderm.OnProject, pachyderm.OnRepo)},
				MarkdownDescription: "Kind of the resource:\n    * `cluster`: all of Pachyderm.\n    * `project`: one project.\n    * `repo`: one repo. That of a spout or pipeline has the pipeline's name."},
			"project": schema.StringAttribute{Optional: true, Computed: true, Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
				MarkdownDescription: "Project of the repo, for the type `repo` only. Default: the provider's `default_project`."},
			"name": schema.StringAttribute{Optional: true,
				MarkdownDescription: "Name of the project or of the repo. Not for the type `cluster`."},
		}},
		"principal": schema.StringAttribute{Required: true,
			MarkdownDescription: "Who has the roles. A change replaces the binding.\n" +
				"    * `user:<address>`: one user.\n    * `group:<name>`: the members of a group.\n    * `robot:<name>`: a robot.\n" +
				"    * `pipeline:<project>/<name>`: the code of a pipeline.\n    * `allClusterUsers`: everybody who is authenticated."},
		"roles": schema.SetAttribute{Required: true, ElementType: types.StringType, Validators: []validator.Set{setvalidator.SizeAtLeast(1), setvalidator.ValueStringsAre(stringvalidator.LengthAtLeast(1))},
			MarkdownDescription: "All roles of the principal on the resource. Pachyderm knows these, and newer versions know more:\n" +
				"    * On a repo: `repoReader`, `repoWriter`, `repoOwner`.\n" +
				"    * On a project: those of a repo, `projectViewer`, `projectWriter`, `projectOwner`.\n" +
				"    * On the cluster: all of those, `clusterAdmin`, `projectCreator`, `secretAdmin`, `robotUser`, `debugger`, `lokiLogReader`, `pachdLogReader`."},
		"timeouts": timeoutsAttribute(""),
	}}
}

var principalForm = regexp.MustCompile(`^(user|robot|group|pipeline):\S(.*\S)?$`)

func (m *roleBindingModel) validate(_ context.Context, diags *diag.Diagnostics) {
	m.target().validate(diags)
	if p := m.Principal.ValueString(); known(m.Principal) && p != pachyderm.AllUsers && !principalForm.MatchString(p) {
		diags.AddAttributeError(path.Root("principal"), "Invalid principal",
			fmt.Sprintf("principal = %q must be user:<address>, group:<name>, robot:<name>, pipeline:<project>/<name> or %s.", p, pachyderm.AllUsers))
	}
	for _, element := range m.Roles.Elements() {
		role, ok := element.(types.String)
		if ok && known(role) && role.ValueString() != "" && !slices.Contains(pachyderm.KnownRoles, role.ValueString()) {
			diags.AddAttributeWarning(path.Root("roles"), "Unknown role", fmt.Sprintf("roles has %q, which Pachyderm 2.6 does not have. Newer versions may have it. Known roles: %s.",
				role.ValueString(), strings.Join(pachyderm.KnownRoles, ", ")))
		}
	}
}

func (m bindingOnModel) validate(diags *diag.Diagnostics) {
	at := path.Root("resource")
	kind := m.Type.ValueString()
	if !known(m.Type) {
		return
	}
	if known(m.Project) && kind != pachyderm.OnRepo {
		diags.AddAttributeError(at.AtName("project"), "Invalid resource.project", fmt.Sprintf("resource.project is the project of a repo, and the type is %q. %s", kind,
			map[string]string{pachyderm.OnProject: "Give the project's name as resource.name.", pachyderm.OnCluster: "Leave it out."}[kind]))
	}
	if kind == pachyderm.OnCluster && known(m.Name) {
		diags.AddAttributeError(at.AtName("name"), "Invalid resource.name", "resource.name is the name of a project or repo, and the type is \"cluster\". Leave it out.")
	}
	if kind != pachyderm.OnCluster && m.Name.IsNull() {
		diags.AddAttributeError(at.AtName("name"), "Missing resource.name", fmt.Sprintf("For the type %q, resource.name must be the name of the %s.", kind, kind))
	}
	if known(m.Name) && strings.Contains(m.Name.ValueString(), "/") {
		diags.AddAttributeError(at.AtName("name"), "Invalid resource.name", fmt.Sprintf("resource.name = %q must be a name without a project; that is resource.project.", m.Name.ValueString()))
	}
}

// target decodes the attribute resource; all is unknown while it is.
func (m *roleBindingModel) target() bindingOnModel {
	if m.Resource.IsUnknown() {
		return bindingOnModel{types.StringUnknown(), types.StringUnknown(), types.StringUnknown()}
	}
	part := func(name string) types.String {
		text, _ := m.Resource.Attributes()[name].(types.String)
		if text.IsUnknown() {
			return text
		}
		return textOrNull(text.ValueString())
	}
	return bindingOnModel{part("type"), part("project"), part("name")}
}

// complete fills in the project of a repo.
func (m *roleBindingModel) complete(c *connection, config, state *roleBindingModel, _ *diag.Diagnostics) {
	on := m.target()
	if config.Resource.IsUnknown() || !config.target().Project.IsNull() {
		return
	}
	switch {
	case on.Type.IsUnknown():
		on.Project = types.StringUnknown()
	case on.Type.ValueString() != pachyderm.OnRepo:
		on.Project = types.StringNull()
	case c != nil && !c.defaultProject.IsUnknown():
		on.Project = c.defaultProject
	case state != nil: // a default that is not known yet is no reason to replace
		on.Project = state.target().Project
	default:
		on.Project = types.StringUnknown()
	}
	m.Resource = types.ObjectValueMust(bindingOnTypes, map[string]attr.Value{"type": on.Type, "project": on.Project, "name": m.Resource.Attributes()["name"]})
}

var bindingOnTypes = map[string]attr.Type{"type": types.StringType, "project": types.StringType, "name": types.StringType}

func (m *roleBindingModel) on() pachyderm.Resource {
	target := m.target()
	on := pachyderm.Resource{Kind: target.Type.ValueString()}
	switch on.Kind {
	case pachyderm.OnProject:
		on.Project = target.Name.ValueString()
	case pachyderm.OnRepo:
		on.Project, on.Repo = target.Project.ValueString(), target.Name.ValueString()
	}
	return on
}

func (m *roleBindingModel) roles(o *operation) []string {
	var roles []string
	o.diags.Append(m.Roles.ElementsAs(o.ctx, &roles, false)...)
	slices.Sort(roles)
	return roles
}

// create gives the roles. A principal that has some already has another owner.
func (m *roleBindingModel) create(o *operation) bool {
	roles, on := m.roles(o), m.on()
	if o.diags.HasError() {
		return false
	}
	return o.make(creation{
		look: func(ctx context.Context) (there, same bool, err error) {
			has, err := o.client.Roles(ctx, on, m.Principal.ValueString())
			return len(has) > 0, slices.Equal(has, roles), m.explained(err)
		},
		create: func(ctx context.Context) error {
			return m.explained(o.client.SetRoles(ctx, on, m.Principal.ValueString(), roles))
		},
		more: " A principal's roles on a resource are one binding: list them all in one place.",
	})
}

// authNeeded says what to do where authentication is off.
const authNeeded = "Roles and tokens need authentication to be active, with an enterprise license: pachctl auth activate. Without it everybody may do everything, and they have no use"

// explained adds what to do about errors that only bindings have.
func (m *roleBindingModel) explained(err error) error {
	switch {
	case pachyderm.IsAuthNotActivated(err):
		return pachyderm.Hint(err, authNeeded)
	case pachyderm.IsNoRoleBinding(err):
		return pachyderm.Hint(err, "There is no such "+m.on().Kind+". Refer to it by its resource, for example resource = { type = \"repo\", name = pachyderm_repo.<name>.name }, so that it is created first")
	}
	return err
}

func (m *roleBindingModel) read(o *operation) bool {
	target, kind := m.target(), m.on().Kind
	if (kind == pachyderm.OnCluster) != target.Name.IsNull() || kind != pachyderm.OnRepo && !target.Project.IsNull() {
		o.refuse("has no such form", "An id is cluster/<principal>, project/<name>/<principal> or repo/<project>/<name>/<principal>.")
		return false
	}
	roles, err := o.client.Roles(o.ctx, m.on(), m.Principal.ValueString())
	if err != nil {
		o.fail("read", m.explained(err))
		return false
	}
	set, diags := types.SetValueFrom(o.ctx, types.StringType, roles)
	o.diags.Append(diags...)
	m.Roles = set
	return len(roles) > 0
}

// update sends all of the roles: Pachyderm replaces them as a whole.
func (m *roleBindingModel) update(o *operation, before *roleBindingModel) bool {
	if m.Roles.Equal(before.Roles) {
		return true
	}
	roles := m.roles(o)
	tflog.Info(o.ctx, "replacing roles", map[string]any{"roles": roles})
	if err := o.client.SetRoles(o.ctx, m.on(), m.Principal.ValueString(), roles); err != nil {
		o.fail("update", m.explained(err))
		return false
	}
	return true
}

// delete takes all roles away. What is not there any more has none.
func (m *roleBindingModel) delete(o *operation) {
	err := o.client.SetRoles(o.ctx, m.on(), m.Principal.ValueString(), nil)
	if err != nil && !pachyderm.IsNoRoleBinding(err) && !pachyderm.IsNotFound(err) {
		o.fail("destroy", m.explained(err))
	}
}
