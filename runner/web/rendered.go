// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"maps"
	"net/http"
	"strconv"
)

// maxRenderings is how many answers of a kind are made at once.
const maxRenderings = 2

// rendered makes answers of next one or two at once, whole, and only then
// sends them: making one takes many times the memory of the answer, and
// clients that do not read hold up nobody.
func rendered(next http.Handler) http.Handler {
	slots := make(chan struct{}, maxRenderings)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := answer{header: http.Header{}, code: http.StatusOK}
		select {
		case slots <- struct{}{}:
		case <-r.Context().Done():
			return
		}
		func() {
			defer func() { <-slots }()
			next.ServeHTTP(&answer, r)
		}()
		maps.Copy(w.Header(), answer.header)
		w.Header().Set("Content-Length", strconv.Itoa(answer.body.Len()))
		w.WriteHeader(answer.code)
		answer.body.WriteTo(w) //nolint:errcheck // the caller has gone
	})
}

// answer is an answer that is not sent yet.
type answer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(code int)        { a.code = code }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }
