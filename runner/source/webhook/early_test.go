// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestRequestDuringOpen: a request may come as soon as the port listens, before
// the source has its listener. It was answered by a panic, and Close then waited
// for it for ever.
func TestRequestDuringOpen(t *testing.T) {
	t.Parallel()
	o := listening(t, endpoints(t, `{"e":{"auth":"none","allow_unauthenticated":true}}`), nil)
	l := o.listener
	o.listener = nil // as while it is opened
	w := httptest.NewRecorder()
	func() {
		defer func() {
			if got := recover(); got != nil {
				t.Errorf("panic: %v", got)
			}
		}()
		for path := range o.byPath {
			l.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, http.NoBody))
		}
	}()
	o.listener = l
	select {
	case <-l.requests.end():
	case <-time.After(time.Minute):
		t.Error("a request that has ended counts for ever")
	}
}
