// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	tfjson "github.com/hashicorp/terraform-json"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/spoutworks/terraform-provider-pachyderm/provider"
)

// shortName is the key under which tfplugindocs looks for the schema.
const shortName = "pachyderm"

// writeSchema writes the provider's schema in the format of
// "terraform providers schema -json".
func writeSchema(ctx context.Context, w io.Writer) error {
	schema, err := providerSchema(ctx)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(tfjson.ProviderSchemas{
		FormatVersion: "1.0",
		Schemas:       map[string]*tfjson.ProviderSchema{shortName: schema},
	})
}

// providerSchema asks the provider for all it offers, as Terraform would.
func providerSchema(ctx context.Context) (*tfjson.ProviderSchema, error) {
	server, err := providerserver.NewProtocol6WithError(provider.New("dev")())()
	if err != nil {
		return nil, err
	}
	schema, err := server.GetProviderSchema(ctx, &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		return nil, err
	}
	identities, err := server.GetResourceIdentitySchemas(ctx, &tfprotov6.GetResourceIdentitySchemasRequest{})
	if err != nil {
		return nil, err
	}
	if err := problems(append(schema.Diagnostics, identities.Diagnostics...)); err != nil {
		return nil, err
	}
	return convert(schema, identities)
}

func problems(diagnostics []*tfprotov6.Diagnostic) error {
	var out error
	for _, d := range diagnostics {
		if d.Severity == tfprotov6.DiagnosticSeverityError {
			out = errors.Join(out, fmt.Errorf("%s: %s", d.Summary, d.Detail))
		}
	}
	return out
}
