// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// opened is a source with a loop that commits at once, unless it is held.
type opened struct {
	*Source
	t    testing.TB
	base string // URL

	mu       sync.Mutex
	hold     chan struct{} // while it is not nil, nothing is acknowledged
	records  []source.Record
	known    int64
	position json.RawMessage
	chunks   int
	stop     context.CancelFunc
	done     chan struct{} // nil without the loop
}

// secretFile is a file with a secret.
func secretFile(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// endpoints are settings with endpoints, in JSON.
func endpoints(t testing.TB, text string) settings.Settings {
	t.Helper()
	s := settings.Default()
	s.Source = "webhook"
	s.Webhook.Address, s.Webhook.AckTimeout = "127.0.0.1", settings.Duration(20*time.Second)
	if err := s.Webhook.Endpoints.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s
}

// open opens a source, at a position or at none.
func open(t testing.TB, s settings.Settings, position json.RawMessage) *opened {
	t.Helper()
	o := listening(t, s, position)
	ctx, cancel := context.WithCancel(context.Background())
	o.stop, o.done = cancel, make(chan struct{})
	go o.loop(ctx)
	return o
}

// listening is open without the loop.
func listening(t testing.TB, s settings.Settings, position json.RawMessage) *opened {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Webhook.Port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	made, err := Make(s, source.Options{Memory: s.MemoryBudget / 4})
	if err != nil {
		t.Fatal(err)
	}
	scheme := "http"
	if s.Webhook.HasTLS() {
		scheme = "https"
	}
	o := &opened{Source: made.(*Source), t: t, base: fmt.Sprintf("%s://127.0.0.1:%d", scheme, s.Webhook.Port), stop: func() {}}
	if err := o.Open(t.Context(), position); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.end)
	return o
}

// end is a clean end; the position is that of what was acknowledged.
func (o *opened) end() {
	o.stop()
	if o.done != nil {
		<-o.done
	}
	if err := o.Close(); err != nil {
		o.t.Error(err)
	}
}

func (o *opened) loop(ctx context.Context) {
	defer close(o.done)
	for {
		chunk, err := o.Next(ctx)
		if err != nil {
			return
		}
		o.mu.Lock()
		for _, r := range chunk.Records { // what they are made of is given back
			r.Value, r.Key = append([]byte(nil), r.Value...), append([]byte(nil), r.Key...)
			o.records = append(o.records, r)
		}
		o.known += chunk.Redelivered
		o.chunks++
		hold := o.hold
		o.mu.Unlock()
		o.Consume(chunk, len(chunk.Records))
		chunk.Release()
		position := o.Position()
		if hold != nil {
			select {
			case <-hold:
			case <-ctx.Done():
				return
			}
		}
		o.mu.Lock()
		o.position = position
		o.mu.Unlock()
		o.Acknowledge(ctx, position)
	}
}

func (o *opened) holdBack() (release func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	hold := make(chan struct{})
	o.hold = hold
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.hold == hold {
			close(hold)
			o.hold = nil
		}
	}
}

func (o *opened) values() (list []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.records {
		list = append(list, string(r.Value))
	}
	return list
}

func (o *opened) at() json.RawMessage {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.position
}

// answer is what a sender gets.
type answer struct {
	status int
	header http.Header
	text   string
}

// request sends one; headers are NAME: VALUE, one a line.
func (o *opened) request(method, path, headers, body string) answer {
	o.t.Helper()
	req, err := http.NewRequestWithContext(o.t.Context(), method, o.base+path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	for line := range strings.SplitSeq(headers, "\n") {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			req.Header.Add(name, value)
		}
	}
	return o.do(http.DefaultClient, req)
}

func (o *opened) do(client *http.Client, req *http.Request) answer {
	o.t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		return answer{text: err.Error()}
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Error(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

func (o *opened) post(path, headers, body string) answer {
	o.t.Helper()
	return o.request(http.MethodPost, path, headers, body)
}

func (o *opened) want(a answer, status int, text string) {
	o.t.Helper()
	if a.status != status || !strings.Contains(a.text, text) {
		o.t.Errorf("answered with %d %s, should be %d with %q", a.status, a.text, status, text)
	}
}

func header(r source.Record, name string) string {
	text := ""
	for key, value := range r.Headers.All() {
		if string(key) == name {
			text = string(value)
		}
	}
	return text
}

func seconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

func mac(key, text string) []byte {
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(text))
	return m.Sum(nil)
}

func hmacHex(key, text string) string    { return hex.EncodeToString(mac(key, text)) }
func hmacBase64(key, text string) string { return base64.StdEncoding.EncodeToString(mac(key, text)) }
