// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes && linux

package kubernetes

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
)

// TestWebhookBehindService applies the example of webhooks with the image by
// its digest, and its kubernetes.yaml as the guide says. Senders send to the
// Service while the pod is deleted in both ways and the pipeline is updated;
// what they were thanked for is there once, in the order of each sender.
func TestWebhookBehindService(t *testing.T) {
	c, l, runner := start(t)
	root, err := artifacts.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "examples", "webhook"))); err != nil {
		t.Fatal(err)
	}
	w := workspace(t, c, dir)
	text := fmt.Sprintf("image = %q\nforce_destroy = true\nsecrets = { github = \"g\", github-next = \"g\", shop = \"s\", cloudevents = \"whsec_YSBzZWNyZXQgb2YgdGhpcnR5LXR3byBieXRlcyAuLi4u\" }\n", repository+"@"+runner.Digest())
	if err := w.Write("terraform.tfvars", text); err != nil {
		t.Fatal(err)
	}
	if err := w.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Destroy(context.Background()); err != nil {
			t.Errorf("destroy: %v", err)
		}
		for _, kind := range []string{"replicationcontrollers", "services", "secrets", "pods"} {
			eventually(t, "nothing is left", func(ctx context.Context) error {
				left, err := l.Kubectl(ctx, "get", kind, "--selector=pipelineName=events", "--output=name")
				if err == nil && left != "" {
					err = errors.New(left)
				}
				return err
			})
		}
	}()
	began := time.Now()
	if err := w.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("applied in %s", time.Since(began).Round(100*time.Millisecond))
	if changes, err := w.Plan(t.Context()); err != nil || changes {
		t.Errorf("the plan after the apply has changes: %t, %v", changes, err)
	}
	kubectl(t, l, "apply", "-f", filepath.Join(dir, "kubernetes.yaml"))
	defer kubectl(t, l, "delete", "-f", filepath.Join(dir, "kubernetes.yaml"))
	address := kubectl(t, l, "get", "service", "events-webhooks", "--output=jsonpath={.spec.clusterIP}")

	const senders = 4
	stop := make(chan struct{})
	sent := make([]int, senders)
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if !send(t, address, sender, n) {
					return
				}
				sent[sender] = n + 1
			}
		})
	}
	grow := func(when string) {
		t.Helper()
		before := commits(t, c.Pachctl, "events")
		began := time.Now()
		eventually(t, when, func(context.Context) error {
			if have := commits(t, c.Pachctl, "events"); have < before+3 {
				return fmt.Errorf("%d commits, there were %d", have, before)
			}
			return nil
		})
		t.Logf("%s: three commits after %s", when, time.Since(began).Round(100*time.Millisecond))
	}
	grow("at first")
	for name, args := range map[string][]string{"with grace": nil, "without grace": {"--grace-period=0", "--force"}} {
		kubectl(t, l, append([]string{"delete", "pods", "--selector=pipelineName=events", "--wait=false"}, args...)...)
		grow("the pod was deleted " + name)
	}
	variables, err := os.ReadFile(filepath.Join(dir, "main.tf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write("main.tf", strings.Replace(string(variables), `max_age = "1s"`, `max_age = "500ms"`, 1)); err != nil {
		t.Fatal(err)
	}
	if err := w.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	grow("updated")
	close(stop)
	all.Wait()

	branch := newClient(t, c).Branch("default", "events", "master")
	head, err := branch.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	entries, err := audit.InCommit(t.Context(), branch, head.ID, settings.LayoutOf("webhook", ""))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, e := range entries {
		got[e.Value]++
	}
	total := 0
	for sender, count := range sent {
		for n := range count {
			if value := event(sender, n); got[value] != 1 {
				t.Errorf("%s is in the files %d times", value, got[value])
			}
		}
		total += count
	}
	t.Logf("%d events, each once", total)
}

func event(sender, n int) string { return fmt.Sprintf(`{"sender":%d,"n":%d}`, sender, n) }

// client gives up soon, as senders do: a Service may lead to a pod that is gone.
var client = http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// send sends until it is answered with 200; it says whether it was.
func send(t *testing.T, address string, sender, n int) bool {
	body := event(sender, n)
	mac := hmac.New(sha256.New, []byte("g"))
	mac.Write([]byte(body))
	last := ""
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		req, err := http.NewRequest(http.MethodPost, "http://"+address+"/github", strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return false
		}
		req.Header.Set("X-GitHub-Delivery", fmt.Sprintf("%d-%d", sender, n))
		req.Header.Set("X-GitHub-Event", "push")
		req.Header.Set("X-Hub-Signature-256", fmt.Sprintf("sha256=%x", mac.Sum(nil)))
		resp, err := client.Do(req)
		if err != nil {
			last = err.Error()
			continue
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return true
		}
		last = resp.Status + ": " + string(text)
	}
	t.Errorf("%s was not taken within two minutes: %s", body, last)
	return false
}

// commits counts the finished commits of a spout.
func commits(t *testing.T, pachctl func(context.Context, ...string) (string, error), name string) int {
	out, err := pachctl(t.Context(), "list", "commit", name+"@master")
	if err != nil {
		return 0
	}
	return strings.Count(out, " USER ")
}
