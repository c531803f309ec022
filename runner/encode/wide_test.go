// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// registered returns a registry that has one schema, and its number.
func registered(t testing.TB, kind, text string) *schema.Values {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
		_ = json.NewEncoder(w).Encode(map[string]any{"schema": text, "schemaType": kind}) //nolint:errcheck // the client will say
	}))
	t.Cleanup(server.Close)
	s := settings.Default()
	s.SchemaRegistry.URL, s.File.Format = server.URL, "parquet"
	registry, err := schema.NewRegistry(s, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	values, err := registry.Lookup(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// wideSchema is an Avro schema of n columns of int, each optional.
func wideSchema(n int) string {
	fields := make([]string, n)
	for i := range fields {
		fields[i] = fmt.Sprintf(`{"name":"column_%d","type":["null","int"]}`, i)
	}
	return `{"type":"record","name":"Wide","fields":[` + strings.Join(fields, ",") + `]}`
}

// BenchmarkWide shows what a Parquet file of 100 rows costs, by its columns.
func BenchmarkWide(b *testing.B) {
	for _, columns := range []int{50, 500, 5000} {
		b.Run(fmt.Sprint(columns), func(b *testing.B) {
			values := registered(b, "AVRO", wideSchema(columns))
			value := make([]byte, 0, 3*columns)
			for i := range columns {
				value = binary.AppendVarint(append(value, 2), int64(i))
			}
			rows, _, err := values.Decode(nil, value)
			if err != nil {
				b.Fatal(err)
			}
			e := newEncoder(b, "parquet", "none")
			for b.Loop() {
				f := e.NewFile(Place{Stream: stream, Rows: rows})
				for offset := range 100 {
					if _, err := f.Append([]source.Record{{Offset: int64(offset), Value: value}}, math.MaxInt); err != nil {
						b.Fatal(err)
					}
				}
				if err := f.Write(func(string, ...[]byte) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
