// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/conformance"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/webhook"
)

// sendersSide are senders that send each event until it is answered with 2xx.
type sendersSide struct {
	t       testing.TB
	port    int
	secret  string
	client  *http.Client
	pending chan string

	mu     sync.Mutex
	values []string
}

// freePort is one that nobody has at the moment.
func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // only its number is wanted
	return l.Addr().(*net.TCPAddr).Port
}

func newSendersSide(t testing.TB) *sendersSide {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("a token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &sendersSide{t: t, port: freePort(t), secret: file, pending: make(chan string, 1000), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 20}}}
	ctx, cancel := context.WithCancel(context.Background())
	var senders sync.WaitGroup
	for range 20 {
		senders.Go(func() { s.send(ctx) })
	}
	t.Cleanup(func() { cancel(); senders.Wait(); s.client.CloseIdleConnections() })
	return s
}

func (s *sendersSide) send(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case value := <-s.pending:
			for !s.post(ctx, value) && ctx.Err() == nil {
				time.Sleep(2 * time.Millisecond)
			}
		}
	}
}

func (s *sendersSide) post(ctx context.Context, value string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1:"+strconv.Itoa(s.port)+"/events", bytes.NewReader([]byte(value)))
	if err != nil {
		s.t.Error(err)
		return true
	}
	req.Header.Set("Authorization", "Bearer a token")
	req.Header.Set("X-Id", value)
	resp, err := s.client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()                                 //nolint:errcheck // only read
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) //nolint:errcheck // only shown
	if resp.StatusCode/100 == 4 && resp.StatusCode != http.StatusTooManyRequests {
		s.t.Errorf("%s was answered with %s: %s", value, resp.Status, text)
	}
	return resp.StatusCode == http.StatusOK
}

func (s *sendersSide) Settings() settings.Settings {
	all := settings.Default()
	all.Source, all.File.Format = "webhook", "jsonl"
	all.Webhook.Address, all.Webhook.Port, all.Webhook.AckTimeout = "127.0.0.1", s.port, settings.Duration(2*time.Second)
	if err := all.Webhook.Endpoints.UnmarshalText(fmt.Appendf(nil, `{"events":{"auth":"bearer","secret_files":[%q],"id":"header:X-Id"}}`, s.secret)); err != nil {
		s.t.Fatal(err)
	}
	if err := all.Validate(); err != nil {
		s.t.Fatal(err)
	}
	return all
}

func (*sendersSide) New(s settings.Settings, o source.Options) (source.Source, error) {
	return webhook.Make(s, o)
}

func (s *sendersSide) Produce(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		value := fmt.Sprintf(`{"n":%d}`, len(s.values))
		s.values = append(s.values, value)
		s.pending <- value
	}
}

func (s *sendersSide) Values() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.values...)
}

// TestConformance is not parallel: see conformance.
func TestConformance(t *testing.T) {
	conformance.Run(t, func(t testing.TB) conformance.Side { return newSendersSide(t) })
}
