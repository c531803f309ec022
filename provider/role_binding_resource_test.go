// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"slices"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// bindingsOf prepares a cluster with authentication and a repo.
func bindingsOf(t *testing.T, version string, config object, options ...Option) (*pachtest.Server, *instance) {
	t.Helper()
	s := pachtest.New(t, pachtest.WithVersion(version), pachtest.WithAuth("root"))
	i := newInstanceOf(t, merged(object{"address": s.Address(), "auth_token": "root"}, config), options...)
	repo := i.as("pachyderm_repo")
	repo.must(repo.apply(object{"name": "images", "project": "default"}))
	return s, i.as("pachyderm_role_binding")
}

var onRepo = object{"type": "repo", "name": "images"}

func binding(changes object) object {
	return merged(object{"resource": onRepo, "principal": "robot:ci", "roles": []any{"repoReader"}}, changes)
}

func TestRoleBinding(t *testing.T) {
	t.Parallel()
	for _, version := range []string{pachtest.Version26, pachtest.Version211} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			for _, c := range []struct {
				on   object
				kind auth.ResourceType
				name string
				id   string
			}{
				{onRepo, auth.ResourceType_REPO, "default/images", "repo/default/images/"},
				{object{"type": "repo", "project": "default", "name": "images"}, auth.ResourceType_REPO, "default/images", "repo/default/images/"},
				{object{"type": "project", "name": "default"}, auth.ResourceType_PROJECT, "default", "project/default/"},
				{object{"type": "cluster"}, auth.ResourceType_CLUSTER, "", "cluster/"},
			} {
				for _, principal := range []string{"robot:ci", "user:a@example.com", "group:team/x", "pipeline:default/edges", "allClusterUsers"} {
					if c.kind == auth.ResourceType_PROJECT && principal == "allClusterUsers" {
						continue // everybody may write to the default project, unless that is changed
					}
					s, i := bindingsOf(t, version, nil)
					has := func() []string { return s.Bindings(c.kind, c.name)[principal] }
					others := len(s.Bindings(c.kind, c.name))
					for _, roles := range [][]any{{"repoReader"}, {"repoWriter", "repoReader"}, {"repoOwner"}} {
						config := object{"resource": c.on, "principal": principal, "roles": roles}
						i.must(i.apply(config))
						if got := has(); len(got) != len(roles) || !slices.Contains(got, roles[0].(string)) {
							t.Errorf("%s: roles are %v, not %v", c.id, got, roles)
						}
						slices.Reverse(roles)
						if i.changes(object{"resource": c.on, "principal": principal, "roles": roles}) {
							t.Errorf("%s: a second plan changes %v", c.id, plain(t, i.state))
						}
						i.must(i.refresh())
						if i.changes(config) {
							t.Errorf("%s: a plan after refresh changes %v", c.id, plain(t, i.state))
						}
					}
					config := object{"resource": c.on, "principal": principal, "roles": []any{"repoOwner"}}
					if i.get("id") != c.id+principal {
						t.Errorf("the id is %v", i.get("id"))
					}
					imported := i.as("pachyderm_role_binding")
					imported.must(imported.importID(c.id+principal, nil))
					if imported.changes(config) {
						t.Errorf("%s: import changes %v", c.id, plain(t, imported.state))
					}
					imported = i.as("pachyderm_role_binding")
					imported.must(imported.importID("", merged(c.on, object{"principal": principal})))
					if imported.changes(config) {
						t.Errorf("%s: import by identity changes %v", c.id, plain(t, imported.state))
					}
					// Somebody else gives a role, and takes all of them.
					s.Grant(principal, "default", "images", "repoReader", "repoOwner")
					if c.kind == auth.ResourceType_REPO {
						i.must(i.refresh())
						if !i.changes(config) {
							t.Errorf("%s: another role is not seen", c.id)
						}
						i.must(i.apply(config))
						s.Grant(principal, "default", "images")
						i.id = nil
						i.must(i.refresh())
						if !i.state.IsNull() {
							t.Errorf("%s: without roles it is still in the state", c.id)
						}
						i.must(i.apply(config))
					}
					i.must(i.destroy())
					if left := s.Bindings(c.kind, c.name); len(left) != others {
						t.Errorf("%s: after destroy there are %v", c.id, left)
					}
				}
			}
		})
	}
}

func TestRoleBindingSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, version := range []string{pachtest.Version26, pachtest.Version211} {
		s, i := bindingsOf(t, version, nil)
		i.must(i.apply(binding(nil)))
		other := i.as("pachyderm_role_binding")
		if err := contains(errorsIn(other.apply(binding(object{"roles": []any{"repoWriter"}}))), "exists already", "terraform import <address of this resource> repo/default/images/robot:ci", "one binding"); err != nil {
			t.Error(err)
		}
		if err := contains(errorsIn(other.apply(binding(object{"resource": object{"type": "repo", "name": "none"}}))), "No role binding exists", "There is no such repo"); err != nil {
			t.Error(err)
		}
		diagnostics := other.apply(binding(object{"principal": "robot:x", "roles": []any{"repoReaper"}}))
		if err := contains(warningsIn(diagnostics), "repoReaper", "repoReader"); err != nil {
			t.Error(err)
		}
		if err := contains(errorsIn(diagnostics), "repoReaper"); err != nil {
			t.Error(err)
		}
		s.AddToken("weak", "robot:weak", auth.RepoReaderRole)
		weak := newInstanceOf(t, object{"address": s.Address(), "auth_token": "weak"}).as("pachyderm_role_binding")
		if err := contains(errorsIn(weak.apply(binding(object{"principal": "robot:x"}))), "not authorized", "Give the role"); err != nil {
			t.Error(err)
		}
		off := newInstanceOf(t, object{"address": pachtest.New(t, pachtest.WithVersion(version)).Address()}).as("pachyderm_role_binding")
		if err := contains(errorsIn(off.apply(binding(nil))), "auth service is not activated", "pachctl auth activate"); err != nil {
			t.Error(err)
		}
		for _, id := range []string{"cluster/x/user:a", "project/user:a", "repo/a/b/c/user:a", "user:a", "repo/default/images", "cluster/"} {
			if got := errorsIn(i.as("pachyderm_role_binding").importID(id, nil)); got == "" {
				t.Errorf("%q was imported", id)
			}
		}
	}
}

func TestRoleBindingValidation(t *testing.T) {
	t.Parallel()
	_, i := bindingsOf(t, pachtest.Version26, nil)
	for _, c := range []struct {
		config object
		want   []string
	}{
		{binding(object{"resource": object{"type": "branch"}}), []string{"resource", "cluster", "repo"}},
		{binding(object{"resource": object{"type": "cluster", "name": "x"}}), []string{"resource.name", "Leave it out"}},
		{binding(object{"resource": object{"type": "cluster", "project": "x"}}), []string{"resource.project", "Leave it out"}},
		{binding(object{"resource": object{"type": "project", "project": "x"}}), []string{"resource.project", "resource.name"}},
		{binding(object{"resource": object{"type": "repo"}}), []string{"resource.name", "name of the repo"}},
		{binding(object{"resource": object{"type": "repo", "name": "a/b"}}), []string{"resource.name", "resource.project"}},
		{binding(object{"principal": "ci"}), []string{"principal", "robot:<name>"}},
		{binding(object{"principal": "robot:"}), []string{"principal"}},
		{binding(object{"principal": "pach:root"}), []string{"principal"}},
		{binding(object{"roles": []any{}}), []string{"roles", "at least 1"}},
	} {
		_, diagnostics := i.plan(c.config)
		if err := contains(errorsIn(diagnostics), c.want...); err != nil {
			t.Errorf("%v: %v", c.config, err)
		}
	}
	for _, config := range []object{binding(object{"resource": unknown{}}), binding(object{"resource": object{"type": unknown{}, "name": unknown{}}}),
		binding(object{"principal": unknown{}}), binding(object{"roles": unknown{}}), binding(object{"roles": []any{unknown{}}})} {
		if _, diagnostics := i.plan(config); errorsIn(diagnostics) != "" {
			t.Errorf("%v: %s", config, errorsIn(diagnostics))
		}
	}
}

