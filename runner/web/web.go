// SPDX-License-Identifier: Apache-2.0

// Package web is what a runner answers over HTTP: whether it lives and is
// ready, its metrics, and a status page for people.
package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
)

// Paths that are answered.
const (
	PathPage    = "/"
	PathHealth  = "/healthz"
	PathReady   = "/readyz"
	PathMetrics = "/metrics"
	PathStatus  = "/status.json"
)

// Runner is what is told of.
type Runner interface {
	Health() ingest.Health
	Hung() string // "" unless its loop stands still
	Status() ingest.Status
}

// Handler answers everything, to whom it may.
func Handler(r Runner, metrics http.Handler, a access) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+PathHealth, func(w http.ResponseWriter, _ *http.Request) { alive(w, r.Hung()) })
	mux.HandleFunc("GET "+PathReady, func(w http.ResponseWriter, req *http.Request) { ready(w, r.Health(), a.permits(req)) })
	mux.Handle("GET "+PathMetrics, a.byToken(rendered(metrics)))
	mux.Handle("GET "+PathStatus, a.byToken(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { status(w, r.Status()) })))
	mux.Handle("GET "+PathPage+"{$}", a.byToken(http.HandlerFunc(servePage)))
	return guard(a.byName(mux))
}

// guard keeps browsers from taking an answer for what it is not: topics and
// errors in it are texts of others. It waits for no request's body.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if r.ContentLength != 0 {
			h.Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// alive answers 200, or 503 and why the process is to be started again.
func alive(w http.ResponseWriter, hung string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if hung == "" {
		fmt.Fprintln(w, "ok") //nolint:errcheck // the caller has gone
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	fmt.Fprintln(w, hung) //nolint:errcheck // the caller has gone
}

// ready answers 200 or 503, the status in the first line and, for those who may
// know, a line for each problem.
func ready(w http.ResponseWriter, h ingest.Health, problems bool) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	word := "ready"
	if !h.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
		word = "not ready"
	}
	fmt.Fprintf(w, "%s: %s\n", word, h.Status) //nolint:errcheck // the caller has gone
	if !problems {
		return
	}
	for _, problem := range h.Problems {
		fmt.Fprintf(w, "%s\n", problem) //nolint:errcheck // the caller has gone
	}
}

func status(w http.ResponseWriter, s ingest.Status) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(s) //nolint:errcheck // the caller has gone
}

// page is the status page: one file, which asks for nothing but PathStatus.
//
//go:embed page.html
var page []byte

// pagePolicy lets the page's own style and script run, and nothing else.
var pagePolicy = fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	hashOf("style"), hashOf("script"))

// hashOf returns the hash of the page's only element of a name, as policies
// have it.
func hashOf(element string) string {
	_, rest, _ := strings.Cut(string(page), "<"+element+">")
	content, _, _ := strings.Cut(rest, "</"+element+">")
	sum := sha256.Sum256([]byte(content))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func servePage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pagePolicy)
	bytes.NewReader(page).WriteTo(w) //nolint:errcheck // the caller has gone
}
