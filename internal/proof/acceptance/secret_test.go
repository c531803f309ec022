// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
)

// secretConfig is a secret, and a spout whose code says the hash of what it
// was given, and then waits.
func secretConfig(project string, version int, more string) string {
	return requirements + fmt.Sprintf(`
variable "password" {
  type      = string
  ephemeral = true
}
resource "pachyderm_secret" "this" {
  name            = "%[1]s-login"
  labels          = { team = "acceptance" }
  data_wo         = { password = var.password }
  data_wo_version = %[2]d
}
resource "pachyderm_spout" "this" {
  project       = %[1]q
  name          = "spout"
  force_destroy = true
  transform = {
    image = "debian:12"
    cmd   = ["/bin/sh"]
    stdin = ["echo hash of the password: $(printf %%s \"$PASSWORD\" | sha256sum)", "sleep 1000"]
  }
  secret_env = { PASSWORD = { secret = pachyderm_secret.this.name, key = "password" } }
  metadata   = { annotations = { secret = pachyderm_secret.this.created_at } }
  %[3]s
}
`, project, version, more)
}

// TestSecret uses a secret in a spout, replaces it, has somebody else replace
// it, and looks for what it held wherever Terraform writes something.
func TestSecret(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	project := newProject(t, c)
	w := newWorkspace(t, c)
	log := filepath.Join(t.TempDir(), "trace.log")
	if err := w.SetLog("TRACE"); err != nil {
		t.Fatal(err)
	}
	if err := w.SetLogPath(log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Destroy(context.Background()); err != nil {
			t.Errorf("destroy: %v", err)
		}
	})
	seen := ""
	note := func(texts ...string) { seen += strings.Join(texts, "\n") }
	apply := func(version int, password string) {
		t.Helper()
		variables, err := json.Marshal(map[string]string{"password": password})
		if err == nil {
			err = w.Write("terraform.tfvars.json", string(variables))
		}
		if err == nil {
			err = w.Write("main.tf", secretConfig(project, version, ""))
		}
		if err == nil {
			err = w.Init(t.Context())
		}
		plan := filepath.Join(t.TempDir(), "plan")
		if err == nil {
			_, err = w.Plan(t.Context(), tfexec.Out(plan))
		}
		if err != nil {
			t.Fatal(err)
		}
		shown, err := w.ShowPlanFileRaw(t.Context(), plan)
		if err != nil {
			t.Fatal(err)
		}
		note(shown)
		if err := w.Apply(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	told := func(password string) {
		t.Helper()
		want := fmt.Sprintf("hash of the password: %x", sha256.Sum256([]byte(password)))
		await(t, "the spout has read the secret", func() (bool, error) {
			path, err := c.UserLogPath(project, "spout")
			if err != nil {
				return false, err
			}
			text, err := os.ReadFile(path)
			return strings.Contains(string(text), want), err
		})
	}
	apply(1, "planted-one")
	told("planted-one")
	planIsEmpty(t, w)
	created := awaitSecond(t, w)
	apply(2, "planted-two")
	told("planted-two")
	planIsEmpty(t, w)
	if now := secretAttribute(t, w, "created_at"); now == created {
		t.Errorf("created_at is still %s", now)
	}

	// Somebody else replaces it: seen by its age, and put right.
	awaitSecond(t, w)
	name := project + "-login"
	if _, err := c.Pachctl(t.Context(), "delete", "secret", name); err != nil {
		t.Fatal(err)
	}
	file := fmt.Sprintf(`{"kind":"Secret","apiVersion":"v1","metadata":{"name":%q},"stringData":{"password":"somebody else's"}}`, name)
	path := filepath.Join(t.TempDir(), "secret.json")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pachctl(t.Context(), "create", "secret", "-f", path); err != nil {
		t.Fatal(err)
	}
	if changes, err := w.Plan(t.Context()); err != nil || !changes {
		t.Errorf("the plan does not see that the secret was replaced: %v", err)
	}
	apply(2, "planted-two")
	told("planted-two")
	planIsEmpty(t, w)

	// And somebody deletes it.
	if _, err := c.Pachctl(t.Context(), "delete", "secret", name); err != nil {
		t.Fatal(err)
	}
	apply(2, "planted-two")
	planIsEmpty(t, w)

	for _, file := range []string{filepath.Join(w.Dir, "terraform.tfstate"), filepath.Join(w.Dir, "terraform.tfstate.backup"), log} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		note(string(text))
	}
	if at := strings.Index(seen, "planted-"); at >= 0 {
		t.Errorf("a secret is in what Terraform has written: …%s…", seen[max(0, at-200):min(len(seen), at+100)])
	}
	if !strings.Contains(seen, "pachyderm_secret") || !strings.Contains(seen, "[TRACE]") {
		t.Error("the log is no log")
	}
}

// awaitSecond waits until another secret would have another age: Kubernetes
// knows it by the second. It returns when the secret was created.
func awaitSecond(t *testing.T, w *terraformcli.Workspace) string {
	t.Helper()
	created := secretAttribute(t, w, "created_at")
	await(t, "a second is over", func() (bool, error) {
		at, err := time.Parse(time.RFC3339, created)
		return err == nil && time.Since(at) > 1500*time.Millisecond, err
	})
	return created
}

// secretAttribute returns an attribute of the secret in the state.
func secretAttribute(t *testing.T, w *terraformcli.Workspace, name string) string {
	t.Helper()
	state, err := w.Show(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range state.Values.RootModule.Resources {
		if r.Type == "pachyderm_secret" {
			text, _ := r.AttributeValues[name].(string)
			return text
		}
	}
	t.Fatal("there is no secret in the state")
	return ""
}

// TestWithoutAuthentication: what needs it says so.
func TestWithoutAuthentication(t *testing.T) {
	t.Parallel()
	w := newWorkspace(t, cluster.Start(t))
	refuses(t, w, requirements+`
resource "pachyderm_role_binding" "this" {
  resource  = { type = "cluster" }
  principal = "robot:ci"
  roles     = ["secretAdmin"]
}
`, "Cannot create role binding cluster/robot:ci", "auth service is not activated", "pachctl auth activate")
	refuses(t, w, requirements+`
ephemeral "pachyderm_robot_token" "this" {
  robot = "ci"
}
provider "pachyderm" {
  alias      = "robot"
  auth_token = ephemeral.pachyderm_robot_token.this.token
}
`, "Cannot get a token of robot ci", "auth service is not activated", "pachctl auth activate")
}
