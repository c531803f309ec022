// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// ask asks a runner that is stalled, and has metrics.
func ask(s settings.HTTP, path, host string, header http.Header) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, path, nil)
	request.Host = host
	for name, values := range header {
		request.Header[name] = values
	}
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("metrics")) })
	Handler(stalled(), metrics, newAccess(s)).ServeHTTP(answer, request)
	return answer
}

// TestNames: a page of somebody else's does not reach the runner by a name of
// its own, whatever it asks for.
func TestNames(t *testing.T) {
	t.Parallel()
	s := settings.HTTP{Hosts: []string{"orders.pachyderm.svc", "*.example.com"}}
	for host, want := range map[string]int{
		"127.0.0.1:9464": 200, "[::1]:9464": 200, "10.1.2.3": 200, "[fe80::1%25eth0]:1": 200, "localhost:9464": 200, "LOCALHOST.": 200, hostname() + ":9464": 200, "": 200,
		"orders.pachyderm.svc": 200, "a.example.com:80": 200, "a.b.Example.com": 200,
		"evil.example": 421, "evil.example:9464": 421, "127.0.0.1.evil.example": 421, "example.com": 421, "evilexample.com": 421, "localhost.evil.example": 421,
	} {
		for _, path := range []string{PathPage, PathHealth, PathReady, PathMetrics, PathStatus} {
			answer := ask(s, path, host, nil)
			if answer.Code == http.StatusServiceUnavailable && path == PathReady {
				answer.Code = http.StatusOK // the runner is stalled
			}
			if answer.Code != want {
				t.Errorf("%s by the name %q: %d, want %d", path, host, answer.Code, want)
			}
		}
	}
	if answer := ask(s, PathStatus, "evil.example", nil); strings.Contains(answer.Body.String(), "orders") || !strings.Contains(answer.Body.String(), "SPOUT_HTTP_HOSTS") {
		t.Error(answer.Body)
	}
	if answer := ask(settings.HTTP{Hosts: []string{"*"}}, PathStatus, "any.example", nil); answer.Code != http.StatusOK {
		t.Error(answer.Code)
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	s := settings.HTTP{Token: "planted-token\n"}
	bearer := func(text string) http.Header { return http.Header{"Authorization": {text}} }
	basic := &http.Request{Header: http.Header{}}
	basic.SetBasicAuth("anyone", "planted-token")
	for _, c := range []struct {
		header http.Header
		want   int
	}{
		{nil, 401}, {bearer("Bearer other"), 401}, {bearer("Bearer "), 401}, {bearer("planted-token"), 401}, {bearer("Bearer planted-token2"), 401},
		{bearer("Bearer planted-token"), 200}, {bearer("bearer planted-token"), 200}, {basic.Header, 200},
	} {
		for _, path := range []string{PathPage, PathMetrics, PathStatus} {
			answer := ask(s, path, "localhost", c.header)
			if answer.Code != c.want || (c.want == 401) != (len(answer.Header()["Www-Authenticate"]) == 2) {
				t.Errorf("%s with %v: %d, want %d; %v", path, c.header, answer.Code, c.want, answer.Header())
			}
		}
	}
	if answer := ask(s, PathHealth, "localhost", nil); answer.Code != http.StatusOK {
		t.Error(answer.Code)
	}
	if answer := ask(s, PathReady, "localhost", nil); answer.Body.String() != "not ready: ingesting\n" {
		t.Errorf("strangers are told %q", answer.Body)
	}
	if answer := ask(s, PathReady, "localhost", bearer("Bearer planted-token")); !strings.Contains(answer.Body.String(), "waiting for commit") {
		t.Errorf("those who may know are told %q", answer.Body)
	}
}
