// SPDX-License-Identifier: Apache-2.0

// Package registrytest has what tests decode values of a schema registry with.
package registrytest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
)

// Values returns what decodes values of the one schema, of the number 1, that a
// registry has: a kind, such as AVRO, and a text. They are for files of a format.
func Values(tb testing.TB, format, kind, text string) *schema.Values {
	tb.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
		_ = json.NewEncoder(w).Encode(map[string]any{"schema": text, "schemaType": kind}) //nolint:errcheck // the client will say
	}))
	tb.Cleanup(server.Close)
	s := settings.Default()
	s.SchemaRegistry.URL, s.File.Format = server.URL, format
	registry, err := schema.NewRegistry(s, hclog.NewNullLogger())
	if err != nil {
		tb.Fatal(err)
	}
	values, err := registry.Lookup(tb.Context(), 1)
	if err != nil {
		tb.Fatal(err)
	}
	return values
}
