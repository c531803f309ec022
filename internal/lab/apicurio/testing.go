// SPDX-License-Identifier: Apache-2.0

//go:build linux

package apicurio

import (
	"errors"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/java"
)

// StartForTest starts a registry that ends with the test, which is skipped if
// the registry cannot be fetched.
func StartForTest(tb testing.TB) *Registry {
	tb.Helper()
	r, err := Start(tb.Context(), os.Stderr)
	if errors.Is(err, java.ErrNotFetched) {
		tb.Skip("there is no registry to be had here: ", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Stop)
	return r
}

// Client returns a client with patience: the first requests to a server that
// has just started take seconds on a busy machine.
func (r *Registry) Client(tb testing.TB) *sr.Client {
	tb.Helper()
	client, err := sr.NewClient(sr.URLs(r.URL), sr.HTTPClient(&http.Client{Timeout: 2 * time.Minute}))
	if err != nil {
		tb.Fatal(err)
	}
	return client
}
