// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
)

// A runner that is killed again and again while senders send loses nothing that
// it has answered with 200, and writes nothing twice that they send again.
func TestKilledWhileSendersSend(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(secret, []byte("token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := settings.Default()
	s.Source, s.HTTPPort, s.File.Format, s.MemoryBudget, s.Batch.MaxAge = "webhook", 0, "jsonl", 64<<20, settings.Duration(20*time.Millisecond)
	s.Webhook.Address, s.Webhook.Port = "127.0.0.1", freePort(t)
	if err := s.Webhook.Endpoints.UnmarshalText(fmt.Appendf(nil, `{"events":{"auth":"bearer","secret_files":[%q],"id":"header:X-Id"}}`, secret)); err != nil {
		t.Fatal(err)
	}
	server := pachtest.New(t)
	p := startRunner(t, server, s)
	const events, kills, together = 300, 4, 8
	url := fmt.Sprintf("http://127.0.0.1:%d/events", s.Webhook.Port)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var senders sync.WaitGroup
	queue := make(chan string)
	for range together {
		senders.Go(func() {
			for value := range queue {
				for !sent(ctx, url, value) {
					select {
					case <-ctx.Done():
						return
					case <-time.After(10 * time.Millisecond):
					}
				}
			}
		})
	}
	for n := range events {
		select {
		case queue <- fmt.Sprintf(`{"n":%d}`, n):
		case <-ctx.Done():
			t.Fatalf("only %d of %d events were answered", n, events)
		}
		if n%(events/kills) == events/kills/2 {
			again := *p.cmd
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
			p.cmd = &exec.Cmd{Path: again.Path, Args: again.Args, Env: again.Env, Stdout: again.Stdout, Stderr: again.Stderr}
			if err := p.cmd.Start(); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(queue)
	senders.Wait()

	client := dialPachd(t, server.Address())
	branch := client.Branch("default", "spout", "master")
	head, err := branch.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if head, err = branch.WaitFinished(t.Context(), head.ID); err != nil {
		t.Fatal(err)
	}
	entries, err := audit.InCommit(t.Context(), branch, head.ID, s.Layout())
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, e := range entries {
		count[e.Value]++
	}
	for n := range events {
		if value := fmt.Sprintf(`{"n":%d}`, n); count[value] != 1 {
			t.Errorf("%s is in the files %d times", value, count[value])
		}
	}
}

// sent sends an event, and says whether it was answered with 200.
func sent(ctx context.Context, url, value string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(value))
	if err != nil {
		return false
	}
	req.Header.Set("Authorization", "Bearer token")
	req.Header.Set("X-Id", value)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close() //nolint:errcheck // only its status counts
	return resp.StatusCode == http.StatusOK
}
