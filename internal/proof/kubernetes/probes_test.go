// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes && linux

package kubernetes

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
)

// guide returns a guide as it is published.
func guide(t *testing.T, name string) string {
	t.Helper()
	root, err := artifacts.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "guides", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestProbes: with the probes of the guide on monitoring, a runner that hangs is
// not ready and is started again; one that waits for its source, and works, is
// not ready and is left alone.
func TestProbes(t *testing.T) {
	t.Parallel()
	c, l, _ := start(t)
	probes := regexp.MustCompile("(?s)```terraform\n(pod_patch = .*?)```").FindStringSubmatch(guide(t, "monitoring.md"))
	if probes == nil {
		t.Fatal("the guide has no probes")
	}
	w := written(t, c, spout("probed", "4m", probes[1])+fmt.Sprintf(`
resource "pachyderm_spout" "waiting" {
  name          = "probed-waiting"
  image         = %q
  force_destroy = true
  wait_for      = "created"
  kafka         = { brokers = ["127.0.0.1:20000"], topics = ["none"] }
  %s
}
`, image, probes[1]))
	if said, err := apply(t, w); err != nil {
		t.Fatal(said)
	}
	post(t, l, "probed", "{}\n")
	is := func(name string, ready bool, restarts int) func(context.Context) error {
		return func(ctx context.Context) error {
			pods, err := l.Pods(ctx, "default", "pipelineName="+name)
			if err != nil || len(pods) != 1 {
				return fmt.Errorf("%d pods, %w", len(pods), err)
			}
			user := userContainer(pods[0])
			if user.Ready != ready || user.RestartCount != restarts {
				return fmt.Errorf("%s: ready %t, started again %d times", name, user.Ready, user.RestartCount)
			}
			return nil
		}
	}
	eventually(t, "it is ready", is("probed", true, 0))
	eventually(t, "the other one runs", func(ctx context.Context) error {
		pod := podOf(t, l, "probed-waiting")
		return ok(ctx, "http://"+pod.Status.PodIP+":9464/healthz")
	})
	if err := syscall.Kill(runnerOf(t, c, "probed"), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is not ready while it hangs", is("probed", false, 0))
	eventually(t, "it is started again", is("probed", true, 1))
	post(t, l, "probed", "{}\n")
	if err := is("probed-waiting", false, 0)(t.Context()); err != nil {
		t.Errorf("what waits for its source: %v", err)
	}
}

// ok fails unless a URL is answered with 200.
func ok(ctx context.Context, url string) error {
	return answers(ctx, http.MethodGet, url, "Accept", "*/*")
}
