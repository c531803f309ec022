// SPDX-License-Identifier: Apache-2.0

//go:build acceptance && brokers

package acceptance

import (
	"errors"
	"os"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/apicurio"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/java"
)

// TestRealSchemaRegistry is TestSchemaRegistry with a registry that has nothing
// to do with this project.
func TestRealSchemaRegistry(t *testing.T) {
	registry, err := apicurio.Start(t.Context(), os.Stderr)
	if errors.Is(err, java.ErrNotFetched) {
		t.Skip("there is no registry to be had here: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Stop)
	client, err := sr.NewClient(sr.URLs(registry.URL))
	if err != nil {
		t.Fatal(err)
	}
	var ids []int
	for _, text := range versions {
		made, err := client.CreateSchema(t.Context(), "records-value", sr.Schema{Schema: text})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, made.ID)
	}
	s := newSpout(t, 2)
	s.applyRegistry("parquet", registry.URL, "", "")
	s.ingestWithSchemas(ids)
}
