// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// query lists over the protocol, as terraform query does. It returns the names
// that are shown, and the instances that an import of each would give.
func (i *instance) query(config object, limit int64, include bool) (names []string, listed []*instance, diagnostics []*tfprotov6.Diagnostic) {
	i.t.Helper()
	kind := i.schemas.ListResourceSchemas[i.typeName].ValueType()
	encoded := i.dynamic(kind, valueOf(i.t, kind, config))
	//nolint:staticcheck // the only way to call it
	server := i.server.(tfprotov6.ProviderServerWithListResource)
	validated, err := server.ValidateListResourceConfig(i.ctx, &tfprotov6.ValidateListResourceConfigRequest{TypeName: i.typeName, Config: encoded})
	if err != nil {
		i.t.Fatal(err)
	}
	if errorsIn(validated.Diagnostics) != "" {
		return nil, nil, validated.Diagnostics
	}
	stream, err := server.ListResource(i.ctx, &tfprotov6.ListResourceRequest{TypeName: i.typeName, Config: encoded, Limit: limit, IncludeResource: include})
	if err != nil {
		i.t.Fatal(err)
	}
	for result := range stream.Results {
		diagnostics = append(diagnostics, result.Diagnostics...)
		if result.Identity == nil {
			continue
		}
		names = append(names, result.DisplayName)
		one := i.as(i.typeName)
		one.id = result.Identity
		if result.Resource != nil {
			one.state = i.value(result.Resource)
		}
		listed = append(listed, one)
	}
	return names, listed, diagnostics
}

// populated is a cluster with something of all in two projects.
func populated(t *testing.T, s *pachtest.Server) {
	t.Helper()
	i := newInstance(t, s)
	apply := func(kind string, config object) {
		t.Helper()
		one := i.as("pachyderm_" + kind)
		one.must(one.apply(config))
	}
	apply("project", object{"name": "other", "description": "x"})
	for _, project := range []string{"default", "other"} {
		apply("spout", kafkaSpout(object{"name": "orders", "project": project}))
		apply("spout", transformSpout(object{"name": "sensors", "project": project}))
		apply("repo", object{"name": "images", "project": project, "description": "y"})
		apply("repo", object{"name": "oranges", "project": project})
		putFileIn(t, s, project, "images", "master", "/a")
		apply("branch", object{"name": "staged", "repo": "images", "project": project})
		apply("branch", object{"name": "batched", "repo": "orders", "project": project, "trigger": object{"branch": "master", "commits": 5}})
		request := &pps.CreatePipelineRequest{Pipeline: &pps.Pipeline{Name: "edges", Project: &pfs.Project{Name: project}},
			Transform: &pps.Transform{Image: "x", Cmd: []string{"y"}},
			Input:     &pps.Input{Pfs: &pps.PFSInput{Project: project, Repo: "images", Branch: "master", Glob: "/"}}}
		if _, err := client(t, s).PPS.CreatePipeline(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	apply("secret", secret(nil))
	apply("secret", secret(object{"name": "mqtt"}))
}

func TestLists(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		populated(t, s)
		for _, c := range []struct {
			kind   string
			config object
			want   string
		}{
			{"spout", object{}, "default/orders default/sensors other/orders other/sensors"},
			{"spout", object{"project": "other"}, "other/orders other/sensors"},
			{"spout", object{"name_prefix": "sen"}, "default/sensors other/sensors"},
			{"spout", object{"project": "default", "name_prefix": "x"}, ""},
			{"spout", object{"project": "none"}, ""},
			{"pipeline", object{}, "default/edges other/edges"},
			{"pipeline", object{"project": "default", "name_prefix": "ed"}, "default/edges"},
			{"project", object{}, "default other"},
			{"project", object{"name_prefix": "o"}, "other"},
			{"repo", object{}, "default/images default/oranges other/images other/oranges"},
			{"repo", object{"project": "other", "name_prefix": "or"}, "other/oranges"},
			{"branch", object{"project": "default"}, "default/images@master default/images@staged default/orders@batched"},
			{"branch", object{"repo": "images", "name_prefix": "st"}, "default/images@staged other/images@staged"},
			{"secret", object{}, "kafka mqtt"},
			{"secret", object{"name_prefix": "m"}, "mqtt"},
		} {
			i := newInstance(t, s).as("pachyderm_" + c.kind)
			names, listed, diagnostics := i.query(c.config, 0, true)
			i.must(diagnostics)
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("%s %v: %s, not %s", c.kind, c.config, got, c.want)
			}
			for n, one := range listed {
				imported := newInstance(t, s).as("pachyderm_" + c.kind)
				imported.must(imported.importID(names[n], nil))
				if !one.state.Equal(imported.state) {
					t.Errorf("%s %s: listed as %v, imported as %v", c.kind, names[n], plain(t, one.state), plain(t, imported.state))
				}
				identity := one.id.IdentityData
				if fmt.Sprint(identity) != fmt.Sprint(imported.id.IdentityData) {
					t.Errorf("%s %s: the identity is %v, not %v", c.kind, names[n], identity, imported.id.IdentityData)
				}
			}
			// Neither more than the limit, nor more calls than that takes.
			if len(names) > 1 {
				before := len(s.Calls(""))
				names, listed, diagnostics = i.query(c.config, 1, false)
				i.must(diagnostics)
				if len(names) != 1 || !listed[0].state.IsNull() || len(s.Calls(""))-before > 2 {
					t.Errorf("%s %v: %v with a limit of 1, and %d calls", c.kind, c.config, names, len(s.Calls(""))-before)
				}
			}
		}
	})
}

