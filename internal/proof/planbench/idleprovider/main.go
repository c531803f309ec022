// SPDX-License-Identifier: Apache-2.0

// Command idleprovider is a provider with the schema of the real one that
// answers each call of a plan at once with what it was given. What a plan takes
// with it is Terraform's own time, which no provider with that schema can save.
package main

import (
	"context"
	"log"
	"os"
	"runtime/debug"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"

	"github.com/spoutworks/terraform-provider-pachyderm/provider"
)

func main() {
	// As the real one, it writes no log that nobody reads, and seldom collects garbage.
	for _, name := range []string{"TF_LOG_PROVIDER", "TF_LOG_SDK"} {
		if err := os.Setenv(name, "OFF"); err != nil {
			log.Fatal(err)
		}
	}
	debug.SetGCPercent(800)
	serve := func() tfprotov6.ProviderServer { return idle{provider.Server("0.1.0")()} }
	if err := tf6server.Serve("registry.terraform.io/spoutworks/pachyderm", serve); err != nil {
		log.Fatal(err)
	}
}

// idle has the real provider for the schema alone.
type idle struct{ tfprotov6.ProviderServer }

func (idle) ValidateProviderConfig(_ context.Context, req *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: req.Config}, nil
}

func (idle) ConfigureProvider(context.Context, *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	return &tfprotov6.ConfigureProviderResponse{}, nil
}

func (idle) ValidateResourceConfig(context.Context, *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{}, nil
}

func (idle) UpgradeResourceState(_ context.Context, req *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	return &tfprotov6.UpgradeResourceStateResponse{UpgradedState: &tfprotov6.DynamicValue{JSON: req.RawState.JSON}}, nil
}

func (idle) ReadResource(_ context.Context, req *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	return &tfprotov6.ReadResourceResponse{NewState: req.CurrentState, NewIdentity: req.CurrentIdentity, Private: req.Private}, nil
}

func (idle) PlanResourceChange(_ context.Context, req *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	return &tfprotov6.PlanResourceChangeResponse{PlannedState: req.PriorState, PlannedIdentity: req.PriorIdentity, PlannedPrivate: req.PriorPrivate}, nil
}
