// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-log/tflogtest"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

func TestSchemasAreSound(t *testing.T) {
	t.Parallel()
	server := providerserver.NewProtocol6(New(testVersion)())()
	schemas, err := server.GetProviderSchema(context.Background(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range schemas.Diagnostics {
		t.Errorf("%s: %s", d.Summary, d.Detail)
	}
	identities, err := server.GetResourceIdentitySchemas(context.Background(), &tfprotov6.GetResourceIdentitySchemasRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range identities.Diagnostics {
		t.Errorf("%s: %s", d.Summary, d.Detail)
	}
	for name, s := range schemas.ResourceSchemas {
		undocumented(t, name, s.Block.Attributes)
	}
	undocumented(t, "provider", schemas.Provider.Block.Attributes)
	for _, kind := range []map[string]*tfprotov6.Schema{schemas.DataSourceSchemas, schemas.EphemeralResourceSchemas, schemas.ListResourceSchemas} {
		for name, s := range kind {
			undocumented(t, name, s.Block.Attributes)
		}
	}
	for name, s := range schemas.ActionSchemas {
		undocumented(t, name, s.Schema.Block.Attributes)
	}
	for name, f := range schemas.Functions {
		for _, p := range f.Parameters {
			if p.Description == "" || f.Summary == "" || f.Description == "" {
				t.Errorf("the function %s or its parameter %s has no description", name, p.Name)
			}
		}
	}
	for name := range schemas.ListResourceSchemas {
		if schemas.ResourceSchemas[name] == nil {
			t.Errorf("%s can be listed, but not managed", name)
		}
	}
}

// undocumented fails for attributes without a description.
func undocumented(t *testing.T, at string, attributes []*tfprotov6.SchemaAttribute) {
	t.Helper()
	for _, a := range attributes {
		if a.Description == "" && a.Name != "timeouts" {
			t.Errorf("%s.%s has no description", at, a.Name)
		}
		if a.NestedType != nil {
			undocumented(t, at+"."+a.Name, a.NestedType.Attributes)
		}
	}
}

func environment(values map[string]string) Option {
	return WithGetenv(func(name string) string { return values[name] })
}

// A configuration that says not enough, or too much, says so.
func TestProviderConfiguration(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(`{"v2":{"active_context":"a","contexts":{"a":{"pachd_address":"grpc://127.0.0.1:1","session_token":"planted-token"}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		config object
		env    map[string]string
		want   []string
	}{
		{"nothing", object{}, nil, []string{"address", "PACHD_ADDRESS", "no default address"}},
		{"token of another address", object{"config_path": file, "auth_token": "planted-token-2"}, nil, []string{"auth_token", "Set address too"}},
		{"id token of another address", object{"config_path": file, "id_token": "planted-token-2"}, nil, []string{"id_token", "Set address too"}},
		{"authorities without TLS", object{"address": "grpc://a:1", "ca_certificate": testPEM}, nil, []string{"not encrypted", "grpcs://a:1"}},
		{"no authorities", object{"address": "grpcs://a:1", "ca_certificate": "x"}, nil, []string{"PEM"}},
		{"no time", object{"address": "grpc://a:1", "request_timeout": "0s"}, nil, []string{"request_timeout"}},
		{"environment", object{}, map[string]string{"PACHD_ADDRESS": "grpc://a/b"}, []string{"PACHD_ADDRESS", "without a path"}},
	} {
		_, diagnostics := tryInstanceOf(t, c.config, environment(c.env))
		if err := contains(errorsIn(diagnostics), c.want...); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if strings.Contains(errorsIn(diagnostics), "planted-token") {
			t.Errorf("%s: the message has a token in it", c.name)
		}
	}
}

// Values that are not known yet are not replaced by others: planning goes on
// without the server, and whoever needs it is told what to do.
func TestProviderUnknownConfiguration(t *testing.T) {
	t.Parallel()
	env := environment(map[string]string{"PACHD_ADDRESS": "grpc://127.0.0.1:1"})
	i := newInstanceOf(t, object{"address": unknown{}}, env)
	if _, diagnostics := i.plan(kafkaSpout(nil)); errorsIn(diagnostics) != "" {
		t.Errorf("planning a new spout: %s", errorsIn(diagnostics))
	}
	if err := contains(errorsIn(i.apply(kafkaSpout(nil))), "address", "not known yet", "PACHD_ADDRESS"); err != nil {
		t.Error(err)
	}
	// An unknown default project is no reason to replace.
	s := pachtest.New(t)
	made := newInstance(t, s)
	made.must(made.apply(kafkaSpout(nil)))
	i = newInstanceOf(t, object{"address": s.Address(), "default_project": unknown{}})
	i.state, i.id = made.state, made.id
	planned, diagnostics := i.plan(kafkaSpout(object{"description": "new"}))
	i.must(diagnostics)
	if len(planned.RequiresReplace) > 0 {
		t.Error("the plan replaces the spout")
	}

	// A Terraform that can defer is told to.
	server := providerserver.NewProtocol6(New(testVersion, env)())()
	schemas, err := server.GetProviderSchema(context.Background(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	kind := schemas.Provider.ValueType()
	if _, err = server.ConfigureProvider(context.Background(), &tfprotov6.ConfigureProviderRequest{
		Config:             i.dynamic(kind, valueOf(t, kind, object{"address": unknown{}})),
		ClientCapabilities: &tfprotov6.ConfigureProviderClientCapabilities{DeferralAllowed: true}}); err != nil {
		t.Fatal(err)
	}
	null := i.dynamic(i.kind, valueOf(t, i.kind, nil))
	config := i.dynamic(i.kind, valueOf(t, i.kind, kafkaSpout(nil)))
	plan, err := server.PlanResourceChange(context.Background(), &tfprotov6.PlanResourceChangeRequest{TypeName: "pachyderm_spout",
		Config: config, ProposedNewState: config, PriorState: null, ClientCapabilities: &tfprotov6.PlanResourceChangeClientCapabilities{DeferralAllowed: true}})
	if err != nil {
		t.Fatal(err)
	}
	if plan.Deferred == nil || plan.Deferred.Reason != tfprotov6.DeferredReasonProviderConfigUnknown {
		t.Errorf("deferred: %v, %s", plan.Deferred, errorsIn(plan.Diagnostics))
	}
}

// The wrong cluster gets neither changes nor a token.
func TestProviderGuard(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t, pachtest.WithClusterID("cluster", "production"), pachtest.WithAuth("root"))
	wrong := newInstanceOf(t, object{"address": s.Address(), "auth_token": "root", "cluster_deployment_id": "staging"})
	if err := contains(errorsIn(wrong.apply(kafkaSpout(nil))), `"production"`, `"staging"`, "cluster_deployment_id"); err != nil {
		t.Error(err)
	}
	for _, call := range s.Calls("") {
		if call.Method != "/admin_v2.API/InspectCluster" {
			t.Errorf("%s was called", call.Method)
		}
	}
	right := newInstanceOf(t, object{"address": s.Address(), "auth_token": "root", "cluster_deployment_id": "production"})
	right.must(right.apply(kafkaSpout(nil)))
}

func TestProviderUserAgent(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	i := newInstance(t, s, environment(map[string]string{"TF_APPEND_USER_AGENT": "ci/7"}))
	i.must(i.apply(kafkaSpout(nil)))
	want := "terraform-provider-pachyderm/" + testVersion + " Terraform/1.14.0 ci/7"
	for _, call := range s.Calls("CreatePipeline") {
		if !strings.HasPrefix(call.UserAgent, want) {
			t.Errorf("user agent %q, not %q", call.UserAgent, want)
		}
	}
}

// Tokens and the values of secrets are in no state, no log and no message.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	for _, version := range []string{pachtest.Version26, pachtest.Version211} {
		s := pachtest.New(t, pachtest.WithVersion(version), pachtest.WithAuth("planted-root-token"))
		s.AddToken("planted-robot-token", "robot:terraform", auth.ClusterAdminRole)
		s.AddToken("planted-reader-token", "robot:reader")
		s.AddKubernetesSecret("kafka", map[string]string{"username": "planted-user", "password": "planted-password", "key": "planted-key"})
		config := kafkaSpout(object{"kafka.tls": object{}, "kafka.sasl": object{"mechanism": "plain", "credentials_secret": object{"name": "kafka"}},
			"secret_env": object{"KEY": object{"secret": "kafka", "key": "key"}}, "force_destroy": true})
		var log bytes.Buffer
		i := newInstanceOf(t, object{"address": s.Address(), "auth_token": "planted-robot-token"})
		i.ctx = tflogtest.RootLogger(context.Background(), &log)
		var messages []string
		note := func(d []*tfprotov6.Diagnostic) { messages = append(messages, errorsIn(d), warningsIn(d)) }
		note(i.apply(config))
		note(i.refresh())
		if strings.Contains(i.state.String(), "planted") {
			t.Errorf("%s: the state has a secret in it: %s", version, i.state)
		}
		wrong := newInstanceOf(t, object{"address": s.Address(), "auth_token": "planted-wrong-token"})
		wrong.ctx = i.ctx
		note(wrong.apply(kafkaSpout(object{"name": "other"})))
		reader := newInstanceOf(t, object{"address": s.Address(), "auth_token": "planted-reader-token"})
		reader.state, reader.id, reader.ctx = i.state, i.id, i.ctx
		note(reader.apply(kafkaSpout(object{"description": "new"})))
		note(i.destroy())
		text := strings.Join(messages, "\n")
		if err := contains(text, "not valid", "role"); err != nil {
			t.Errorf("%s: %v", version, err)
		}
		if strings.Contains(text, "planted") {
			t.Errorf("%s: a message has a secret in it: %s", version, text)
		}
		if log.Len() == 0 || strings.Contains(log.String(), "planted") {
			t.Errorf("%s: the log is empty or has a secret in it: %s", version, log.String())
		}
	}
}
