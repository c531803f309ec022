// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"context"
	"crypto/sha256"
	"sync"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// planShort is the plan of a spout that nothing changes, which is its state;
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
func (s *server) planShort(ctx context.Context, req *tfprotov6.PlanResourceChangeRequest) *tfprotov6.PlanResourceChangeResponse {
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
