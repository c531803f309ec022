// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

const spoutTypeName = "pachyderm_spout"

// spoutShape is what the shorter ways know of the schema of spouts.
type spoutShape struct {
	kind, identity tftypes.Type
	schema         schema.Schema
	defaults       *defaultValues
	noIdentity     *tfprotov6.DynamicValue
}

var newSpoutShape = sync.OnceValue(func() *spoutShape {
	ctx := context.Background()
	var identity resource.IdentitySchemaResponse
	(&spoutResource{}).IdentitySchema(ctx, resource.IdentitySchemaRequest{}, &identity)
	s := spoutSchema(ctx)
	if _, more := any(&spoutResource{}).(resource.ResourceWithConfigValidators); more || len(s.Blocks) > 0 || s.DeprecationMessage != "" {
		panic("provider: the spout has more to validate than its attributes: see server.validateShort")
	}
	shape := &spoutShape{kind: s.Type().TerraformType(ctx), identity: identity.IdentitySchema.Type().TerraformType(ctx), schema: s, defaults: defaultsOf(s.Attributes)}
	none := encoded(shape.identity, tftypes.NewValue(shape.identity, nil))
	shape.noIdentity = &none
	return shape
})

// spoutOf is the spout of a state, or of a configuration.
func (s *server) spoutOf(ctx context.Context, state *tfprotov6.DynamicValue) (*spoutModel, error) {
	raw, err := state.Unmarshal(s.spout.kind)
	if err != nil {
		return nil, err
	}
	var m spoutModel
	return &m, decodeModel(ctx, spoutTypes, raw, &m)
}