// What is wrong is a result of the list, and the rest of it still comes.
func TestListErrors(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	populated(t, s)
	provider := newInstance(t, s, onlyOnce)
	for kind, method := range map[string]string{"spout": "ListPipeline", "pipeline": "ListPipeline", "project": "ListProject", "repo": "ListRepo", "branch": "ListRepo", "secret": "ListSecret"} {
		i := provider.as("pachyderm_" + kind)
		for _, f := range failures {
			fault := f.inject(s, method)
			_, _, diagnostics := i.query(object{}, 0, false)
			fault.Remove()
			if err := contains(errorsIn(diagnostics), "Cannot list pachyderm_"+kind, f.want); err != nil {
				t.Errorf("%s: %s: %v", kind, f.name, err)
			}
		}
		_, _, diagnostics := i.query(object{"name_prefix": ""}, 0, false)
		i.must(diagnostics) // as if it were left out
	}
	i := provider.as("pachyderm_secret")
	s.Inject(pachtest.Fault{Method: "InspectSecret", Before: status.Error(codes.PermissionDenied, "not authorized to perform this operation")})
	_, listed, diagnostics := i.query(object{}, 0, true)
	if err := contains(errorsIn(diagnostics), "secret kafka", "role"); err != nil {
		t.Error(err)
	}
	if len(listed) == 0 || listed[len(listed)-1].get("name") != "mqtt" {
		t.Error("the other secret is missing")
	}
	// One that is deleted meanwhile is none.
	s.Inject(pachtest.Fault{Method: "InspectPipeline", Before: status.Error(codes.NotFound, "not found")})
	names, _, diagnostics := provider.as("pachyderm_spout").query(object{"project": "default"}, 0, true)
	i.must(diagnostics)
	if !slices.Equal(names, []string{"default/sensors"}) {
		t.Errorf("listed %v", names)
	}
	nowhere := newInstanceOf(t, object{"address": unknown{}}).as("pachyderm_spout")
	if _, _, diagnostics = nowhere.query(object{}, 0, false); contains(errorsIn(diagnostics), "not known yet") != nil {
		t.Error(errorsIn(diagnostics))
	}
}

func TestListRoleBindings(t *testing.T) {
	t.Parallel()
	s, i := bindingsOf(t, pachtest.Version26, nil)
	for _, on := range []object{onRepo, {"type": "cluster"}} {
		one := i.as("pachyderm_role_binding")
		one.must(one.apply(binding(object{"resource": on})))
	}
	pipeline := i.as("pachyderm_role_binding")
	pipeline.must(pipeline.apply(binding(object{"principal": "pipeline:default/edges"})))
	for _, c := range []struct {
		config object
		want   string
	}{
		{object{"name_prefix": "robot:"}, "cluster/robot:ci repo/default/images/robot:ci"},
		{object{"project": "default", "name_prefix": "robot:"}, "repo/default/images/robot:ci"},
		{object{"name_prefix": "pipeline:"}, ""},
		{object{"project": "none"}, ""},
	} {
		names, listed, diagnostics := i.query(c.config, 0, true)
		i.must(diagnostics)
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%v: %s, not %s", c.config, got, c.want)
		}
		for n, one := range listed {
			imported := i.as("pachyderm_role_binding")
			imported.must(imported.importID(names[n], nil))
			if !one.state.Equal(imported.state) {
				t.Errorf("%s: listed as %v, imported as %v", names[n], plain(t, one.state), plain(t, imported.state))
			}
		}
	}
	s.Inject(pachtest.Fault{Method: "GetRoleBinding", Before: status.Error(codes.PermissionDenied, "not authorized to perform this operation")})
	if _, _, diagnostics := i.query(object{}, 0, false); contains(errorsIn(diagnostics), "Cannot list pachyderm_role_binding") != nil {
		t.Error(errorsIn(diagnostics))
	}
	open := newInstance(t, pachtest.New(t)).as("pachyderm_role_binding")
	names, _, diagnostics := open.query(object{}, 0, true)
	open.must(diagnostics)
	if len(names) > 0 {
		t.Errorf("without authentication there are %v", names)
	}
}
