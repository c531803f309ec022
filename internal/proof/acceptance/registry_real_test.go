// SPDX-License-Identifier: Apache-2.0

//go:build acceptance && brokers

package acceptance

import (
	"testing"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/apicurio"
)

// TestRealSchemaRegistry is TestSchemaRegistry with a registry that has nothing
// to do with this project.
func TestRealSchemaRegistry(t *testing.T) {
	registry := apicurio.StartForTest(t)
	client := registry.Client(t)
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
