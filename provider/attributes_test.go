// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// objectLeaf is an attribute of an object around a spout.
type objectLeaf struct {
	leaf
	required bool // it cannot be left out
	replaces bool // a change replaces the object
	computed any  // what it is when it is left out
}

func required(path string, a, b any) objectLeaf {
	return objectLeaf{leaf: leaf{path: path, a: a, b: b}, required: true}
}

func replaces(path string, a, b any) objectLeaf {
	return objectLeaf{leaf: leaf{path: path, a: a, b: b}, replaces: true}
}

func optional(path string, a, b any) objectLeaf {
	return objectLeaf{leaf: leaf{path: path, a: a, b: b}}
}

func withDefault(path string, a, b, otherwise any) objectLeaf {
	return objectLeaf{leaf: leaf{path: path, a: a, b: b}, computed: otherwise}
}

var timeoutLeaf = optional("timeouts", object{"create": "1m", "update": "1m", "delete": "1m"}, object{"create": "2m", "update": "3m", "delete": "4m"})

// objectLeaves are the attributes of each resource but the spout, whose own are
// leafCases, with the rest of its configuration.
var objectLeaves = map[string]struct {
	config object
	leaves []objectLeaf
}{
	"pachyderm_project": {object{"name": "team-a"}, []objectLeaf{
		replaces("name", "team-a", "team-b"), optional("description", "one", "two"), withDefault("force_destroy", true, false, false), timeoutLeaf}},
	"pachyderm_repo": {object{"name": "pictures"}, []objectLeaf{
		replaces("project", "default", "team"), replaces("name", "pictures", "films"), optional("description", "one", "two"),
		withDefault("force_destroy", true, false, false), timeoutLeaf}},
	"pachyderm_branch": {object{"repo": "images", "name": "batched"}, []objectLeaf{
		replaces("project", "default", "team"), replaces("repo", "images", "other"), replaces("name", "batched", "daily"),
		optional("provenance", []any{object{"repo": "other", "branch": "master"}}, []any{object{"project": "default", "repo": "other", "branch": "live"}}),
		optional("trigger", object{"branch": "master", "commits": 3.0, "all": true}, object{"branch": "live", "commits": 4.0, "size": "1MB", "rate_limit_spec": "@daily", "all": false}),
		timeoutLeaf}},
	"pachyderm_secret": {object{"name": "kafka", "data_wo": object{"user": "u"}, "data_wo_version": 1.0}, []objectLeaf{
		replaces("name", "kafka", "registry"), withDefault("type", "example.com/a", "example.com/b", "Opaque"),
		optional("labels", object{"team": "a"}, object{"team": "b", "more": ""}), required("data_wo_version", 1.0, 2.0), timeoutLeaf}},
	"pachyderm_role_binding": {object{"resource": object{"type": "repo", "name": "images"}, "principal": "robot:ci", "roles": []any{"repoReader"}}, []objectLeaf{
		replaces("resource", object{"type": "repo", "name": "images"}, object{"type": "repo", "project": "default", "name": "other"}),
		replaces("principal", "robot:ci", "group:Data Engineers"), required("roles", []any{"repoReader"}, []any{"repoReader", "repoWriter"}), timeoutLeaf}},
	"pachyderm_pipeline": {object{"name": "edges", "spec": spec(nil)}, []objectLeaf{
		replaces("project", "default", "team"), replaces("name", "edges", "lines"), required("spec", spec(nil), spec(object{"description": "new"})),
		withDefault("paused", true, false, false), withDefault("reprocess_on_update", true, false, false), withDefault("wait_for", "created", "running", "running"),
		withDefault("force_destroy", true, false, false), withDefault("keep_output_repo", true, false, false), timeoutLeaf}},
}

// Each attribute of the objects around a spout can be set, changed and left
// out, and after none of it is there anything left to plan.
func TestEachAttributeOfObjects(t *testing.T) {
	t.Parallel()
	for _, version := range []string{pachtest.Version26, pachtest.Version211} {
		for typeName, c := range objectLeaves {
			for _, l := range c.leaves {
				t.Run(version+"/"+typeName+"/"+l.path, func(t *testing.T) {
					t.Parallel()
					s, i := bindingsOf(t, version, nil)
					repo := i.as("pachyderm_repo")
					repo.must(repo.apply(object{"name": "other"}))
					l.exercise(t, s, i.as(typeName), c.config)
				})
			}
		}
	}
}

func (l objectLeaf) exercise(t *testing.T, s *pachtest.Server, i *instance, config object) {
	t.Helper()
	with := func(v any) object { return merged(config, object{l.path: v}) }
	values := []any{l.a, l.b, nil}
	if l.required || l.replaces {
		values = values[:2]
	}
	for n, v := range values {
		if n > 0 && l.replaces {
			planned, diagnostics := i.plan(with(v))
			if i.must(diagnostics); len(planned.RequiresReplace) == 0 {
				t.Errorf("%v does not replace it", v)
			}
			continue
		}
		i.must(i.apply(with(v)))
		want := v
		if v == nil {
			want = l.computed
		}
		if got := i.get(l.path); !holds(got, want) {
			t.Errorf("it is %v, should be %v", got, want)
		}
		settles(t, s, i, with(v))
	}
	i.must(i.destroy())
}

