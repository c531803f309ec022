// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// withoutEmpty are attributes of which the empty value is no value: what
// identifies an object, whose default the plan must show, and what has a type
// that has no empty value.
var withoutEmpty = []string{
	"pachyderm_spout.project", "pachyderm_spout.image", "pachyderm_pipeline.project", "pachyderm_pipeline.name",
	"pachyderm_repo.project", "pachyderm_branch.project", "pachyderm_role_binding.resource.project",
	"pachyderm_secret.data_wo", // what is written has at least one key
}

// presence says whether an object means something by being there.
func presence(path string) bool {
	source, ofSpout := strings.CutPrefix(path, "pachyderm_spout.")
	_, isSource := sourceSpouts[source]
	return ofSpout && isSource || path == "pachyderm_branch.trigger" || path == "pachyderm_role_binding.resource"
}

// emptyCase is an attribute with its empty value.
type emptyCase struct {
	path   string
	config object
}

// emptyCases are all attributes that may be left out and whose type has an
// empty value. Texts beside it that may not be left out are empty, too.
func emptyCases(at string, attributes []*tfprotov6.SchemaAttribute) (cases []emptyCase) {
	for _, a := range attributes {
		path := at + "." + a.Name
		switch {
		case slices.Contains(withoutEmpty, path) || !a.Optional && !a.Required:
		case a.NestedType != nil && a.NestedType.Nesting == tfprotov6.SchemaObjectNestingModeSingle:
			if beside, ok := emptyBeside(a.NestedType.Attributes); ok {
				for _, c := range emptyCases(path, a.NestedType.Attributes) {
					cases = append(cases, emptyCase{c.path, object{a.Name: merged(beside, c.config)}})
				}
				if !presence(path) {
					cases = append(cases, emptyCase{path, object{a.Name: beside}})
				}
			}
		case a.Required:
		default:
			if empty, ok := emptyOf(a); ok {
				cases = append(cases, emptyCase{path, object{a.Name: empty}})
			}
		}
	}
	return cases
}

// emptyBeside are the attributes of an object that may not be left out, empty.
func emptyBeside(attributes []*tfprotov6.SchemaAttribute) (object, bool) {
	values := object{}
	for _, a := range attributes {
		if !a.Required {
			continue
		}
		empty, ok := emptyOf(a)
		if a.NestedType != nil && a.NestedType.Nesting == tfprotov6.SchemaObjectNestingModeSingle {
			empty, ok = emptyBeside(a.NestedType.Attributes)
		}
		if !ok {
			return nil, false
		}
		values[a.Name] = empty
	}
	return values, true
}

func emptyOf(a *tfprotov6.SchemaAttribute) (any, bool) {
	kind := a.Type
	if a.NestedType != nil {
		switch a.NestedType.Nesting {
		case tfprotov6.SchemaObjectNestingModeMap:
			return object{}, true
		case tfprotov6.SchemaObjectNestingModeSingle:
			return nil, false
		default:
			return []any{}, true
		}
	}
	switch {
	case kind.Is(tftypes.String):
		return "", true
	case kind.Is(tftypes.Map{}):
		return object{}, true
	case kind.Is(tftypes.List{}), kind.Is(tftypes.Set{}):
		return []any{}, true
	}
	return nil, false
}

