// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"context"
	"crypto/sha256"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
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
		panic("provider: the spout has more to validate than its attributes: see server.valid")
	}
	shape := &spoutShape{kind: s.Type().TerraformType(ctx), identity: identity.IdentitySchema.Type().TerraformType(ctx), schema: s, defaults: defaultsOf(s.Attributes)}
	none := encoded(shape.identity, tftypes.NewValue(shape.identity, nil))
	shape.noIdentity = &none
	return shape
})

// unchanged is the plan of a spout that nothing changes, which is its state;
// nil if it may be another one.
//
// Terraform proposes the configuration, with the state's values where what is
// computed is left out. If that is the state, byte by byte, then the
// framework's plan is the state too, unless one of these changes it; so each
// is ruled out:
//   - a default, where the state has another value and the configuration none;
//   - the provider's own project and image, in the same way;
//   - what the provider finds wrong with the state: see [spoutModel.settled];
//   - private data, and a provider that is not configured yet.
//
// Plan modifiers of attributes compare plan and state, and what ModifyPlan
// fills in else, it takes from the state.
func (s *server) unchanged(ctx context.Context, req *tfprotov6.PlanResourceChangeRequest) *tfprotov6.PlanResourceChangeResponse {
	if req.TypeName != spoutTypeName || len(req.PriorPrivate) > 0 || req.PriorState == nil || req.ProposedNewState == nil || req.Config == nil ||
		len(req.PriorState.MsgPack) == 0 || !bytes.Equal(req.PriorState.MsgPack, req.ProposedNewState.MsgPack) {
		return nil
	}
	state, ok := fieldsOf(req.PriorState.MsgPack)
	config, ok2 := fieldsOf(req.Config.MsgPack)
	if !ok || !ok2 || !s.spout.defaults.hold(config, state) || !s.decided(config, state) {
		return nil
	}
	if !s.settled.has(req.PriorState.MsgPack) {
		m, err := s.spoutOf(ctx, req.PriorState)
		if err != nil || !m.settled() || !m.unchanged(ctx, m) {
			return nil
		}
	}
	identity := req.PriorIdentity
	if identity == nil {
		identity = &tfprotov6.ResourceIdentityData{IdentityData: s.spout.noIdentity}
	}
	return &tfprotov6.PlanResourceChangeResponse{PlannedState: req.PriorState, PlannedIdentity: identity}
}

// decided says whether the state has what the provider decides for what the
// configuration leaves out.
func (s *server) decided(config, state fields) bool {
	c := s.provider.connection.Load()
	if c == nil {
		return false
	}
	if config.isNull("project") && !state.isText("project", c.defaultProject.ValueString()) {
		return false
	}
	if config.isNull("wait_for") && !state.isText("wait_for", defaultWaitFor(config.isNull("transform"))) {
		return false
	}
	if !config.isNull("image") {
		return true
	}
	sources := 0
	for _, source := range spoutSourceList {
		switch {
		case config.isObject(source.name):
			sources++
		case !config.isNull(source.name):
			return false // not known yet
		}
	}
	if sources == 0 {
		return config.isObject("transform") && state.isNull("image")
	}
	return (config.isNull("transform") || config.isObject("transform")) && state.isText("image", s.provider.runnerImage())
}

// settled says whether ModifyPlan has nothing against the spout as it is,
// besides what [spoutModel.unchanged] looks at.
func (m *spoutModel) settled() bool {
	return known(m.Project) && known(m.Name) && nameProblem(m.pipelineID()) == "" &&
		m.ID.ValueString() == m.pipelineID().String() && m.OutputRepo.Equal(m.Name)
}

// read is the state of a spout that Pachyderm has just so: the one that is
// asked about. If it is to be another, Pachyderm's answer goes along in the
// context, and [spoutResource.Read] does not ask again.
func (s *server) read(ctx context.Context, req *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, context.Context) {
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

func (s *server) spoutOf(ctx context.Context, state *tfprotov6.DynamicValue) (*spoutModel, error) {
	raw, err := state.Unmarshal(s.spout.kind)
	if err != nil {
		return nil, err
	}
	var m spoutModel
	return &m, decodeModel(ctx, spoutTypes, raw, &m)
}

// stateSet remembers states.
type stateSet struct {
	mu     sync.Mutex
	states map[[sha256.Size]byte]struct{}
}

func (s *stateSet) add(state []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.states == nil {
		s.states = map[[sha256.Size]byte]struct{}{}
	}
	s.states[sha256.Sum256(state)] = struct{}{}
}

func (s *stateSet) has(state []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.states[sha256.Sum256(state)]
	return ok
}