// holds says whether a value is what was set, and what the provider has added.
func holds(got, want any) bool {
	if want, ok := want.(object); ok {
		got, _ := got.(object)
		for name, v := range want {
			if !holds(got[name], v) {
				return false
			}
		}
		return true
	}
	if want, ok := want.([]any); ok {
		got, _ := got.([]any)
		return slices.EqualFunc(got, want, holds)
	}
	return reflect.DeepEqual(got, want)
}

// coveredElsewhere are attributes that have a test of their own.
var coveredElsewhere = map[string]string{
	"pachyderm_branch.head":                "TestBranch",
	"pachyderm_branch.trigger.cron_spec":   "TestBranchCronNeedsNewerServer",
	"pachyderm_secret.data_wo":             "TestSecret",
	"pachyderm_spout.project":              "TestSpoutReplace",
	"pachyderm_spout.name":                 "TestSpoutReplace",
	"pachyderm_spout.paused":               "TestSpoutPause",
	"pachyderm_spout.restart_triggers":     "TestSpoutRestartTriggers",
	"pachyderm_spout.force_destroy":        "TestSpoutDataIsKept",
	"pachyderm_spout.keep_output_repo":     "TestSpoutDataIsKept",
	"pachyderm_spout.wait_for":             "TestSpoutThatDoesNotComeUp",
	"pachyderm_spout.kafka.topics_pattern": "TestTopicsPattern",
}

// Each attribute that can be set is in a table of what is set, changed and left
// out. One that is new has to be added there.
func TestEachAttributeHasACase(t *testing.T) {
	t.Parallel()
	schemas := newInstanceOf(t, object{"address": "grpc://localhost:1"}).schemas.ResourceSchemas
	seen := map[string]bool{}
	for _, l := range leafCases {
		spout := schemas["pachyderm_spout"].Block.Attributes
		exercised(seen, "pachyderm_spout", spout, merged(nil, object{l.path: l.a}))
		exercised(seen, "pachyderm_spout", spout, merged(nil, object{l.path: l.b}))
	}
	for _, registry := range registryCases {
		exercised(seen, "pachyderm_spout", schemas["pachyderm_spout"].Block.Attributes, merged(nil, object{"schema_registry": registry}))
	}
	for typeName, c := range objectLeaves {
		for _, l := range c.leaves {
			exercised(seen, typeName, schemas[typeName].Block.Attributes, merged(nil, object{l.path: l.a}))
			exercised(seen, typeName, schemas[typeName].Block.Attributes, merged(nil, object{l.path: l.b}))
		}
	}
	for typeName, schema := range schemas {
		for _, path := range settable(typeName, schema.Block.Attributes) {
			switch {
			case seen[path] && coveredElsewhere[path] != "":
				t.Errorf("%s has a case: take it off coveredElsewhere", path)
			case !seen[path] && coveredElsewhere[path] == "":
				t.Errorf("no case sets %s: add one to leafCases or objectLeaves", path)
			}
		}
	}
}

// settable lists the attributes that a configuration can set and that hold no
// others.
func settable(at string, attributes []*tfprotov6.SchemaAttribute) (paths []string) {
	for _, a := range attributes {
		switch {
		case !a.Optional && !a.Required:
		case a.NestedType != nil:
			paths = append(paths, settable(at+"."+a.Name, a.NestedType.Attributes)...)
		default:
			paths = append(paths, at+"."+a.Name)
		}
	}
	return paths
}

// exercised notes the attributes that a configuration sets.
func exercised(seen map[string]bool, at string, attributes []*tfprotov6.SchemaAttribute, config object) {
	for _, a := range attributes {
		v, at := config[a.Name], at+"."+a.Name
		switch {
		case v == nil:
		case a.NestedType == nil:
			seen[at] = true
		default:
			for _, one := range objectsOf(a.NestedType.Nesting, v) {
				exercised(seen, at, a.NestedType.Attributes, one)
			}
		}
	}
}

// objectsOf are the objects in the value of a nested attribute.
func objectsOf(nesting tfprotov6.SchemaObjectNestingMode, v any) (all []object) {
	switch v := v.(type) {
	case object:
		if nesting == tfprotov6.SchemaObjectNestingModeSingle {
			return []object{v}
		}
		for _, one := range v {
			all = append(all, one.(object))
		}
	case []any:
		for _, one := range v {
			all = append(all, one.(object))
		}
	default:
		panic(fmt.Sprintf("%v holds no objects", v))
	}
	return all
}