// An attribute that is empty is as good as one that is left out, everywhere:
// modules pass "" for what their user has not set. To write it and to take it
// out again sends nothing to Pachyderm.
func TestEmptyMeansUnset(t *testing.T) {
	t.Parallel()
	tried := 0
	for typeName, schema := range newInstanceOf(t, object{"address": "grpc://localhost:1"}).schemas.ResourceSchemas {
		cases := emptyCases(typeName, schema.Block.Attributes)
		tried += len(cases)
		t.Run(typeName, func(t *testing.T) {
			t.Parallel()
			s, i := bindingsOf(t, pachtest.Version26, nil)
			s.AddKubernetesSecret("kafka-user", map[string]string{"username": "u", "password": "p"})
			s.AddKubernetesSecret("kafka-tls", map[string]string{"tls.crt": "c", "tls.key": "k"})
			for _, c := range cases {
				i := i.as(typeName)
				base := baseOf(typeName, strings.TrimPrefix(c.path, typeName+"."))
				i.must(i.apply(base))
				writes := s.Writes()
				for _, config := range []object{deeply(base, c.config), base} {
					if said := errorsIn(i.apply(config)); said != "" {
						t.Fatalf("%s: %s", c.path, said)
					}
					settles(t, s, i, config)
				}
				if s.Writes() != writes {
					t.Errorf("%v was sent to Pachyderm", c.config)
				}
				i.must(i.destroy())
			}
		})
	}
	if tried < 80 {
		t.Errorf("only %d attributes were tried", tried)
	}
}

// baseOf is a configuration in which an attribute may be left out.
func baseOf(typeName, attribute string) object {
	config := objectLeaves[typeName].config
	switch {
	case typeName == "pachyderm_branch" && strings.HasPrefix(attribute, "trigger."):
		return merged(config, object{"trigger": object{"branch": "master", "commits": 3}})
	case typeName != "pachyderm_spout":
		return config
	case slices.Contains(strings.Split(attribute, "."), "tls"):
		source, _, _ := strings.Cut(attribute, ".")
		if _, ok := sourceSpouts[source]; ok {
			return spoutWith(attribute)(object{source + ".tls": object{}})
		}
	case attribute == "kafka.topics":
		return kafkaSpout(object{"kafka.topics": nil, "kafka.topics_pattern": "orders-.*"})
	case attribute == "rabbitmq.queues":
		return rabbitMQSpout(object{"rabbitmq.queues": nil, "rabbitmq.streams": []any{"clicks"}})
	}
	return spoutWith(attribute)(nil)
}

// deeply lays a configuration over another one; what the lower one has already
// stays, where the upper one would make it empty.
func deeply(base, over object) object {
	out := merged(base, nil)
	for name, v := range over {
		inner, isObject := v.(object)
		below, has := out[name].(object)
		switch {
		case isObject && has:
			out[name] = deeply(below, inner)
		case out[name] == nil:
			out[name] = v
		}
	}
	return out
}

