// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes && linux

package kubernetes

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
)

// TestSecretMissing: a spout whose secret does not exist is refused. If it
// vanishes under one that runs, refreshes and applies name it, and once it is
// there again the spout goes on by itself.
func TestSecretMissing(t *testing.T) {
	t.Parallel()
	c, l, _ := start(t)
	const name, secret = "keyless", "keyless-login"
	for kind, text := range map[string]string{
		"variable": `runner = { http_token_secret = { name = "keyless-login", key = "token" } }`,
		"file":     `secret_mounts = { "/secrets" = "keyless-login" }`,
	} {
		w := written(t, c, spout(name+"-"+kind, "1m", text))
		said, err := apply(t, w)
		if err == nil || !matches(`(?i)missing Kubernetes secret.*keyless-login|secret.*keyless-login.*not found`, said) {
			t.Errorf("with a missing secret as a %s: %v, %.900s", kind, err, said)
		}
	}
	kubectl(t, l, "create", "secret", "generic", secret, "--from-literal=token=a-token")
	text := spout(name, "4m", `runner = { http_token_secret = { name = "keyless-login", key = "token" } }`) + `
output "state" {
  value = "${pachyderm_spout.this.state}: ${coalesce(pachyderm_spout.this.reason, "no reason")}"
}
`
	w := written(t, c, text)
	if said, err := apply(t, w); err != nil {
		t.Fatal(said)
	}
	kubectl(t, l, "delete", "secret", secret)
	kubectl(t, l, "delete", "pods", "--selector=pipelineName="+name, "--wait=false")
	eventually(t, "a refresh names the secret", func(ctx context.Context) error {
		if err := w.Apply(ctx); err != nil {
			return err
		}
		out, err := w.Output(ctx)
		if state := string(out["state"].Value); err == nil && !matches(`crashing: .*secret .*keyless-login.* not found`, state) {
			err = errors.New(state)
		}
		return err
	})
	rewrite(t, w, strings.Replace(text, `max_age = "300ms"`, `max_age = "200ms"`, 1))
	said, err := apply(t, w)
	t.Logf("%.900s", said)
	if err == nil || !strings.Contains(said, secret) {
		t.Errorf("an update says nothing of the secret: %v", err)
	}
	kubectl(t, l, "create", "secret", "generic", secret, "--from-literal=token=another-token")
	eventually(t, "it works again", func(ctx context.Context) error {
		pods, err := l.Pods(ctx, "default", "pipelineName="+name)
		if err != nil || len(pods) == 0 {
			return errors.Join(err, errors.New("no pod"))
		}
		return answers(ctx, http.MethodGet, "http://"+pods[0].Status.PodIP+":9464/metrics", "Authorization", "Bearer another-token")
	})
	if said, err := apply(t, w); err != nil {
		t.Errorf("the apply after that: %s", said)
	}
}
