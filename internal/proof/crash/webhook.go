// SPDX-License-Identifier: Apache-2.0

//go:build linux

package crash

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
)

// webhookSide are senders that send each event until it is answered with 2xx,
// as those of Standard Webhooks do.
type webhookSide struct {
	say     func(format string, args ...any)
	host    func() (string, error) // where the runner answers
	address string                 // that it listens at
	port    int
	secret  string // file
	client  *http.Client

	stop    context.CancelFunc
	senders sync.WaitGroup

	mu       sync.Mutex
	asked    string // what host has said
	grown    chan struct{}
	waiting  []string // values that no sender has taken yet
	sent     int
	answered map[string]bool // values that were answered with 2xx
	again    int             // times that something was sent once more
}

const (
	webhookSenders  = 32
	webhookPatience = 5 * time.Second // of a sender
)

func startWebhook(ctx context.Context, s *spout, dir string) (side, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &webhookSide{say: s.say, host: s.host, address: "127.0.0.1", port: l.Addr().(*net.TCPAddr).Port, secret: filepath.Join(dir, "token"), grown: make(chan struct{}), answered: map[string]bool{},
		client: &http.Client{Timeout: webhookPatience, Transport: &http.Transport{MaxIdleConnsPerHost: webhookSenders}}}
	if err := l.Close(); err != nil {
		return nil, err
	}
	if err := os.WriteFile(w.secret, []byte("token"), 0o644); err != nil {
		return nil, err
	}
	ctx, w.stop = context.WithCancel(ctx)
	for range webhookSenders {
		w.senders.Go(func() { w.send(ctx) })
	}
	if s.inKubernetes() {
		w.address = "0.0.0.0" // that of its pod is not known before
	}
	return w, nil
}

func (w *webhookSide) configure(v *settings.Settings) {
	v.Webhook.Address, v.Webhook.Port = w.address, w.port
	if err := v.Webhook.Endpoints.UnmarshalText(fmt.Appendf(nil, `{"records":{"auth":"bearer","secret_files":[%q],"id":"header:X-Id"}}`, w.secret)); err != nil {
		panic(err) // it is constant but for the path
	}
}

// send sends what waits until ctx ends.
func (w *webhookSide) send(ctx context.Context) {
	for {
		w.mu.Lock()
		grown, value := w.grown, ""
		if len(w.waiting) > 0 {
			value, w.waiting = w.waiting[0], w.waiting[1:]
		}
		w.mu.Unlock()
		if value == "" {
			select {
			case <-grown:
				continue
			case <-ctx.Done():
				return
			}
		}
		for !w.post(ctx, value) {
			w.mu.Lock()
			w.again++
			w.mu.Unlock()
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return
			}
		}
		w.mu.Lock()
		w.answered[value] = true
		w.mu.Unlock()
	}
}

// answering is where the runner answered last.
func (w *webhookSide) answering() (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var err error
	if w.asked == "" {
		w.asked, err = w.host()
	}
	return w.asked, err
}

// post sends a value once.
func (w *webhookSide) post(ctx context.Context, value string) bool {
	host, err := w.answering()
	if err != nil {
		return false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://%s:%d/records", host, w.port), strings.NewReader(value))
	if err != nil {
		return false
	}
	id, _, _ := strings.Cut(value, ",")
	req.Header.Set("Authorization", "Bearer token")
	req.Header.Set("X-Id", id)
	resp, err := w.client.Do(req)
	if err != nil {
		w.mu.Lock()
		w.asked = "" // another pod may be in its place
		w.mu.Unlock()
		return false
	}
	defer resp.Body.Close()                                        //nolint:errcheck // only read
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // so that the connection is used again
	return err == nil && resp.StatusCode/100 == 2
}

func (w *webhookSide) produce(_ context.Context, random *rand.Rand, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		w.sent++
		w.waiting = append(w.waiting, fmt.Sprintf(`{"n":%d,"fill":%q}`, w.sent, strings.Repeat("x", random.IntN(200))))
	}
	close(w.grown)
	w.grown = make(chan struct{})
}

// settle waits until everything was answered: it is in commits then.
func (w *webhookSide) settle(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.answered) == w.sent, nil
	})
}

func (w *webhookSide) reached(spoutcommit.Description) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.answered) == w.sent, nil
}

func (w *webhookSide) known() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(len(w.answered))
}

// audit checks each commit against the numbers that the runner gave to records,
// and all records against what was sent: each must be there once.
func (w *webhookSide) audit(ctx context.Context, branch *pachyderm.Branch) (*audit.Report, error) {
	layout := settings.LayoutOf("webhook", "")
	written, count := audit.NewProduced(audit.OffsetsOf("webhook")), map[string]int64{}
	head, err := branch.Head(ctx)
	if err != nil || head == nil {
		return nil, fmt.Errorf("the branch has no head, or %w", err)
	}
	entries, err := audit.InCommit(ctx, branch, head.ID, layout)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		written.Add(e.Stream, e.Offset, e.Value)
		count[e.Value]++
	}
	report, err := audit.Branch(ctx, branch, layout, written)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for value := range w.answered {
		switch n := count[value]; {
		case n == 0:
			report.Lost++
		case n > 1:
			report.Duplicated += n - 1
		}
	}
	if len(count) > w.sent {
		report.Problems = append(report.Problems, fmt.Sprintf("%d events were sent, and %d are in the commits", w.sent, len(count)))
	}
	w.say("%d events were sent, %d times one once more", w.sent, w.again)
	return report, nil
}

func (w *webhookSide) close() error {
	w.stop()
	w.senders.Wait()
	w.client.CloseIdleConnections()
	return nil
}
