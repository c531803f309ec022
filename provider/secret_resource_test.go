// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-log/tflogtest"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func secret(changes object) object {
	return merged(object{"name": "kafka", "data_wo": object{"user": "u", "password": "p"}, "data_wo_version": 1}, changes)
}

func secretOf(t *testing.T, s *pachtest.Server) *instance {
	t.Helper()
	return newInstance(t, s).as("pachyderm_secret")
}

// replaceSecret does what a user of pachctl would, some time later.
func replaceSecret(t *testing.T, s *pachtest.Server, data map[string]string) {
	t.Helper()
	c := client(t, s)
	if err := c.DeleteSecret(t.Context(), "kafka"); err != nil && !pachyderm.IsNotFound(err) {
		t.Fatal(err)
	}
	s.Advance(2 * time.Second)
	if err := c.CreateSecret(t.Context(), pachyderm.NewSecret{Name: "kafka", Data: data}); err != nil {
		t.Fatal(err)
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := secretOf(t, s)
		writes := 0
		for n, c := range []struct {
			config object
			calls  int // of CreateSecret
			data   map[string]string
			labels map[string]string
		}{
			{secret(nil), 1, map[string]string{"user": "u", "password": "p"}, nil},
			{secret(object{"data_wo": object{"user": "changed"}}), 0, map[string]string{"user": "u", "password": "p"}, nil}, // the version is what counts
			{secret(object{"data_wo": object{"user": "v", "text": "a\nb\x00ü"}, "data_wo_version": 2}), 1, map[string]string{"user": "v", "text": "a\nb\x00ü"}, nil},
			{secret(object{"data_wo_version": 2, "labels": object{"team": "data"}}), 1, map[string]string{"user": "u", "password": "p"}, map[string]string{"team": "data"}},
			{secret(object{"data_wo_version": 2, "labels": object{"team": "other", "example.com/x": ""}}), 1, nil, map[string]string{"team": "other", "example.com/x": ""}},
			{secret(object{"data_wo_version": 2}), 1, nil, nil},
			{secret(object{"data_wo_version": 2, "type": "example.com/mine"}), 1, nil, nil},
			{secret(object{"data_wo_version": 2, "type": "Opaque"}), 1, nil, nil},
			{secret(object{"data_wo_version": 2}), 0, nil, nil},
		} {
			diagnostics := i.apply(c.config)
			i.must(diagnostics)
			if warned := strings.Contains(warningsIn(diagnostics), "Restart the pipelines"); warned != (n > 0 && c.calls > 0) {
				t.Errorf("%d: warnings are %s", n, warningsIn(diagnostics))
			}
			if got := count(s, "CreateSecret") - writes; got != c.calls {
				t.Errorf("%d: %d calls of CreateSecret, not %d", n, got, c.calls)
			}
			writes = count(s, "CreateSecret")
			if data := s.SecretData("kafka"); c.data != nil && !maps.Equal(data, c.data) {
				t.Errorf("%d: the secret holds %v", n, data)
			}
			labels := s.SecretLabels("kafka")
			delete(labels, "suite")
			delete(labels, "secret-source")
			if !maps.Equal(labels, c.labels) {
				t.Errorf("%d: the labels are %v", n, labels)
			}
			if i.changes(c.config) {
				t.Errorf("%d: a second plan changes %v", n, plain(t, i.state))
			}
			i.must(i.refresh())
			if i.changes(c.config) {
				t.Errorf("%d: a plan after refresh changes %v", n, plain(t, i.state))
			}
			if i.get("data_wo") != nil {
				t.Errorf("%d: the data are in the state: %s", n, i.state)
			}
		}
		if i.get("id") != "kafka" || i.get("type") != "Opaque" {
			t.Errorf("the state is %v", plain(t, i.state))
		}
		imported := secretOf(t, s)
		imported.must(imported.importID("kafka", nil))
		if imported.changes(object{"name": "kafka"}) {
			t.Errorf("import: %v", plain(t, imported.state))
		}
		byIdentity := secretOf(t, s)
		byIdentity.must(byIdentity.importID("", object{"name": "kafka"}))
		// What was imported cannot be changed without its data.
		_, diagnostics := byIdentity.plan(object{"name": "kafka", "labels": object{"a": "b"}})
		if err := contains(errorsIn(diagnostics), "data_wo", "written as a whole"); err != nil {
			t.Error(err)
		}
		byIdentity.must(byIdentity.apply(secret(nil)))
		i.must(i.refresh())
		i.must(i.destroy())
		if s.SecretData("kafka") != nil {
			t.Error("the secret is still there")
		}
		withoutAnswer(t, s, "pachyderm_secret", "CreateSecret", "InspectSecret", secret(nil))
		_, diagnostics = secretOf(t, s).plan(object{"name": "kafka"})
		if err := contains(errorsIn(diagnostics), "data_wo"); err != nil {
			t.Error(err)
		}
	})
}

