// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// keepSameSet is the plan modifier of lists whose order means nothing: the
// state's elements in another order are no change.
type keepSameSet struct{}

func (keepSameSet) Description(context.Context) string {
	return "Another order of the same elements is not a change."
}

func (m keepSameSet) MarkdownDescription(ctx context.Context) string { return m.Description(ctx) }

func (keepSameSet) PlanModifyList(_ context.Context, req planmodifier.ListRequest, resp *planmodifier.ListResponse) {
	if req.StateValue.IsNull() || req.PlanValue.IsNull() || req.PlanValue.IsUnknown() {
		return
	}
	if slices.EqualFunc(inOrder(req.StateValue.Elements()), inOrder(req.PlanValue.Elements()), attr.Value.Equal) {
		resp.PlanValue = req.StateValue
	}
}

// sameElements says whether two maps hold the same; null is as good as empty.
func sameElements(a, b types.Map) bool {
	if a.IsUnknown() || b.IsUnknown() {
		return false
	}
	return maps.EqualFunc(a.Elements(), b.Elements(), attr.Value.Equal)
}

func inOrder(elements []attr.Value) []attr.Value {
	return slices.SortedFunc(slices.Values(elements), func(a, b attr.Value) int { return cmp.Compare(a.String(), b.String()) })
}
