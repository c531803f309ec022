// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// Server returns a constructor of the provider as Terraform speaks with it:
// the framework's server, but for what it does at great cost for each object
// of a state that has not changed.
//
// Four calls have a shorter way: [server.validateShort], [server.upgradeShort],
// [server.readShort] and [server.planShort]. Each gives the very answer that the framework would
// give, or none, and then the framework is asked. TestShorterWays compares the
// two for all kinds of spouts. [EnvShortcuts] says which of them are taken.
func Server(version string, options ...Option) func() tfprotov6.ProviderServer {
	return func() tfprotov6.ProviderServer {
		p := newProvider(version, options...)
		return &server{framework: providerserver.NewProtocol6(p)().(framework), provider: p, spout: newSpoutShape(), taken: shortcutsIn(p.getenv)}
	}
}

// framework is all that the framework's server does. What is not embedded,
// Terraform would take to be missing.
type framework interface {
	tfprotov6.ProviderServer
	tfprotov6.ListResourceServer
	tfprotov6.ActionServer
	tfprotov6.StateStoreServer
}

type server struct {
	framework
	provider *pachydermProvider
	spout    *spoutShape
	taken    shortcuts
	settled  stateSet // of spouts, see [spoutModel.settled]

	kindsOnce sync.Once
	kinds     map[string]stateKind
}

// ValidateResourceConfig checks a configuration.
func (s *server) ValidateResourceConfig(ctx context.Context, req *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	ctx, done := s.quiet(ctx)
	defer done()
	if s.taken.validate && s.validateShort(ctx, req) {
		return &tfprotov6.ValidateResourceConfigResponse{}, nil
	}
	return s.framework.ValidateResourceConfig(ctx, req)
}

// UpgradeResourceState brings a state to the current schema. Terraform asks
// for it whatever the schema that the state was written with.
func (s *server) UpgradeResourceState(ctx context.Context, req *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	ctx, done := s.quiet(ctx)
	defer done()
	if s.taken.upgrade {
		if resp := s.upgradeShort(req); resp != nil {
			return resp, nil
		}
	}
	return s.framework.UpgradeResourceState(ctx, req)
}

// ReadResource brings a state to what Pachyderm has.
func (s *server) ReadResource(ctx context.Context, req *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	ctx, done := s.quiet(ctx)
	defer done()
	if s.taken.read {
		var resp *tfprotov6.ReadResourceResponse
		if resp, ctx = s.readShort(ctx, req); resp != nil {
			return resp, nil
		}
	}
	return s.framework.ReadResource(ctx, req)
}

// PlanResourceChange says what a configuration makes of a state.
func (s *server) PlanResourceChange(ctx context.Context, req *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	ctx, done := s.quiet(ctx)
	defer done()
	if s.taken.plan {
		if resp := s.planShort(ctx, req); resp != nil {
			return resp, nil
		}
	}
	return s.framework.PlanResourceChange(ctx, req)
}

// quiet is a context without the loggers that it carries, if nobody reads what
// they write: to leave out one message after the other takes longer than the
// call itself.
func (s *server) quiet(ctx context.Context) (context.Context, context.CancelFunc) {
	if !s.provider.silent {
		return ctx, func() {}
	}
	own, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, cancel)
	return own, func() {
		stop()
		cancel()
	}
}
