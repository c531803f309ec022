// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
)

// event is a request that a sender sends until it is answered with 200.
type event struct{ path, headers, body string }

// TestWebhookExample applies the example of webhooks. Senders send to all of its
// endpoints while the runner is killed, and everything is there once, also what
// comes after a secret was replaced.
func TestWebhookExample(t *testing.T) {
	c := cluster.Start(t)
	root, err := artifacts.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "examples", "webhook"))); err != nil {
		t.Fatal(err)
	}
	w, err := built.cli.NewWorkspace(dir, built.provider, providerVersion, map[string]string{"PACHD_ADDRESS": c.Address()})
	if err != nil {
		t.Fatal(err)
	}
	standard := base64.StdEncoding.EncodeToString([]byte("a secret of thirty-two bytes ...."))
	secrets := func(next string, version int) {
		t.Helper()
		text := fmt.Sprintf("image = %q\nforce_destroy = true\nsecrets_version = %d\nsecrets = { github = \"g\", github-next = %q, shop = \"s\", cloudevents = \"whsec_%s\" }\n", image, version, next, standard)
		if err := w.Write("terraform.tfvars", text); err != nil {
			t.Fatal(err)
		}
	}
	secrets("g", 1)
	if err := w.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Destroy(context.Background()); err != nil {
			t.Errorf("destroy: %v", err)
		}
	}()
	if err := w.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	planIsEmpty(t, w)

	service, err := os.ReadFile(filepath.Join(dir, "kubernetes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	selected := func(when string) {
		t.Helper()
		for _, pod := range c.Pods("default", "events") {
			for name, value := range selectorIn(t, string(service)) {
				if pod.Labels[name] != value {
					t.Errorf("%s, the service selects %s=%s, and the pod %s has %v", when, name, value, pod.Name, pod.Labels)
				}
			}
		}
	}
	selected("at first")

	github := func(key string, n int) event {
		body := fmt.Sprintf(`{"github":%d}`, n)
		return event{"/github", fmt.Sprintf("X-GitHub-Delivery: %d\nX-GitHub-Event: push\nX-Hub-Signature-256: sha256=%x", n, sum(key, body)), body}
	}
	var events []event
	want := map[string]bool{}
	for n := range 60 {
		events = append(events, github("g", n))
		now := strconv.FormatInt(time.Now().Unix(), 10)
		lines := fmt.Sprintf("{\"shop\":%d}\n{\"shop\":%d}\n", 2*n, 2*n+1)
		events = append(events, event{"/shop", fmt.Sprintf("X-Shop-Event: %d\nX-Shop-Timestamp: %s\nX-Shop-Signature: %s", n, now, hex.EncodeToString(sum("s", now+"."+lines))), lines})
		ce := fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"test","type":"t","data":{"ce":%[1]d}}`, n)
		events = append(events, event{"/cloudevents", fmt.Sprintf("Content-Type: application/cloudevents+json\nwebhook-id: %d\nwebhook-timestamp: %s\nwebhook-signature: v1,%s", n, now,
			base64.StdEncoding.EncodeToString(sum("a secret of thirty-two bytes ....", fmt.Sprintf("%d.%s.%s", n, now, ce)))), ce})
		for _, value := range []string{fmt.Sprintf(`{"github":%d}`, n), fmt.Sprintf(`{"shop":%d}`, 2*n), fmt.Sprintf(`{"shop":%d}`, 2*n+1), fmt.Sprintf(`{"ce":%d}`, n)} {
			want[value] = true
		}
	}
	status, text := sendOnce(t, c, event{"/github", "X-Hub-Signature-256: sha256=00", "{}"})
	if status != http.StatusUnauthorized {
		t.Errorf("a wrong signature was answered with %d %s", status, text)
	}
	all, queue := sync.WaitGroup{}, make(chan event)
	for range 12 {
		all.Go(func() {
			for e := range queue {
				sendUntilAnswered(t, c, e)
			}
		})
	}
	for n, e := range events {
		queue <- e
		if n == len(events)/2 {
			if err := c.KillUserCode("default", "events", syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Error(err)
			}
		}
	}
	close(queue)
	all.Wait()

	// Another version of the pipeline has another pod, and the same service.
	variables, err := os.ReadFile(filepath.Join(dir, "main.tf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write("main.tf", strings.Replace(string(variables), `max_age = "1s"`, `max_age = "500ms"`, 1)); err != nil {
		t.Fatal(err)
	}
	// A secret is replaced, and both are good. A kubelet changes the files of a
	// running pod; here the new pod has them.
	secrets("new", 2)
	if err := w.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	selected("after an update")
	for n, key := range map[int]string{1000: "g", 1001: "new"} {
		sendUntilAnswered(t, c, github(key, n))
		want[fmt.Sprintf(`{"github":%d}`, n)] = true
	}

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
	for value := range want {
		if got[value] != 1 {
			t.Errorf("%s is in the files %d times", value, got[value])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d values are in the files, %d were sent", len(got), len(want))
	}
}

// selectorIn is the selector of the service in the example's manifest.
func selectorIn(t *testing.T, manifest string) map[string]string {
	t.Helper()
	_, text, _ := strings.Cut(manifest, "selector:\n")
	text, _, _ = strings.Cut(text, "  ports:")
	selector := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			selector[name] = value
		}
	}
	if len(selector) < 4 || selector["pipelineName"] == "" {
		t.Fatalf("the manifest has no selector: %v", selector)
	}
	return selector
}

func sum(key, text string) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// sendUntilAnswered sends as real senders do: again after 503, or if there is
// nobody. What is refused for good is a failure.
func sendUntilAnswered(t *testing.T, c *cluster.Cluster, e event) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		status, text := sendOnce(t, c, e)
		switch {
		case status == http.StatusOK:
			return
		case status/100 == 4 && status != http.StatusTooManyRequests && status != http.StatusUnauthorized, time.Now().After(deadline):
			t.Errorf("%s was answered with %d %s", e.path, status, text)
			return
		}
	}
}

// sendOnce sends once; the status is 0 if nobody answers.
func sendOnce(t *testing.T, c *cluster.Cluster, e event) (status int, text string) {
	t.Helper()
	pods := c.Pods("default", "events")
	if len(pods) == 0 || pods[0].IP == "" {
		return 0, "there is no pod with an address"
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+pods[0].IP+":8080"+e.path, strings.NewReader(e.body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	for line := range strings.SplitSeq(e.headers, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(answer)
}