// A secret that somebody else deletes or replaces is written again.
func TestSecretDrift(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *pachtest.Server) {
		i := secretOf(t, s)
		i.must(i.apply(secret(nil)))
		replaceSecret(t, s, map[string]string{"other": "x"})
		if err := contains(warningsIn(i.refresh()), "replaced by somebody else"); err != nil {
			t.Error(err)
		}
		i.must(i.refresh())
		if !i.changes(secret(nil)) {
			t.Error("the plan does not see it")
		}
		i.must(i.apply(secret(nil)))
		if data := s.SecretData("kafka"); data["password"] != "p" || i.changes(secret(nil)) {
			t.Errorf("the secret holds %v, the state is %v", data, plain(t, i.state))
		}
		if err := client(t, s).DeleteSecret(t.Context(), "kafka"); err != nil {
			t.Fatal(err)
		}
		i.id = nil
		i.must(i.refresh())
		if !i.state.IsNull() {
			t.Error("it is still in the state")
		}
		i.must(i.apply(secret(nil)))
	})
}

// A create that fails after the delete is never passed over in silence, and
// the next apply makes up for it, with or without a refresh before.
func TestSecretReplaceFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault pachtest.Fault
		want  []string
	}{
		{"refused", pachtest.Fault{Method: "CreateSecret", Before: status.Error(codes.Unknown, "failed to create secret: exceeded quota")}, []string{"was deleted, and not created again", "quota", "next apply"}},
		{"denied", pachtest.Fault{Method: "CreateSecret", Before: status.Error(codes.PermissionDenied, "robot:x is not authorized to perform this operation")}, []string{"was deleted, and not created again", "role"}},
		{"not arrived", pachtest.Fault{Method: "CreateSecret", Before: status.Error(codes.Unavailable, "going down")}, []string{"was deleted, and not created again", "probably not created"}},
		{"somebody else", pachtest.Fault{Method: "CreateSecret", Before: status.Error(codes.Unknown, `failed to create secret: secrets "kafka" already exists`)}, []string{"created by somebody else", "Apply again"}},
		{"delete denied", pachtest.Fault{Method: "DeleteSecret", Before: status.Error(codes.PermissionDenied, "not authorized to perform this operation")}, []string{"Cannot replace secret kafka", "role"}},
		{"lost", pachtest.Fault{Method: "CreateSecret", LoseReply: true}, nil},
	} {
		for _, refreshed := range []bool{false, true} {
			s := pachtest.New(t)
			i := secretOf(t, s)
			i.must(i.apply(secret(nil)))
			s.Inject(c.fault)
			next := secret(object{"data_wo": object{"user": "new"}, "data_wo_version": 2})
			got := errorsIn(i.apply(next))
			if len(c.want) == 0 && got != "" {
				t.Errorf("%s: %s", c.name, got)
			} else if err := contains(got, c.want...); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			if refreshed {
				i.must(i.refresh())
			}
			if len(c.want) > 0 && !i.changes(next) {
				t.Errorf("%s: the next plan is empty", c.name)
			}
			i.must(i.apply(next))
			if data := s.SecretData("kafka"); data["user"] != "new" {
				t.Errorf("%s: the secret holds %v", c.name, data)
			}
		}
	}
}

