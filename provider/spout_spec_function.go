// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// spoutSpecFunction is spout_spec. It has the provider itself validate and
// plan a pachyderm_spout, so that nothing of that is said twice.
type spoutSpecFunction struct{ provider func() provider.Provider }

var _ function.Function = spoutSpecFunction{}

// Metadata names the function.
func (spoutSpecFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "spout_spec"
}

// Definition describes the function.
func (spoutSpecFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Show the specification that a spout would submit",
		MarkdownDescription: "Returns the pipeline specification, in JSON, that a `pachyderm_spout` with these attributes submits to Pachyderm: for reviews, for the assertions of `terraform test`, or for `pachctl create pipeline -f`. " +
			"The attributes are checked as those of the resource are. Without `project`, the specification has none.",
		Parameters: []function.Parameter{function.DynamicParameter{Name: "spout",
			MarkdownDescription: "The attributes, for example `{ name = \"orders\", transform = { … } }`, or a whole `pachyderm_spout`: what its computed attributes hold does not matter."}},
		Return: function.StringReturn{},
	}
}

// Run renders the specification.
func (f spoutSpecFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var argument types.Dynamic
	if resp.Error = req.Arguments.Get(ctx, &argument); resp.Error != nil {
		return
	}
	text, err := f.render(ctx, argument)
	if err != nil {
		resp.Error = function.NewArgumentFuncError(0, err.Error())
		return
	}
	resp.Error = resp.Result.Set(ctx, text)
}

func (f spoutSpecFunction) render(ctx context.Context, argument types.Dynamic) (string, error) {
	const spout = "pachyderm_spout"
	given, err := argument.UnderlyingValue().ToTerraformValue(ctx)
	if err != nil {
		return "", err
	}
	server := providerserver.NewProtocol6(f.provider())()
	schemas, err := server.GetProviderSchema(ctx, &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		return "", err
	}
	block := schemas.ResourceSchemas[spout]
	config, err := conform("spout", given, block.ValueType(), block.Block.Attributes)
	if err != nil {
		return "", err
	}
	encoded, err := tfprotov6.NewDynamicValue(block.ValueType(), config)
	if err != nil {
		return "", err
	}
	validated, err := server.ValidateResourceConfig(ctx, &tfprotov6.ValidateResourceConfigRequest{TypeName: spout, Config: &encoded})
	if err == nil {
		err = problemsIn(validated.Diagnostics)
	}
	if err != nil {
		return "", err
	}
	nothing, err := tfprotov6.NewDynamicValue(block.ValueType(), tftypes.NewValue(block.ValueType(), nil))
	if err != nil {
		return "", err
	}
	planned, err := server.PlanResourceChange(ctx, &tfprotov6.PlanResourceChangeRequest{
		TypeName: spout, Config: &encoded, ProposedNewState: &encoded, PriorState: &nothing})
	if err == nil {
		err = problemsIn(planned.Diagnostics)
	}
	if err != nil {
		return "", err
	}
	value, err := planned.PlannedState.Unmarshal(block.ValueType())
	if err != nil {
		return "", err
	}
	var m spoutModel
	diags := (&tfsdk.Plan{Raw: value, Schema: spoutSchema(ctx)}).Get(ctx, &m)
	spec, d := m.expand(ctx)
	diags.Append(d...)
	if diags.HasError() {
		return "", fmt.Errorf("%s: %s", diags[0].Summary(), diags[0].Detail())
	}
	return spec.JSON(m.pipelineID()) // an unknown project reads as ""
}

// problemsIn turns errors of the protocol into one.
func problemsIn(diagnostics []*tfprotov6.Diagnostic) error {
	var lines []string
	for _, d := range diagnostics {
		if d.Severity == tfprotov6.DiagnosticSeverityError {
			lines = append(lines, d.Detail)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(lines, "\n"))
}

// conform gives a value of any type the type of an attribute, as Terraform
// does with what is written in a resource. attributes are those of an object,
// whose computed ones are left out.
func conform(at string, v tftypes.Value, want tftypes.Type, attributes []*tfprotov6.SchemaAttribute) (tftypes.Value, error) {
	if v.IsNull() {
		return tftypes.NewValue(want, nil), nil
	}
	switch want := want.(type) {
	case tftypes.Object:
		return conformObject(at, v, want, attributes)
	case tftypes.Map:
		var children map[string]tftypes.Value
		if err := v.As(&children); err != nil {
			return v, fmt.Errorf("%s must be a map", at)
		}
		out := map[string]tftypes.Value{}
		for name, child := range children {
			var err error
			if out[name], err = conform(at+"."+name, child, want.ElementType, attributes); err != nil {
				return v, err
			}
		}
		return tftypes.NewValue(want, out), nil
	case tftypes.List:
		var children []tftypes.Value
		if err := v.As(&children); err != nil {
			return v, fmt.Errorf("%s must be a list", at)
		}
		out := []tftypes.Value{}
		for n, child := range children {
			element, err := conform(fmt.Sprintf("%s[%d]", at, n), child, want.ElementType, attributes)
			if err != nil {
				return v, err
			}
			out = append(out, element)
		}
		return tftypes.NewValue(want, out), nil
	}
	var number big.Float
	if want.Is(tftypes.String) && v.As(&number) == nil {
		return tftypes.NewValue(want, number.Text('f', -1)), nil
	}
	if !v.Type().Equal(want) {
		return v, fmt.Errorf("%s must be a %s", at, typeName(want))
	}
	return v, nil
}

func conformObject(at string, v tftypes.Value, want tftypes.Object, attributes []*tfprotov6.SchemaAttribute) (tftypes.Value, error) {
	var children map[string]tftypes.Value
	if err := v.As(&children); err != nil {
		return v, fmt.Errorf("%s must be an object of attributes", at)
	}
	for name := range children {
		if want.AttributeTypes[name] == nil {
			known := slices.Sorted(maps.Keys(want.AttributeTypes))
			if nearest, ok := settings.Nearest(name, known); ok {
				return v, fmt.Errorf("%s has no attribute %q; did you mean %q?", at, name, nearest)
			}
			return v, fmt.Errorf("%s has no attribute %q; there are: %s", at, name, strings.Join(known, ", "))
		}
	}
	out := map[string]tftypes.Value{}
	for name, kind := range want.AttributeTypes {
		child, ok := children[name]
		var nested []*tfprotov6.SchemaAttribute
		for _, a := range attributes {
			if a.Name != name {
				continue
			}
			if a.NestedType != nil {
				nested = a.NestedType.Attributes
			}
			ok = ok && (!a.Computed || a.Optional)
		}
		if !ok {
			child = tftypes.NewValue(kind, nil)
		}
		var err error
		if out[name], err = conform(at+"."+name, child, kind, nested); err != nil {
			return v, err
		}
	}
	return tftypes.NewValue(want, out), nil
}

func typeName(t tftypes.Type) string {
	switch {
	case t.Equal(tftypes.Bool):
		return "bool"
	case t.Equal(tftypes.Number):
		return "number"
	}
	return "string"
}