// What is written in another order, or in another way, restarts nothing.
func TestSameInOtherWords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		transform  bool
		path       string
		a, b       any
		unchanging bool // the plan shows nothing either
	}{
		"order of topics":             {path: "kafka.topics", a: []any{"a", "b"}, b: []any{"b", "a"}, unchanging: true},
		"order of brokers":            {path: "kafka.brokers", a: []any{"a:1", "b:1"}, b: []any{"b:1", "a:1"}, unchanging: true},
		"order of fields":             {path: "records", a: object{"fields": []any{"a", "b"}, "mask": []any{"c=hash", "d=redact"}}, b: object{"fields": []any{"b", "a"}, "mask": []any{"d=redact", "c=hash"}}, unchanging: true},
		"order of extensions":         {path: "kafka.sasl", a: oauthbearer("a=1", "b=2"), b: oauthbearer("b=2", "a=1"), unchanging: true},
		"order of pull secrets":       {path: "runner.image_pull_secrets", a: []any{"a", "b"}, b: []any{"b", "a"}, unchanging: true},
		"order of exit codes":         {transform: true, path: "transform.accept_return_code", a: []any{3, 4}, b: []any{4, 3}, unchanging: true},
		"order of tolerations":        {path: "tolerations", a: []any{object{"key": "a", "operator": "Exists"}, object{"key": "b", "operator": "Exists"}}, b: []any{object{"key": "b", "operator": "Exists"}, object{"key": "a", "operator": "Exists"}}},
		"newline after a certificate": {path: "kafka.tls.ca_certificate", a: testPEM, b: strings.TrimSpace(testPEM), unchanging: true},
		"lines that end as elsewhere": {path: "kafka.tls.ca_certificate", a: testPEM, b: strings.ReplaceAll(testPEM, "\n", "\r\n"), unchanging: true},
		"a registry's certificate":    {path: "schema_registry", a: registryWithCA(testPEM), b: registryWithCA(testPEM + "\n"), unchanging: true},
		"no merge patch":              {path: "pod_spec", a: nil, b: "{}"},
		"no patch":                    {path: "pod_patch", a: nil, b: " [ ] "},
		"keys of a merge patch":       {path: "pod_spec", a: `{"hostNetwork":true,"hostPID":true}`, b: `{"hostPID":true, "hostNetwork":true}`, unchanging: true},
		"no triggers":                 {path: "restart_triggers", a: nil, b: object{}},
		"a limit without anything":    {path: "sidecar_resource_limits", a: nil, b: object{"cpu": "", "memory": ""}},
		"millicpus":                   {path: "resource_requests.cpu", a: "500m", b: "0.5", unchanging: true},
		"millicpus as a number":       {path: "resource_limits.cpu", a: "100m", b: "0.10", unchanging: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pachtest.New(t)
			s.AddKubernetesSecret("kafka-user", map[string]string{"username": "u", "password": "p"})
			i := newInstance(t, s)
			base := kafkaSpout
			if c.transform {
				base = transformSpout
			}
			with := func(v any) object {
				if c.path == "schema_registry" {
					return base(object{"file": object{"format": "avro"}, c.path: v})
				}
				return base(object{c.path: v})
			}
			i.must(i.apply(with(c.a)))
			imported := newInstance(t, s)
			imported.must(imported.importID("default/orders", nil))
			writes := s.Writes()
			if c.unchanging && i.changes(with(c.b)) {
				t.Error("the plan changes something")
			}
			for _, of := range []*instance{i, imported} {
				for _, v := range []any{c.b, c.a, c.b} {
					of.must(of.apply(with(v)))
					settles(t, s, of, with(v))
				}
			}
			if s.Writes() != writes {
				t.Errorf("%v was sent in place of %v", c.b, c.a)
			}
		})
	}
}

func oauthbearer(extensions ...any) object {
	return object{"mechanism": "oauthbearer", "token_url": "https://login.example.com/token", "extensions": extensions, "credentials_secret": object{"name": "kafka-user"},
		"allow_cleartext_credentials": true}
}

func registryWithCA(ca string) object {
	return object{"url": "https://registry.example.com", "tls": object{"ca_certificate": ca}}
}

// A mechanism that is empty is no login, whatever credentials a module passes
// along with it.
func TestEmptyMechanism(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	i := newInstance(t, s)
	i.must(i.apply(kafkaSpout(object{"kafka.sasl": object{"mechanism": "", "credentials_secret": object{"name": "kafka-user"}}})))
	if p := inspect(t, s, orders); len(p.Spec.Secrets) > 0 {
		t.Error(fmt.Sprint("credentials are sent: ", p.Spec.Secrets))
	}
}

// Names that Kubernetes takes are taken, and come back from an import.
func TestVariableNamesOfKubernetes(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	s.AddKubernetesSecret("keys", map[string]string{"a": "1"})
	i := newInstance(t, s)
	config := transformSpout(object{"env": object{"discovery.type": "x", "-a": "", ".b": ""}, "secret_env": object{"xpack.security-key": object{"secret": "keys", "key": "a"}},
		"metadata": object{"labels": object{"example.com/team": "a.b-c_D"}, "annotations": object{"Example.com/Note": "any text, \n of course"}}})
	i.must(i.apply(config))
	imported := newInstance(t, s)
	imported.must(imported.importID("default/orders", nil))
	if imported.changes(config) {
		t.Errorf("a plan after import changes something: %v", plain(t, imported.state))
	}
}