func TestSecretValidation(t *testing.T) {
	t.Parallel()
	i := secretOf(t, pachtest.New(t))
	for _, c := range []struct {
		config object
		want   []string
	}{
		{secret(object{"name": "Kafka"}), []string{"name", "lower-case"}},
		{secret(object{"name": "a..b"}), []string{"name"}},
		{secret(object{"name": strings.Repeat("a", 254)}), []string{"name"}},
		{secret(object{"data_wo": object{"a b": "planted"}}), []string{"data_wo", `"a b"`}},
		{secret(object{"data_wo": object{"..": "planted"}}), []string{"data_wo", `".."`}},
		{secret(object{"data_wo": object{"a": nil}}), []string{"data_wo", `"a"`}},
		{secret(object{"data_wo": object{}}), []string{"data_wo", "at least 1"}},
		{secret(object{"data_wo": object{"a": strings.Repeat("planted", 200_000)}}), []string{"1400000 bytes", "1048576"}},
		{secret(object{"data_wo_version": nil}), []string{"data_wo is set without data_wo_version", "set data_wo_version = 1"}},
		{secret(object{"data_wo": nil}), []string{"data_wo"}},
		{secret(object{"type": "kubernetes.io/tls"}), []string{"tls.crt", "tls.key"}},
		{secret(object{"type": "kubernetes.io/dockerconfigjson", "data_wo": object{".dockerconfigjson": "planted"}}), []string{"not JSON", "jsonencode"}},
		{secret(object{"type": "kubernetes.io/basic-auth", "data_wo": object{"x": "planted"}}), []string{"username", "password"}},
		{secret(object{"type": "kubernetes.io/service-account-token"}), []string{"filled in by Kubernetes"}},
		{secret(object{"labels": object{"pipelineName": "a"}}), []string{"pipelineName", "deletes the secrets"}},
		{secret(object{"labels": object{"pipelineProject": "a"}}), []string{"pipelineProject", "deletes the secrets"}},
		{secret(object{"labels": object{"suite": "a"}}), []string{"suite", "itself"}},
		{secret(object{"labels": object{"a b": "c"}}), []string{`"a b"`}},
		{secret(object{"labels": object{"a": "b c"}}), []string{`"b c"`}},
	} {
		_, diagnostics := i.plan(c.config)
		if err := contains(errorsIn(diagnostics), c.want...); err != nil {
			t.Errorf("%v: %v", c.config["name"], err)
		}
		if strings.Contains(errorsIn(diagnostics), "planted") {
			t.Errorf("a message has a value in it: %s", errorsIn(diagnostics))
		}
	}
	for _, config := range []object{secret(object{"type": "kubernetes.io/basic-auth", "data_wo": object{"password": "p"}}), secret(object{"name": "a.b-c.d"}),
		secret(object{"data_wo": unknown{}}), secret(object{"data_wo": object{"a": unknown{}}}), secret(object{"name": unknown{}}), secret(object{"type": unknown{}, "labels": unknown{}}),
		secret(object{"type": "kubernetes.io/tls", "data_wo": object{"tls.crt": "c", "tls.key": "k", "ca.crt": ""}})} {
		if _, diagnostics := i.plan(config); errorsIn(diagnostics) != "" {
			t.Errorf("%v: %s", config, errorsIn(diagnostics))
		}
	}
}

func TestSecretErrors(t *testing.T) {
	t.Parallel()
	again := secret(object{"data_wo_version": 2})
	eachFailure(t, "pachyderm_secret", secret(nil), nil, []callCase{
		{method: "InspectSecret", run: func(i *instance) []*tfprotov6.Diagnostic { return i.refresh() }},
		{method: "DeleteSecret", run: func(i *instance) []*tfprotov6.Diagnostic { return i.destroy() }},
		{method: "DeleteSecret", run: func(i *instance) []*tfprotov6.Diagnostic { return i.apply(again) }},
		{method: "CreateSecret", creates: true, run: func(i *instance) []*tfprotov6.Diagnostic { return i.apply(again) }},
		{method: "CreateSecret", creates: true, run: func(i *instance) []*tfprotov6.Diagnostic {
			return i.as("pachyderm_secret").apply(secret(object{"name": "other"}))
		}},
		{method: "InspectSecret", run: func(i *instance) []*tfprotov6.Diagnostic {
			return i.as("pachyderm_secret").apply(secret(object{"name": "other"}))
		}},
	})
}

