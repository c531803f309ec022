// SPDX-License-Identifier: Apache-2.0

//go:build linux

package provider

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

const secretiveConfig = `
variable "token" {
  type      = string
  ephemeral = true
}
variable "password" {
  type      = string
  ephemeral = true
}
variable "revision" { type = number }

ephemeral "pachyderm_robot_token" "reader" {
  robot           = "reader"
  ttl             = "1h"
  revoke_on_close = false
}
resource "pachyderm_project" "this" {
  name = "team"
}
resource "pachyderm_role_binding" "this" {
  resource  = { type = "project", name = pachyderm_project.this.name }
  principal = "robot:reader"
  roles     = ["projectViewer"]
}
resource "pachyderm_secret" "kafka" {
  name            = "kafka"
  data_wo         = { username = "planted-user", password = var.password }
  data_wo_version = var.revision
}
resource "pachyderm_secret" "robot" {
  name            = "robot"
  data_wo         = { token = ephemeral.pachyderm_robot_token.reader.token }
  data_wo_version = var.revision
}
resource "pachyderm_secret" "registry" {
  name            = "registry"
  type            = "kubernetes.io/dockerconfigjson"
  data_wo         = { ".dockerconfigjson" = jsonencode({ auths = { "registry.example.com" = { username = "u", password = "planted-registry" } } }) }
  data_wo_version = var.revision
}
resource "pachyderm_spout" "test" {
  name          = "orders"
  force_destroy = true
  wait_for      = "created"
  kafka = {
    brokers = ["kafka:9092"]
    topics  = ["orders"]
    tls     = {}
    sasl    = { mechanism = "plain", credentials_secret = { name = pachyderm_secret.kafka.name } }
  }
  runner        = { image_pull_secrets = [pachyderm_secret.registry.name] }
  secret_env    = { TOKEN = { secret = pachyderm_secret.robot.name, key = "token" } }
  secret_mounts = { "/secrets" = "mounted" }
  metadata      = { annotations = { secret = pachyderm_secret.kafka.created_at } }
}
resource "pachyderm_pipeline" "this" {
  name = "copies"
  spec = jsonencode({
    input     = { pfs = { repo = pachyderm_spout.test.output_repo, glob = "/*" } }
    transform = { image = "busybox", cmd = ["true"], secrets = [{ name = pachyderm_secret.kafka.name, env_var = "PASSWORD", key = "password" }] }
  })
  force_destroy = true
  wait_for      = "created"
}
data "pachyderm_cluster" "this" {}
data "pachyderm_spouts" "this" {
  depends_on = [pachyderm_spout.test]
}
data "pachyderm_pipeline" "this" {
  name = pachyderm_pipeline.this.name
}
`

// What is secret is in no state, no plan, no log at the level of TRACE, and no
// message, of Terraform's own program and of the provider's, through the life
// of everything that there is.
func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t, pachtest.WithAuth("planted-root"))
	s.AddToken("planted-robot", "robot:terraform", auth.ClusterAdminRole)
	s.AddToken("planted-weak", "robot:weak")
	s.AddKubernetesSecret("mounted", map[string]string{"key": "planted-key"})
	log := filepath.Join(t.TempDir(), "trace.log")
	p := newProcess(t, s, secretiveConfig, nil, `auth_token = var.token`)
	var said []string
	run := func(code int, token, password string, args ...string) string {
		t.Helper()
		text := p.runWith([]string{"TF_LOG=TRACE", "TF_LOG_PROVIDER=TRACE", "TF_LOG_SDK=TRACE", "TF_LOG_PATH=" + log,
			"TF_VAR_token=" + token, "TF_VAR_password=" + password, "TF_VAR_revision=" + password[len(password)-1:]}, code, args...)
		said = append(said, text)
		return text
	}
	run(0, "planted-robot", "planted-1", "plan", "-out=plan")
	run(0, "planted-robot", "planted-1", "show", "-json", "plan")
	run(0, "planted-robot", "planted-1", "apply", "plan")
	if got := s.SecretData("kafka")["password"]; got != "planted-1" {
		t.Fatalf("the secret holds %q", got)
	}
	minted := []string{s.SecretData("robot")["token"], s.PipelineToken("default", "orders")}
	run(0, "planted-robot", "planted-2", "apply", "-auto-approve")
	minted = append(minted, s.SecretData("robot")["token"])
	run(0, "planted-robot", "planted-2", "show", "-json")
	run(0, "planted-robot", "planted-2", "plan", "-detailed-exitcode")
	run(1, "planted-wrong", "planted-3", "apply", "-auto-approve")
	run(1, "planted-weak", "planted-3", "apply", "-auto-approve", "-refresh=false")
	run(0, "planted-robot", "planted-3", "destroy", "-auto-approve")

	texts := map[string]string{"what was said": strings.Join(said, "\n")}
	for _, name := range []string{log, filepath.Join(p.Dir, "terraform.tfstate"), filepath.Join(p.Dir, "terraform.tfstate.backup")} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(name)] = string(text)
	}
	if !strings.Contains(texts["trace.log"], "[TRACE] provider.terraform-provider-pachyderm") || !strings.Contains(texts["terraform.tfstate.backup"], `"orders"`) {
		t.Error("the log has nothing of the provider, or the state nothing of the spout")
	}
	for what, text := range texts {
		for _, secret := range append(minted, "planted-", base64.StdEncoding.EncodeToString([]byte("planted-"))[:10]) {
			if secret == "" {
				t.Fatal("a token was not minted")
			}
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s has a secret in it: %s", what, text[max(0, at-300):min(len(text), at+100)])
			}
		}
	}
}
