// SPDX-License-Identifier: Apache-2.0

package promised

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/provider"
)

// Schema is all that the provider offers to Terraform.
func Schema(ctx context.Context) (Things, error) {
	server := provider.Server("dev")()
	all, err := server.GetProviderSchema(ctx, &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		return nil, err
	}
	identities, err := server.GetResourceIdentitySchemas(ctx, &tfprotov6.GetResourceIdentitySchemasRequest{})
	if err != nil {
		return nil, err
	}
	for _, d := range append(all.Diagnostics, identities.Diagnostics...) {
		if d.Severity == tfprotov6.DiagnosticSeverityError {
			return nil, fmt.Errorf("%s: %s", d.Summary, d.Detail)
		}
	}
	things := Things{}
	things.schema("provider", all.Provider)
	for kind, schemas := range map[string]map[string]*tfprotov6.Schema{
		"resource": all.ResourceSchemas, "data": all.DataSourceSchemas, "ephemeral": all.EphemeralResourceSchemas, "list": all.ListResourceSchemas,
	} {
		for name, schema := range schemas {
			things.schema(kind+" "+name, schema)
		}
	}
	for name, action := range all.ActionSchemas {
		things.schema("action "+name, action.Schema)
	}
	for name, function := range all.Functions {
		things["function "+name] = Thing{Type: signature(function)}
	}
	for name, identity := range identities.IdentitySchemas {
		things["identity "+name] = Thing{Version: identity.Version}
		for _, a := range identity.IdentityAttributes {
			things["identity "+name+" "+a.Name] = Thing{Type: typeName(a.Type), Required: a.RequiredForImport, Optional: a.OptionalForImport}
		}
	}
	return things, nil
}

func (t Things) schema(name string, schema *tfprotov6.Schema) {
	t[name] = Thing{Version: schema.Version}
	t.block(name+" ", schema.Block)
}

func (t Things) block(prefix string, block *tfprotov6.SchemaBlock) {
	t.attributes(prefix, block.Attributes)
	for _, b := range block.BlockTypes {
		t[prefix+b.TypeName] = Thing{Type: "block " + b.Nesting.String(), Required: b.MinItems > 0, Optional: b.MinItems == 0}
		t.block(prefix+b.TypeName+".", b.Block)
	}
}

func (t Things) attributes(prefix string, attributes []*tfprotov6.SchemaAttribute) {
	for _, a := range attributes {
		thing := Thing{Required: a.Required, Optional: a.Optional, Computed: a.Computed, Sensitive: a.Sensitive, WriteOnly: a.WriteOnly}
		if a.NestedType == nil {
			thing.Type = typeName(a.Type)
		} else {
			thing.Type = "object " + a.NestedType.Nesting.String()
			t.attributes(prefix+a.Name+".", a.NestedType.Attributes)
		}
		t[prefix+a.Name] = thing
	}
}

func signature(f *tfprotov6.Function) string {
	var parameters []string
	for _, p := range f.Parameters {
		parameters = append(parameters, typeName(p.Type))
	}
	if f.VariadicParameter != nil {
		parameters = append(parameters, typeName(f.VariadicParameter.Type)+"...")
	}
	return "(" + strings.Join(parameters, ", ") + ") " + typeName(f.Return.Type)
}

func typeName(t fmt.Stringer) string {
	return strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(t.String(), "tftypes.", ""), `"`, "'"))
}

// Settings are the runner's variables.
func Settings() Things {
	things := Things{}
	for _, v := range settings.Variables() {
		thing := Thing{Type: kinds[v.Kind], Secret: v.Secret, Default: v.Default}
		for _, value := range v.Values {
			thing.Values = append(thing.Values, value.Name)
		}
		things[v.Name] = thing
	}
	return things
}

var kinds = map[settings.Kind]string{
	settings.Text: "text", settings.List: "list", settings.Int: "int", settings.Bool: "bool", settings.Size: "size", settings.Length: "length",
	settings.Time: "time", settings.PEM: "pem", settings.Offsets: "offsets", settings.Presence: "presence", settings.NamedObjects: "named objects",
}