// What a secret holds is in no state, plan, log and message, whatever the
// server makes of it.
func TestSecretDataAreNowhere(t *testing.T) {
	t.Parallel()
	for _, version := range []string{pachtest.Version26, pachtest.Version211} {
		s := pachtest.New(t, pachtest.WithVersion(version), pachtest.WithAuth("root"))
		s.AddToken("weak", "robot:weak", auth.RepoReaderRole)
		var log bytes.Buffer
		var texts []string
		config := func(n int) object {
			return secret(object{"data_wo": object{"a": fmt.Sprintf("planted-%d", n), "b": "planted-line\nplanted-other"}, "data_wo_version": n})
		}
		use := func(token string) *instance {
			i := newInstanceOf(t, object{"address": s.Address(), "auth_token": token}).as("pachyderm_secret")
			i.ctx = tflogtest.RootLogger(context.Background(), &log)
			return i
		}
		run := func(i *instance, n int) {
			planned, diagnostics := i.plan(config(n))
			texts = append(texts, errorsIn(diagnostics), warningsIn(diagnostics), i.value(planned.PlannedState).String(), string(planned.PlannedPrivate))
			diagnostics = i.apply(config(n))
			texts = append(texts, errorsIn(diagnostics), warningsIn(diagnostics), i.state.String())
		}
		run(use("weak"), 1)
		i := use("root")
		run(i, 1)
		run(i, 2)
		for _, quoted := range []string{"planted-3", "planted-line", "cGxhbnRlZC0z"} { // the last in base64
			s.Inject(pachtest.Fault{Method: "CreateSecret", Before: status.Errorf(codes.Unknown, "failed to create secret: Invalid value: %q", quoted)})
			run(i, 3)
		}
		text := strings.Join(texts, "\n")
		if err := contains(text, "role", "(redacted)"); err != nil {
			t.Errorf("%s: %v", version, err)
		}
		for what, text := range map[string]string{"a plan, state or message": text, "the log": log.String()} {
			if text == "" || strings.Contains(text, "planted") || strings.Contains(text, "cGxhbnRlZ") {
				t.Errorf("%s: %s has a secret in it, or is empty: %s", version, what, text)
			}
		}
	}
}

// Terraform's own binary agrees.
func TestSecretInTerraform(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	const at = "pachyderm_secret.test"
	config := func(lines string) string {
		return withProvider(s, `resource "pachyderm_secret" "test" {
  name = "kafka"
  `+lines+`
}
resource "pachyderm_spout" "test" {
  name     = "orders"
  `+transformLines+`
  secret_env = { PASSWORD = { secret = pachyderm_secret.test.name, key = "password" } }
  metadata   = { annotations = { secret = pachyderm_secret.test.created_at } }
}`)
	}
	act := func(secret, spout plancheck.ResourceActionType, lines string) resource.TestStep {
		checks := emptyPlan
		checks.PreApply = []plancheck.PlanCheck{plancheck.ExpectResourceAction(at, secret), plancheck.ExpectResourceAction(spoutAddress, spout)}
		return resource.TestStep{Config: config(lines), ConfigPlanChecks: checks}
	}
	create, update, nothing := plancheck.ResourceActionCreate, plancheck.ResourceActionUpdate, plancheck.ResourceActionNoop
	unitTest(t,
		resource.TestStep{Config: config(`data_wo = { "a b" = "x" }
  data_wo_version = 1`), ExpectError: regexp.MustCompile(`keys\s+have`)},
		act(create, create, `data_wo = { password = "one" }
  data_wo_version = 1`),
		// The spout restarts by itself, since its annotation is not known before.
		do(func() { s.Advance(2 * time.Second) }, act(update, update, `data_wo = { password = "two" }
  data_wo_version = 2`)),
		do(func() { replaceSecret(t, s, map[string]string{"password": "three"}) }, act(update, update, `data_wo = { password = "two" }
  data_wo_version = 2`)),
		act(nothing, nothing, `data_wo = { password = "two" }
  data_wo_version = 2`),
		resource.TestStep{ResourceName: at, ImportState: true, ImportStateId: "kafka", ImportStateVerify: true, ImportStateVerifyIgnore: []string{"data_wo_version"}},
	)
	unitTest(t,
		do(func() { replaceSecret(t, s, map[string]string{"a": "b"}) }, resource.TestStep{Config: withProvider(s, `resource "pachyderm_secret" "test" { name = "kafka" }`),
			ResourceName: at, ImportState: true, ImportStateId: "kafka", ImportStateKind: resource.ImportBlockWithID, GenerateConfig: true}))
}
