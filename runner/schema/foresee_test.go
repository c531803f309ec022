// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestForesee: what the registry does not have is asked for by many requests at
// a time, and not again; what it has is left to the lookup.
func TestForesee(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	asked, arrived := map[string]int{}, make(chan struct{}, manyAtOnce)
	var together sync.WaitGroup
	together.Add(requestsAtOnce)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.URL.Path]++
		mu.Unlock()
		select {
		case arrived <- struct{}{}:
			if len(arrived) <= requestsAtOnce {
				together.Done()
				together.Wait() // none is answered before so many are there
			}
		default:
		}
		if r.URL.Path == "/schemas/ids/1" {
			_ = json.NewEncoder(w).Encode(map[string]any{"schema": `"string"`})
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"error_code":40403,"message":"Schema not found"}`)
	}))
	defer server.Close()
	r := newRegistry(t, server.URL, io.Discard)
	ids := make([]int, manyAtOnce+10)
	for i := range ids {
		ids[i] = i + 1
	}
	for range 3 { // the rest comes with the second, and nothing with the third
		r.Foresee(t.Context(), slices.Values(ids))
	}
	if len(asked) != len(ids) {
		t.Errorf("%d of %d schemas were asked for", len(asked), len(ids))
	}
	for path, times := range asked {
		if times != 1 {
			t.Errorf("%s was asked for %d times", path, times)
		}
	}
	for _, id := range ids {
		var refused *Refused
		_, err, known := r.Known(id)
		if id == 1 {
			if known {
				t.Error("the schema that is there is known before it was looked up")
			}
		} else if !known || !errors.As(err, &refused) {
			t.Errorf("schema %d: %v, known: %t", id, err, known)
		}
	}
	if _, err := r.Lookup(t.Context(), 1); err != nil {
		t.Error(err)
	}
	for id, k := range r.unknown { // it is over that they count as unknown
		k.until = time.Time{}
		r.unknown[id] = k
	}
	clear(asked)
	r.Foresee(t.Context(), slices.Values(ids))
	if len(asked) != manyAtOnce {
		t.Errorf("later, %d schemas were asked for, not %d", len(asked), manyAtOnce)
	}
}

// TestForeseeWithoutRegistry: what fails once is not tried for each.
func TestForeseeWithoutRegistry(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	r := newRegistry(t, server.URL, io.Discard)
	ids := make([]int, manyAtOnce)
	for i := range ids {
		ids[i] = i + 1
	}
	r.Foresee(t.Context(), slices.Values(ids))
	if n := asked.Load(); n == 0 || n > 2*requestsAtOnce {
		t.Errorf("asked %d times", n)
	}
	if _, _, known := r.Known(1); known {
		t.Error("a schema counts as unknown that was not answered about")
	}
}
