// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/logtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

const password = "a-password-that-nobody-may-see"

// registryOf is the client of a registry that needs credentials.
func registryOf(t *testing.T, server *httptest.Server) (*Registry, *logtest.Log) {
	t.Helper()
	s := settings.Default()
	s.SchemaRegistry.URL, s.SchemaRegistry.Username, s.SchemaRegistry.Password = server.URL, "me", password
	if certificate := server.Certificate(); certificate != nil {
		s.SchemaRegistry.TLSCA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
	}
	l := logtest.New(10 * time.Second)
	r, err := NewRegistry(s, hclog.New(&hclog.LoggerOptions{Output: l, Level: hclog.Trace}))
	if err != nil {
		t.Fatal(err)
	}
	return r, l
}

// looksUp looks a schema up until the log has some texts, and returns the log.
func looksUp(t *testing.T, r *Registry, l *logtest.Log, texts ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := r.Lookup(ctx, 1)
		ended <- err
	}()
	l.Await(t, texts...)
	cancel()
	if err := <-ended; err == nil {
		t.Error("the schema was found")
	}
	return l.String()
}

// TestRegistryRedirects has a registry send the runner elsewhere: to the same
// host without TLS, and to another one.
func TestRegistryRedirects(t *testing.T) {
	t.Parallel()
	var stolen atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		stolen.Add(1)
		http.Error(w, `{"error_code":40403,"message":"internal answer"}`, http.StatusNotFound)
	}))
	t.Cleanup(thief.Close)
	for name, to := range map[string]func(registry string) string{
		"in clear":  func(registry string) string { return "http" + strings.TrimPrefix(registry, "https") },
		"elsewhere": func(string) string { return thief.URL },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var registry *httptest.Server
			registry = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, to(registry.URL)+r.URL.Path, http.StatusFound)
			}))
			t.Cleanup(registry.Close)
			r, l := registryOf(t, registry)
			all := looksUp(t, r, l, "waiting for the schema registry", "it redirects to "+to(registry.URL))
			if stolen.Load() > 0 || strings.Contains(all, password) || strings.Contains(all, "internal answer") {
				t.Errorf("%d requests went elsewhere; the log is\n%s", stolen.Load(), all)
			}
		})
	}
}

// TestRegistryAnswersInTheLog is about what the log tells of them.
func TestRegistryAnswersInTheLog(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status            int
		body, want, never string
	}{
		"a page":             {http.StatusBadGateway, "<html>internal", "it answers 502 Bad Gateway", "internal"},
		"the registry's own": {http.StatusUnauthorized, `{"error_code":40101,"message":"who are you?"}`, "error_code 40101: who are you?", "{"},
		"a long message":     {http.StatusUnauthorized, `{"error_code":40101,"message":"` + strings.Repeat("long ", 1000) + `"}`, "error_code 40101: long", strings.Repeat("long ", 41)},
		"no JSON":            {http.StatusOK, "internal", "cannot be understood", "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				w.Write([]byte(test.body)) //nolint:errcheck // the client may be gone
			}))
			t.Cleanup(registry.Close)
			r, l := registryOf(t, registry)
			if all := looksUp(t, r, l, "waiting for the schema registry", test.want); strings.Contains(all, test.never) {
				t.Errorf("the log is\n%s", all)
			}
		})
	}
}
