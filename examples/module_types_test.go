// SPDX-License-Identifier: Apache-2.0

package examples_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclparse"
	tfjson "github.com/hashicorp/terraform-json"
	"github.com/zclconf/go-cty/cty"
)

// TestTheModuleHasAllSettings compares the types of the module's variables with
// the provider's schema: Terraform drops what an object type does not have, and
// says nothing.
func TestTheModuleHasAllSettings(t *testing.T) {
	t.Parallel()
	variables := variableTypes(t, "modules/kafka-ingest/variables.tf")
	spout := spoutSchema(t)
	kafka := spout.Attributes["kafka"].AttributeNestedType
	topic := variables["topics"].ElementType()
	for _, name := range []string{"tls", "sasl"} {
		sameAttributes(t, "var."+name, variables[name], kafka.Attributes[name].AttributeNestedType)
	}
	for _, name := range []string{"schema_registry", "batch", "file", "runner"} {
		sameAttributes(t, "var."+name, variables[name], spout.Attributes[name].AttributeNestedType)
	}
	sameAttributes(t, "records of var.topics", topic.AttributeType("records"), spout.Attributes["records"].AttributeNestedType)
	// The rest of kafka, but for what the module sets itself.
	rest := tfjson.SchemaNestedAttributeType{Attributes: maps.Clone(kafka.Attributes)}
	for _, name := range []string{"brokers", "topics", "topics_pattern", "shard", "start", "start_offsets", "tls", "sasl"} {
		delete(rest.Attributes, name)
	}
	sameAttributes(t, "var.kafka", variables["kafka"], &rest)
	for _, name := range []string{"batch", "file", "kafka"} {
		if !topic.AttributeType(name).Equals(variables[name]) {
			t.Errorf("%s of var.topics is not of the type of var.%s", name, name)
		}
	}
}

func sameAttributes(t *testing.T, at string, have cty.Type, want *tfjson.SchemaNestedAttributeType) {
	t.Helper()
	if got, names := slices.Sorted(maps.Keys(have.AttributeTypes())), slices.Sorted(maps.Keys(want.Attributes)); !slices.Equal(got, names) {
		t.Errorf("%s has %v, the provider %v", at, got, names)
		return
	}
	for name, attribute := range want.Attributes {
		switch part := have.AttributeType(name); {
		case attribute.AttributeNestedType != nil:
			sameAttributes(t, at+"."+name, part, attribute.AttributeNestedType)
		case !part.Equals(attribute.AttributeType):
			t.Errorf("%s.%s is %s, the provider's %s", at, name, part.FriendlyName(), attribute.AttributeType.FriendlyName())
		}
	}
}

func variableTypes(t *testing.T, file string) map[string]cty.Type {
	t.Helper()
	parsed, diags := hclparse.NewParser().ParseHCLFile(file)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	content, _, diags := parsed.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "variable", LabelNames: []string{"name"}}}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	types := map[string]cty.Type{}
	for _, block := range content.Blocks {
		inside, _, diags := block.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "type", Required: true}}})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		constraint, _, diags := typeexpr.TypeConstraintWithDefaults(inside.Attributes["type"].Expr)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		types[block.Labels[0]] = constraint.WithoutOptionalAttributesDeep()
	}
	return types
}

// spoutSchema is the schema of pachyderm_spout, as Terraform sees it.
func spoutSchema(t *testing.T) *tfjson.SchemaBlock {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("modules/kafka-ingest")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), find(t).Path, "providers", "schema", "-json")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+overrideProvider(t), "CHECKPOINT_DISABLE=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var schemas tfjson.ProviderSchemas
	if err := json.Unmarshal(out, &schemas); err != nil {
		t.Fatal(err)
	}
	for _, provider := range schemas.Schemas {
		if spout := provider.ResourceSchemas["pachyderm_spout"]; spout != nil {
			return spout.Block
		}
	}
	t.Fatal("no schema of pachyderm_spout")
	return nil
}
