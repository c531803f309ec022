// SPDX-License-Identifier: Apache-2.0

//go:build linux

package provider

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// The proxy of HTTPS_PROXY is used, unless NO_PROXY has the host.
func TestProxy(t *testing.T) {
	t.Parallel()
	s := pachtest.New(t)
	_, target, _ := strings.Cut(s.Address(), "://")
	var asked atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != "pachd.invalid:30650" {
			t.Errorf("%s %s", r.Method, r.Host)
			return
		}
		asked.Add(1)
		tunnel(t, w, target)
	}))
	t.Cleanup(proxy.Close)
	p := newProcess(t, s, "", nil)
	config := func(timeout string) {
		p.write("main.tf", requiredProviders+strings.ReplaceAll(withProvider(s, spoutConfig(`wait_for = "created"`), "request_timeout = \""+timeout+"\""), s.Address(), "grpc://pachd.invalid"))
	}
	config("1m")
	through := []string{"HTTPS_PROXY=" + proxy.URL}
	p.runWith(through, 0, "apply", "-auto-approve")
	if asked.Load() == 0 || s.Writes() == 0 {
		t.Error("the proxy was not used")
	}
	before := asked.Load()
	config("1s")
	if err := contains(p.runWith(append(through, "NO_PROXY=.invalid"), 1, "plan"), "pachd.invalid"); err != nil {
		t.Error(err)
	}
	if asked.Load() != before {
		t.Error("the proxy was used in spite of NO_PROXY")
	}
}

// tunnel joins a client of a proxy to the target.
func tunnel(t *testing.T, w http.ResponseWriter, target string) {
	server, err := net.Dial("tcp", target)
	if err != nil {
		t.Error(err)
		return
	}
	defer server.Close()
	client, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_, err = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	}
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	go func() {
		io.Copy(server, client) //nolint:errcheck // ends with either side
		server.Close()          //nolint:errcheck // as above
	}()
	io.Copy(client, server) //nolint:errcheck // as above
}
