// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"testing"

	"github.com/gogo/protobuf/jsonpb"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// call calls a function of the provider, without any configuration.
func call(t *testing.T, name string, argument tftypes.Value, parameter tftypes.Type) (any, string) {
	t.Helper()
	server := providerserver.NewProtocol6(New(testVersion)())()
	encoded, err := tfprotov6.NewDynamicValue(parameter, argument)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := server.CallFunction(context.Background(), &tfprotov6.CallFunctionRequest{Name: name, Arguments: []*tfprotov6.DynamicValue{&encoded}})
	if err != nil {
		t.Fatal(err)
	}
	if reply.Error != nil {
		return nil, reply.Error.Text
	}
	functions, err := server.GetFunctions(context.Background(), &tfprotov6.GetFunctionsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	result, err := reply.Result.Unmarshal(functions.Functions[name].Return.Type)
	if err != nil {
		t.Fatal(err)
	}
	return plain(t, result), ""
}

func callText(t *testing.T, name, argument string) (any, string) {
	t.Helper()
	return call(t, name, tftypes.NewValue(tftypes.String, argument), tftypes.String)
}

func TestParseID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]any{
		"default/orders":        object{"project": "default", "name": "orders"},
		"orders":                object{"name": "orders"},
		"default/orders@master": object{"project": "default", "name": "orders", "branch": "master"},
	} {
		got, problem := callText(t, "parse_id", id)
		if problem != "" || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v %s", id, got, problem)
		}
	}
	for _, id := range []string{"", "/orders", "a/", "a/b/c", "a/b@", "a/b@c@d", "@x"} {
		if got, problem := callText(t, "parse_id", id); problem == "" {
			t.Errorf("%q: %v", id, got)
		} else if err := contains(problem, "project/name", fmt.Sprintf("%q", id)); err != nil {
			t.Error(err)
		}
	}
}

func TestQuantityBytes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{"1Gi": 1 << 30, "500M": 5e8, "0.5Gi": 1 << 29, "1k": 1000, "64MiB": 64 << 20, "12": 12, "2e3": 2000, "1000m": 1} {
		if got, problem := callText(t, "quantity_bytes", text); got != want {
			t.Errorf("%s: %v %s", text, got, problem)
		}
	}
	for text, want := range map[string]string{"much": "quantity", "1Mb": "quantity", "": "quantity", "-1Gi": "quantity", "500m": "whole number", "0.3": "whole number"} {
		got, problem := callText(t, "quantity_bytes", text)
		if err := contains(problem, want); err != nil {
			t.Errorf("%q: %v: %v", text, got, err)
		}
	}
}

// dynamic makes a value whose type is that of an expression in HCL.
func dynamic(v any) tftypes.Value {
	switch v := v.(type) {
	case nil:
		return tftypes.NewValue(tftypes.DynamicPseudoType, nil)
	case string:
		return tftypes.NewValue(tftypes.String, v)
	case bool:
		return tftypes.NewValue(tftypes.Bool, v)
	case int:
		return tftypes.NewValue(tftypes.Number, int64(v))
	case float64:
		return tftypes.NewValue(tftypes.Number, v)
	case object:
		types, values := map[string]tftypes.Type{}, map[string]tftypes.Value{}
		for name, child := range v {
			values[name] = dynamic(child)
			types[name] = values[name].Type()
		}
		return tftypes.NewValue(tftypes.Object{AttributeTypes: types}, values)
	case []any:
		types, values := []tftypes.Type{}, []tftypes.Value{}
		for _, child := range v {
			values = append(values, dynamic(child))
			types = append(types, values[len(values)-1].Type())
		}
		return tftypes.NewValue(tftypes.Tuple{ElementTypes: types}, values)
	}
	panic(fmt.Sprintf("%T", v))
}

// requestJSON is a request as the function renders it.
func requestJSON(request *pps.CreatePipelineRequest) (object, error) {
	text, err := (&jsonpb.Marshaler{OrigName: true}).MarshalToString(request)
	if err != nil {
		return nil, err
	}
	var out object
	err = json.Unmarshal([]byte(text), &out)
	return out, err
}

func callSpec(t *testing.T, spout object) (object, string) {
	t.Helper()
	text, problem := call(t, "spout_spec", dynamic(spout), tftypes.DynamicPseudoType)
	if problem != "" {
		return nil, problem
	}
	var spec object
	if err := json.Unmarshal([]byte(text.(string)), &spec); err != nil {
		t.Fatal(err)
	}
	return spec, ""
}

