// SPDX-License-Identifier: Apache-2.0

package examples_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/spoutworks/terraform-provider-pachyderm/provider"
)

// TestEachObjectHasItsExamples: what the provider has is shown, in each way in
// which it can be used, and nothing else is.
func TestEachObjectHasItsExamples(t *testing.T) {
	t.Parallel()
	server := providerserver.NewProtocol6(provider.New("0.0.0")())()
	schemas, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	identities, err := server.GetResourceIdentitySchemas(t.Context(), &tfprotov6.GetResourceIdentitySchemasRequest{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"provider/provider.tf"}
	add := func(kind, name string, files ...string) {
		for _, file := range files {
			want = append(want, filepath.Join(kind, name, file))
		}
	}
	for name := range schemas.ResourceSchemas {
		add("resources", name, "resource.tf", "import.sh", "import-by-string-id.tf")
		if identities.IdentitySchemas[name] != nil {
			add("resources", name, "import-by-identity.tf")
		}
	}
	for name := range schemas.DataSourceSchemas {
		add("data-sources", name, "data-source.tf")
	}
	for name := range schemas.EphemeralResourceSchemas {
		add("ephemeral-resources", name, "ephemeral-resource.tf")
	}
	for name := range schemas.Functions {
		add("functions", name, "function.tf")
	}
	for name := range schemas.ListResourceSchemas {
		add("list-resources", name, "list-resource.tfquery.hcl")
	}
	for name := range schemas.ActionSchemas {
		add("actions", name, "action.tf")
	}
	for _, file := range want {
		if _, err := os.Stat(file); err != nil {
			t.Errorf("there is no example: %v", err)
		}
	}
	for _, kind := range []string{"resources", "data-sources", "ephemeral-resources", "functions", "list-resources", "actions"} {
		folders, err := os.ReadDir(kind)
		if err != nil {
			t.Error(err)
		}
		for _, folder := range folders {
			if !slices.ContainsFunc(want, func(file string) bool { return filepath.Dir(file) == filepath.Join(kind, folder.Name()) }) {
				t.Errorf("%s/%s is an example of nothing that the provider has", kind, folder.Name())
			}
		}
	}
}
