// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/browsertest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// render loads an address in a browser, lets the page's script run, and
// returns the elements that came of it, and what the browser complained of.
func render(t *testing.T, address string) (dom, complaints string) {
	t.Helper()
	browser := browsertest.Find(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, append(browsertest.Flags(t.TempDir()),
		"--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom", address)...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", browser, err, problems.String())
	}
	return out.String(), problems.String()
}

func serve(t *testing.T, r Runner) string {
	t.Helper()
	server := httptest.NewServer(Handler(r, http.NotFoundHandler(), newAccess(settings.HTTP{})))
	t.Cleanup(server.Close)
	return server.URL
}

func TestPageInABrowser(t *testing.T) {
	t.Parallel()
	dom, complaints := render(t, serve(t, stalled())+PathPage)
	for _, text := range []string{
		"<title>NOT READY: orders@master</title>",
		"not ready: ingesting", "waiting for commit c9 to be FINISHED by Pachyderm, for 32s",
		"&lt;img src=x onerror=", // as text
		"<td>123,456</td>", "<td>43 s</td>", "<td>?</td>", "64.0 MiB",
		`aria-label="Lag in records: now 107.7K, at most 107.7K."`, `aria-label="Memory in use: now 9.0 MiB, at most 49.0 MiB."`,
		">Topic</th>", ">Partition</th>", "123,457 records in 2 partitions are not in a FINISHED commit yet", "1,000,000 records in 42 commits since then",
	} {
		if !strings.Contains(dom, text) {
			t.Errorf("the page does not show %q", text)
		}
	}
	if strings.Contains(dom, "<img") || strings.Contains(dom, "<title>harmed") {
		t.Error("a text was taken for markup")
	}
	if charts := strings.Count(dom, "<svg"); charts != 8 {
		t.Errorf("%d charts", charts)
	}
	if bars := strings.Count(dom, `class="bar"`); bars != 2*42 {
		t.Errorf("%d bars", bars)
	}
	for line := range strings.Lines(complaints) {
		if strings.Contains(line, "CONSOLE") {
			t.Error(line)
		}
	}
	if t.Failed() {
		t.Logf("%.20000s", dom)
	}
}