// The function says what the resource submits, for each of its attributes.
func TestSpoutSpecIsWhatIsSubmitted(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	s.AddKubernetesSecret("kafka-user", map[string]string{"username": "u", "password": "p", "user": "u", "pass": "p"})
	s.AddKubernetesSecret("kafka-tls", map[string]string{"tls.crt": "c", "tls.key": "k", "cert": "c", "key": "k"})
	i := newInstance(t, s)
	for n, l := range leafCases {
		spout := l.base()(object{"name": fmt.Sprintf("leaf-%d", n), "project": "default", l.path: l.b})
		spec, problem := callSpec(t, spout)
		if problem != "" {
			t.Errorf("%s: %s", l.path, problem)
			continue
		}
		i = i.as("pachyderm_spout")
		i.must(i.apply(spout))
		calls := s.Calls("CreatePipeline")
		request, ok := calls[len(calls)-1].Request.(*pps.CreatePipelineRequest)
		if !ok {
			t.Fatalf("%T", calls[len(calls)-1].Request)
		}
		submitted, err := requestJSON(request)
		if err != nil {
			t.Fatal(err)
		}
		delete(submitted, "salt") // of this one creation
		if !reflect.DeepEqual(spec, submitted) {
			t.Errorf("%s: the function says %v, the resource submits %v", l.path, spec, submitted)
		}
		i.must(i.destroy())
	}
}

func TestSpoutSpecSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		spout object
		want  []string
	}{
		{kafkaSpout(object{"name": "Orders"}), []string{"name", "lower-case"}},
		{kafkaSpout(object{"kafka.topic": "x"}), []string{"spout.kafka", `"topic"`, `"topics"`}},
		{kafkaSpout(object{"kafka.topics": "orders"}), []string{"spout.kafka.topics", "list"}},
		{kafkaSpout(object{"batch": "x"}), []string{"spout.batch", "object"}},
		{kafkaSpout(object{"paused": "yes"}), []string{"spout.paused", "bool"}},
		{kafkaSpout(object{"batch.max_age": "2 hours"}), []string{"batch.max_age"}},
		{object{"kafka": object{"brokers": []any{"a:1"}, "topics": []any{"b"}}}, []string{"name"}},
		{object{"name": "orders"}, []string{"kafka", "transform"}},
	} {
		_, problem := callSpec(t, c.spout)
		if err := contains(problem, c.want...); err != nil {
			t.Errorf("%v: %v", c.spout, err)
		}
	}
	if spec, problem := callSpec(t, kafkaSpout(nil)); problem != "" || !reflect.DeepEqual(spec["pipeline"], object{"name": "orders"}) {
		t.Errorf("without a project: %v %s", spec["pipeline"], problem)
	}
}

// Terraform calls the functions, with a whole resource too.
func TestFunctionsInTerraform(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	unitTest(t, resource.TestStep{Config: withProvider(s, spoutConfig()+`
output "id"   { value = provider::pachyderm::parse_id(pachyderm_spout.test.id).name }
output "size" { value = provider::pachyderm::quantity_bytes("1Gi") }
output "cmd"  { value = jsondecode(provider::pachyderm::spout_spec(pachyderm_spout.test)).transform.cmd[0] }
output "env"  { value = jsondecode(provider::pachyderm::spout_spec({ name = "a", env = { A = "b" }, transform = { image = "i", cmd = ["c"] } })).transform.env.A }
`), ConfigStateChecks: []statecheck.StateCheck{
		statecheck.ExpectKnownOutputValue("id", knownvalue.StringExact("orders")),
		statecheck.ExpectKnownOutputValue("size", knownvalue.Int64Exact(1<<30)),
		statecheck.ExpectKnownOutputValue("cmd", knownvalue.StringExact("/spout-runner")),
		statecheck.ExpectKnownOutputValue("env", knownvalue.StringExact("b")),
	}}, resource.TestStep{Config: withProvider(s, spoutConfig()+`output "id" { value = provider::pachyderm::parse_id("a/b/c") }`),
		ExpectError: regexp.MustCompile(`project/name`)}, resource.TestStep{Config: withProvider(s, spoutConfig())})
}
