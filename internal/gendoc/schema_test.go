// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	tfjson "github.com/hashicorp/terraform-json"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
)

func TestTheSchemaIsWhatTerraformPrints(t *testing.T) {
	cli, err := terraformcli.Find(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	printed := printedSchema(t, cli)
	var buffer bytes.Buffer
	if err := writeSchema(t.Context(), &buffer); err != nil {
		t.Fatal(err)
	}
	made := decode(t, buffer.Bytes())

	// Which kinds of objects are printed depends on the version.
	for kind, want := range printed {
		if got := made[kind]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: made %s\nTerraform prints %s", kind, indent(got), indent(want))
		}
	}
	if _, ok := printed["resource_schemas"]; !ok {
		t.Errorf("%s prints no resources", cli)
	}
}

// What the installed command line may be too old to print is there as well.
func TestTheSchemaHasEverything(t *testing.T) {
	schema, err := providerSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for what, names := range map[string][]string{
		"list resources": names(schema.ListResourceSchemas), "actions": names(schema.ActionSchemas), "functions": names(schema.Functions),
		"ephemeral resources": names(schema.EphemeralResourceSchemas), "identities": names(schema.ResourceIdentitySchemas),
	} {
		if len(names) == 0 {
			t.Errorf("there are no %s", what)
		}
	}
	for name := range schema.ResourceSchemas {
		if schema.ResourceIdentitySchemas[name] == nil {
			t.Errorf("%s has no identity", name)
		}
	}
}

func names[T any](all map[string]T) []string { return slices.Collect(maps.Keys(all)) }

// printedSchema returns what the command line prints for the provider.
func printedSchema(t *testing.T, cli terraformcli.CLI) map[string]any {
	t.Helper()
	dir := t.TempDir()
	if _, err := artifacts.Provider(t.Context(), dir, "0.0.0"); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("provider_installation {\n  dev_overrides {\n    %q = %q\n  }\n}\n", terraformcli.ProviderSource, dir)
	write(t, filepath.Join(dir, "terraform.rc"), config)
	write(t, filepath.Join(dir, "main.tf"), fmt.Sprintf("terraform {\n  required_providers {\n    pachyderm = {\n      source = %q\n    }\n  }\n}\n", terraformcli.ProviderSource))
	cmd := exec.CommandContext(t.Context(), cli.Path, "providers", "schema", "-json")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+filepath.Join(dir, "terraform.rc"), "CHECKPOINT_DISABLE=1")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, out)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// decode returns the one provider of a schema in JSON, in the form that
// terraform-json gives it, where nothing and empty are the same.
func decode(t *testing.T, encoded []byte) map[string]any {
	t.Helper()
	var schemas tfjson.ProviderSchemas
	if err := json.Unmarshal(encoded, &schemas); err != nil {
		t.Fatal(err)
	}
	if len(schemas.Schemas) != 1 {
		t.Fatalf("%d providers", len(schemas.Schemas))
	}
	for _, schema := range schemas.Schemas {
		again, err := json.Marshal(schema)
		if err != nil {
			t.Fatal(err)
		}
		var out map[string]any
		if err := json.Unmarshal(again, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	return nil
}

func indent(value any) string {
	out, _ := json.MarshalIndent(value, "", "  ")
	return string(out)
}
