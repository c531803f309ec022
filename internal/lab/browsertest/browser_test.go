// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPage opens a page that does what no page should: all of it is noticed.
func TestPage(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, `<!doctype html><title>one</title><link rel="icon" href="data:,"><script>console.error("said"); document.title += " two"</script>
			<script>throw new Error("thrown")</script><script src="missing.js"></script>`)
	}))
	t.Cleanup(server.Close)
	page := Open(t, server.URL)
	var title string
	page.Eval("document.title", &title)
	if title != "one two" {
		t.Errorf("the title is %q", title)
	}
	for _, want := range []string{"said", "thrown", "404"} {
		complained := func() bool {
			return slices.ContainsFunc(page.Complaints(), func(c string) bool { return strings.Contains(c, want) })
		}
		for deadline := time.Now().Add(patience); !complained() && time.Now().Before(deadline); {
			page.Eval("document.title", &title) // what came meanwhile is noted
		}
		if !complained() {
			t.Errorf("the browser has not complained of %q: %v", want, page.Complaints())
		}
	}
}
