// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes && linux

package kubernetes

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestSecretRotated: a secret that is written anew is read again where it is
// mounted as a file, without a restart. As a variable it is what it was until
// restart_triggers, as the guide has them, have the spout restarted.
func TestSecretRotated(t *testing.T) {
	t.Parallel()
	c, l, _ := start(t)
	const name = "rotated"
	configuration := func(value string, version int, more string) string {
		return fmt.Sprintf(`
resource "pachyderm_secret" "login" {
  name            = "rotated-login"
  data_wo         = { key = %[1]q, token = %[1]q }
  data_wo_version = %d
}
resource "pachyderm_spout" "this" {
  name          = %q
  image         = %q
  force_destroy = true
  webhook = {
    endpoints = { in = { auth = "hmac", secret_files = ["/secrets/key"], signature_header = "X-Signature" } }
  }
  secret_mounts = { "/secrets" = pachyderm_secret.login.name }
  runner        = { http_token_secret = { name = pachyderm_secret.login.name, key = "token" } }
  batch         = { max_age = "300ms" }
  %s
}
`, value, version, name, image, more)
	}
	w := written(t, c, configuration("the-first-secret", 1, ""))
	if said, err := apply(t, w); err != nil {
		t.Fatal(said)
	}
	pod := podOf(t, l, name)
	signed := func(key string) func(context.Context) error {
		return func(ctx context.Context) error {
			mac := hmac.New(sha256.New, []byte(key))
			mac.Write([]byte("{}"))
			return answers(ctx, http.MethodPost, "http://"+pod.Status.PodIP+":8080/in", "X-Signature", fmt.Sprintf("%x", mac.Sum(nil)))
		}
	}
	token := func(value string) func(context.Context) error {
		return func(ctx context.Context) error {
			return answers(ctx, http.MethodGet, "http://"+pod.Status.PodIP+":9464/metrics", "Authorization", "Bearer "+value)
		}
	}
	eventually(t, "the first file is good", signed("the-first-secret"))
	eventually(t, "the first token is good", token("the-first-secret"))

	rewrite(t, w, configuration("the-second-secret", 2, ""))
	if said, err := apply(t, w); err != nil {
		t.Fatal(said)
	}
	eventually(t, "the file is read again", signed("the-second-secret"))
	if now := podOf(t, l, name); now.Metadata.Name != pod.Metadata.Name || now.Status.ContainerStatuses[0].RestartCount+now.Status.ContainerStatuses[1].RestartCount > 0 {
		t.Errorf("the pod is another one, or was started again: %+v", now)
	}
	if err := token("the-first-secret")(t.Context()); err != nil {
		t.Errorf("the variable has changed: %v", err)
	}

	rewrite(t, w, configuration("the-third-secret", 3, `restart_triggers = { login = pachyderm_secret.login.created_at }`))
	if said, err := apply(t, w); err != nil {
		t.Fatal(said)
	}
	pod = podOf(t, l, name)
	eventually(t, "the token is that of the new pod", token("the-third-secret"))
	eventually(t, "the file is that of the new pod", signed("the-third-secret"))
	if token("the-first-secret")(t.Context()) == nil {
		t.Error("the first token is good still")
	}
}

// answers asks with a header, and fails unless it is answered with 200.
func answers(ctx context.Context, method, url, header, value string) error {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	req.Header.Set(header, value)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}
