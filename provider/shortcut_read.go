// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"context"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// readShort is the state of a spout that Pachyderm has just so: the one that is
// asked about. If it is to be another, Pachyderm's answer goes along in the
// context, and [spoutResource.Read] does not ask again.
func (s *server) readShort(ctx context.Context, req *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, context.Context) {
	c := s.provider.connection.Load()
	if req.TypeName != spoutTypeName || len(req.Private) > 0 || req.CurrentState == nil || len(req.CurrentState.MsgPack) == 0 || c == nil {
		return nil, ctx
	}
	m, err := s.spoutOf(ctx, req.CurrentState)
	if err != nil || !known(m.Project) || !known(m.Name) || !known(m.Version) {
		return nil, ctx
	}
	identity := encoded(s.spout.identity, tftypes.NewValue(s.spout.identity, map[string]tftypes.Value{
		"project": tftypes.NewValue(tftypes.String, m.Project.ValueString()), "name": tftypes.NewValue(tftypes.String, m.Name.ValueString())}))
	if req.CurrentIdentity != nil && (req.CurrentIdentity.IdentityData == nil || !bytes.Equal(req.CurrentIdentity.IdentityData.MsgPack, identity.MsgPack)) {
		return nil, ctx
	}
	var diags diag.Diagnostics
	o, cancel := c.begin(ctx, "spout", m.pipelineID().String(), 0, &diags)
	defer cancel()
	if o == nil {
		return nil, ctx
	}
	p, err := o.client.InspectPipeline(o.ctx, m.pipelineID())
	found := *m
	if err != nil || !p.IsSpout || !found.look(ctx, p) || !sameModel(&found, m) {
		return nil, context.WithValue(ctx, inspectedKey{}, inspected{m.pipelineID(), p, err})
	}
	if m.settled() {
		s.settled.add(req.CurrentState.MsgPack)
	}
	return &tfprotov6.ReadResourceResponse{NewState: req.CurrentState, NewIdentity: &tfprotov6.ResourceIdentityData{IdentityData: &identity}}, ctx
}

// inspected is Pachyderm's answer about a pipeline, in a context.
type inspected struct {
	id       pachyderm.PipelineID
	pipeline *pachyderm.Pipeline
	err      error
}

type inspectedKey struct{}

// inspect asks for the pipeline, unless that was done for this very call.
func (o *pipelineOperation) inspect() (*pachyderm.Pipeline, error) {
	if i, ok := o.ctx.Value(inspectedKey{}).(inspected); ok && i.id == o.id {
		return i.pipeline, i.err
	}
	return o.client.InspectPipeline(o.ctx, o.id)
}
