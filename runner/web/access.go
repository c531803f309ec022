// SPDX-License-Identifier: Apache-2.0

package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// access says who is answered.
type access struct {
	hosts []string // as in SPOUT_HTTP_HOSTS, and our own
	token []byte   // its hash; nil for none
}

func newAccess(s settings.HTTP) access {
	a := access{hosts: []string{"localhost"}}
	for _, name := range append(s.Hosts, hostname()) {
		a.hosts = append(a.hosts, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	if token := strings.TrimSpace(s.Token); token != "" { // files that become secrets often end in a newline
		a.token = hash(token)
	}
	return a
}

func hash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// byName refuses requests that call the runner by a name that is not its own.
// A page of somebody else's can have the browser of a user, who reaches the
// runner, ask it by a name of that somebody's domain (DNS rebinding), but not
// by an address.
func (a access) byName(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.knows(r.Host) {
			const most = 100
			http.Error(w, fmt.Sprintf("this runner is not called %q: if it should be, add the name to SPOUT_HTTP_HOSTS (runner.http_hosts)", r.Host[:min(len(r.Host), most)]),
				http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a access) knows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if _, err := netip.ParseAddr(host); err == nil || host == "" { // no browser leaves it out
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return slices.ContainsFunc(a.hosts, func(name string) bool {
		domain, any := strings.CutPrefix(name, "*")
		return name == host || any && strings.HasSuffix(host, domain)
	})
}

// byToken refuses requests without the token, if there is one.
func (a access) byToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.permits(r) {
			// Browsers know the second way only.
			w.Header()["Www-Authenticate"] = []string{`Bearer realm="spout-runner"`, `Basic realm="spout-runner: the token is the password"`}
			http.Error(w, "this takes the runner's token (runner.http_token_secret)", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a access) permits(r *http.Request) bool {
	if a.token == nil {
		return true
	}
	_, token, basic := r.BasicAuth()
	if !basic {
		scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return false
		}
		token = strings.TrimSpace(rest)
	}
	return subtle.ConstantTimeCompare(hash(token), a.token) == 1
}