func TestRoleBindingErrors(t *testing.T) {
	t.Parallel()
	more := binding(object{"roles": []any{"repoWriter"}})
	for _, c := range []callCase{
		{method: "GetRoleBinding", run: func(i *instance) []*tfprotov6.Diagnostic { return i.refresh() }},
		{method: "GetRoleBinding", run: func(i *instance) []*tfprotov6.Diagnostic {
			return i.as("pachyderm_role_binding").apply(binding(object{"principal": "robot:other"}))
		}},
		{method: "ModifyRoleBinding", run: func(i *instance) []*tfprotov6.Diagnostic { return i.apply(more) }},
		{method: "ModifyRoleBinding", run: func(i *instance) []*tfprotov6.Diagnostic { return i.destroy() }},
		{method: "ModifyRoleBinding", creates: true, run: func(i *instance) []*tfprotov6.Diagnostic {
			return i.as("pachyderm_role_binding").apply(binding(object{"principal": "robot:other"}))
		}},
	} {
		s, made := bindingsOf(t, pachtest.Version211, nil, onlyOnce)
		made.must(made.apply(binding(nil)))
		c.token = true
		allFail(t, s, made, c)
	}
	// One more is known by what it means: nothing is left to take away.
	s, i := bindingsOf(t, pachtest.Version211, nil)
	i.must(i.apply(binding(nil)))
	s.Inject(pachtest.Fault{Method: "ModifyRoleBinding", Before: status.Error(codes.Unknown, "no role binding exists for REPO default/images")})
	i.must(i.destroy())
	s.Grant("robot:ci", "default", "images")
	// A call without an answer is followed up.
	s.Inject(pachtest.Fault{Method: "ModifyRoleBinding", LoseReply: true})
	i.must(i.apply(binding(nil)))
	if i.changes(binding(nil)) {
		t.Error("a second plan changes something")
	}
}

// Terraform's own binary agrees, and default_project decides about repos only.
func TestRoleBindingInTerraform(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t, pachtest.WithAuth("root"))
	project := newInstanceOf(t, object{"address": s.Address(), "auth_token": "root"}).as("pachyderm_project")
	project.must(project.apply(object{"name": "other"}))
	config := func(project string) string {
		return withProvider(s, `
resource "pachyderm_repo" "images" { name = "images" }
resource "pachyderm_role_binding" "test" {
  resource  = { type = "repo", name = pachyderm_repo.images.name }
  principal = "robot:ci"
  roles     = ["repoWriter"]
}
resource "pachyderm_role_binding" "cluster" {
  resource  = { type = "cluster" }
  principal = "robot:ci"
  roles     = ["secretAdmin"]
}`, `auth_token = "root"`, `default_project = "`+project+`"`)
	}
	const at, cluster = "pachyderm_role_binding.test", "pachyderm_role_binding.cluster"
	act := func(project string, one, two plancheck.ResourceActionType) resource.TestStep {
		checks := emptyPlan
		checks.PreApply = []plancheck.PlanCheck{plancheck.ExpectResourceAction(at, one), plancheck.ExpectResourceAction(cluster, two)}
		return resource.TestStep{Config: config(project), ConfigPlanChecks: checks}
	}
	unitTest(t,
		act("default", plancheck.ResourceActionCreate, plancheck.ResourceActionCreate),
		resource.TestStep{ResourceName: at, ImportState: true, ImportStateVerify: true},
		resource.TestStep{ResourceName: at, ImportState: true, ImportStateKind: resource.ImportBlockWithID},
		resource.TestStep{ResourceName: cluster, ImportState: true, ImportStateKind: resource.ImportBlockWithID},
		act("other", plancheck.ResourceActionDestroyBeforeCreate, plancheck.ResourceActionNoop),
	)
}
