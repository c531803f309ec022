// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/list"
	"github.com/hashicorp/terraform-plugin-framework/provider"
)

var (
	_ provider.ProviderWithEphemeralResources = (*pachydermProvider)(nil)
	_ provider.ProviderWithFunctions          = (*pachydermProvider)(nil)
	_ provider.ProviderWithActions            = (*pachydermProvider)(nil)
	_ provider.ProviderWithListResources      = (*pachydermProvider)(nil)
)

// EphemeralResources lists the ephemeral resources (Terraform 1.10 and later).
func (p *pachydermProvider) EphemeralResources(context.Context) []func() ephemeral.EphemeralResource {
	return []func() ephemeral.EphemeralResource{newRobotTokenEphemeral}
}

// Functions lists the functions (Terraform 1.8 and later).
func (p *pachydermProvider) Functions(context.Context) []func() function.Function {
	return []func() function.Function{
		func() function.Function { return parseIDFunction{} },
		func() function.Function { return quantityBytesFunction{} },
		func() function.Function { return spoutSpecFunction{provider: New(p.version)} },
	}
}

// ListResources lists the list resources (Terraform 1.14 and later).
func (p *pachydermProvider) ListResources(context.Context) []func() list.ListResource {
	return p.lists()
}

// Actions lists the actions (Terraform 1.14 and later).
func (p *pachydermProvider) Actions(context.Context) []func() action.Action {
	return []func() action.Action{newRestartSpoutAction, newRunPipelineAction, newFinishCommitAction}
}
