// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"math/big"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// parseIDFunction is parse_id.
type parseIDFunction struct{}

var _ function.Function = parseIDFunction{}

var parsedIDTypes = map[string]attr.Type{"project": types.StringType, "name": types.StringType, "branch": types.StringType}

// Metadata names the function.
func (parseIDFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "parse_id"
}

// Definition describes the function.
func (parseIDFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Take an id of this provider apart",
		MarkdownDescription: "Returns an object with `project`, `name` and `branch` for the id of a spout, pipeline, repo or branch, such as `default/orders` or `default/orders@master`. " +
			"`project` is null for a name without a project, which stands for the provider's `default_project`; `branch` is null unless the id has one.",
		Parameters: []function.Parameter{function.StringParameter{Name: "id", MarkdownDescription: "The id, as `project/name` or `project/name@branch`."}},
		Return:     function.ObjectReturn{AttributeTypes: parsedIDTypes},
	}
}

// Run takes the id apart.
func (parseIDFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var id string
	if resp.Error = req.Arguments.Get(ctx, &id); resp.Error != nil {
		return
	}
	rest, branch, hasBranch := strings.Cut(id, "@")
	project, name, hasProject := strings.Cut(rest, "/")
	if !hasProject {
		project, name = "", rest
	}
	if name == "" || hasProject && project == "" || hasBranch && branch == "" || strings.ContainsAny(name+branch, "/@") {
		resp.Error = function.NewArgumentFuncError(0, "\""+id+"\" must be project/name, or project/name@branch for a branch, such as \"default/orders\".")
		return
	}
	object, diags := types.ObjectValue(parsedIDTypes, map[string]attr.Value{
		"project": textOrNull(project), "name": types.StringValue(name), "branch": textOrNull(branch)})
	if resp.Error = function.FuncErrorFromDiags(ctx, diags); resp.Error == nil {
		resp.Error = resp.Result.Set(ctx, object)
	}
}

// quantityBytesFunction is quantity_bytes.
type quantityBytesFunction struct{}

var _ function.Function = quantityBytesFunction{}

// Metadata names the function.
func (quantityBytesFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "quantity_bytes"
}

// Definition describes the function.
func (quantityBytesFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Turn a size into a number of bytes",
		MarkdownDescription: "Returns the whole number of bytes that a Kubernetes quantity stands for, such as `1Gi` or `500M`, or a size in the form of the runner's attributes, such as `64MiB`. " +
			"It is for configuration that computes sizes or compares them, for example in a `validation` or a `precondition`.",
		Parameters: []function.Parameter{function.StringParameter{Name: "quantity", MarkdownDescription: "The size: a number and perhaps one of `Ki`, `Mi`, `Gi`, `Ti`, `Pi`, `Ei` (powers of 1024), `k`, `M`, `G`, `T`, `P`, `E` (powers of 1000), or of `KiB`, `MiB`, `GiB`, `KB`, `MB`, `GB`."}},
		Return:     function.NumberReturn{},
	}
}

// Run computes the number.
func (quantityBytesFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var text string
	if resp.Error = req.Arguments.Get(ctx, &text); resp.Error != nil {
		return
	}
	quantity, err := pachyderm.ParseQuantity(text)
	if err != nil {
		bytes, otherwise := settings.ParseBytes(text)
		if otherwise != nil {
			resp.Error = function.NewArgumentFuncError(0, "\""+text+"\" "+err.Error()+", such as \"1Gi\"; or a size such as \"64MiB\".")
			return
		}
		quantity = new(big.Rat).SetInt64(int64(bytes))
	}
	if !quantity.IsInt() {
		resp.Error = function.NewArgumentFuncError(0, "\""+text+"\" is not a whole number of bytes.")
		return
	}
	resp.Error = resp.Result.Set(ctx, new(big.Float).SetInt(quantity.Num()))
}
