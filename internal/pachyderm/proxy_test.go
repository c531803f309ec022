// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestProxyIsNotQuoted has a proxy refuse with words of its own.
func TestProxyIsNotQuoted(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, "internal answer") //nolint:errcheck // the client may be gone
	}))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTPS_PROXY", strings.Replace(proxy.URL, "http://", "http://me:hunter2@", 1))
	t.Setenv("NO_PROXY", "")
	client, err := Connect(Options{Address: Address{Host: "pachd.example.com", Port: 443, Secure: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, err = client.DeploymentID(t.Context())
	if text := Reason(err); !strings.Contains(text, "does not let it through") || strings.Contains(text, "internal answer") || strings.Contains(text, "hunter2") {
		t.Errorf("the error is %s", text)
	}
}
