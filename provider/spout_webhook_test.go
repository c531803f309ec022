// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// webhookSpout takes requests of anybody: it needs no secret.
func webhookSpout(changes object) object {
	return merged(object{"name": "orders", "secret_mounts": object{"/secrets": "kafka-tls"}, "webhook": object{"endpoints": object{"events": object{"auth": "none", "allow_unauthenticated": true}}}}, changes)
}

// githubSpout takes requests of GitHub.
func githubSpout(changes object) object {
	return merged(object{"name": "orders", "webhook": object{"endpoints": object{"github": object{"auth": "github", "secret_files": []any{"/secrets/github"}}}},
		"secret_mounts": object{"/secrets": "hooks"}}, changes)
}

// All that an endpoint can have reaches Pachyderm, is no change when it is
// planned again, and comes back with an import.
func TestWebhookEndpoints(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	s.AddKubernetesSecret("hooks", map[string]string{"github": "x", "a": "y"})
	config := githubSpout(object{"webhook.endpoints": object{
		"github": object{"auth": "github", "secret_files": []any{"/secrets/github", "/secrets/github-next"}},
		"all": object{"auth": "hmac", "secret_files": []any{"/secrets/a"}, "path": "/hooks/all", "id": "header:X-Id", "body": "ndjson", "headers": []any{"X-Topic", ":query"}, "max_rate": 10.0,
			"signature_header": "X-Signature", "signature_prefix": "v1=", "signature_text": "{id}.{timestamp}.{body}", "signature_hash": "sha512", "signature_encoding": "base64", "timestamp_header": "X-Time", "tolerance": "1m"},
		"meta": object{"auth": "none", "allow_unauthenticated": true, "handshakes": []any{"challenge"}, "verify_token_files": []any{"/secrets/a"}}}})
	i := newInstance(t, s)
	i.must(i.apply(config))
	settles(t, s, i, config)
	imported := newInstance(t, s)
	imported.must(imported.importID("default/orders", nil))
	settles(t, s, imported, config)
	if got := imported.get("webhook.endpoints"); !holds(got, config["webhook"].(object)["endpoints"]) {
		t.Errorf("the import has %v", got)
	}
}

// What does not go together is refused while planning, with what to do.
func TestWebhookPlans(t *testing.T) {
	t.Parallel()
	i := newInstance(t, pachtest.New(t))
	endpoints := func(e object) object { return githubSpout(object{"webhook": object{"endpoints": e}}) }
	for name, c := range map[string]struct {
		config object
		want   []string // "" for none
	}{
		"right":            {githubSpout(object{"service": object{"internal_port": 8080, "external_port": 30080}}), nil},
		"another port":     {githubSpout(object{"service": object{"internal_port": 8000, "external_port": 30080}}), []string{"service.internal_port = 8000", "webhook.port = 8080"}},
		"not mounted":      {githubSpout(object{"secret_mounts": nil}), []string{`webhook.endpoints["github"].secret_files has "/secrets/github"`, `secret_mounts = { "/secrets" = "<secret>" }`}},
		"mounted beside":   {githubSpout(object{"secret_mounts": object{"/secret": "hooks"}}), []string{"in no folder of secret_mounts"}},
		"mounted by patch": {githubSpout(object{"secret_mounts": nil, "pod_patch": `[{"op":"add","path":"/volumes/-","value":{}}]`}), nil},
		"open":             {endpoints(object{"all": object{"auth": "none"}}), []string{`"all"`, "everybody", "allow_unauthenticated"}},
		"open on purpose":  {endpoints(object{"all": object{"auth": "none", "allow_unauthenticated": true}}), nil},
		"no secret":        {endpoints(object{"a": object{"auth": "stripe"}}), []string{"has no secret_files"}},
		"no such auth":     {endpoints(object{"a": object{"auth": "gihub", "secret_files": []any{"/secrets/a"}}}), []string{"github"}},
		"no endpoint":      {endpoints(object{}), []string{"at least one endpoint"}},
		"cleartext":        {endpoints(object{"a": object{"auth": "bearer", "secret_files": []any{"/secrets/a"}}}), []string{"webhook.allow_cleartext_credentials", "webhook.tls_secret"}},
		"port of the page": {githubSpout(object{"webhook": object{"port": 9464, "endpoints": object{"github": object{"auth": "github", "secret_files": []any{"/secrets/github"}}}}}), []string{"webhook.port = \"9464\"", "runner.http_port"}},
		"unknown":          {githubSpout(object{"webhook": object{"endpoints": unknown{}}}), nil},
		"unknown inside":   {endpoints(object{"a": object{"auth": "github", "secret_files": unknown{}}}), nil},
	} {
		_, diagnostics := i.plan(c.config)
		text := errorsIn(diagnostics)
		if (text == "") != (len(c.want) == 0) {
			t.Errorf("%s: %s", name, text)
		}
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in %s", name, want, text)
			}
		}
	}
}
