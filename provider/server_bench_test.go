// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"encoding/json"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// What a plan without a change asks of the provider for one spout, each call
// the shorter way and the framework's.
func BenchmarkUnchangedSpout(b *testing.B) {
	i := newInstance(b, pachtest.New(b))
	config := kafkaSpout(object{"kafka": object{"brokers": []any{"kafka-0:9092", "kafka-1:9092"}, "topics": []any{"topic-1"}}})
	i.must(i.apply(config))
	ours := i.server.(*server)
	stored, err := json.Marshal(jsonOf(b, i.state))
	if err != nil {
		b.Fatal(err)
	}
	asked, state := i.dynamic(i.kind, valueOf(b, i.kind, config)), i.dynamic(i.kind, i.state)
	for _, way := range []struct {
		name string
		tfprotov6.ProviderServer
	}{{"short", ours}, {"framework", ours.framework}} {
		for name, call := range map[string]func() error{
			"validate": func() error {
				_, err := way.ValidateResourceConfig(i.ctx, &tfprotov6.ValidateResourceConfigRequest{TypeName: i.typeName, Config: asked})
				return err
			},
			"upgrade": func() error {
				_, err := way.UpgradeResourceState(i.ctx, &tfprotov6.UpgradeResourceStateRequest{TypeName: i.typeName, RawState: &tfprotov6.RawState{JSON: stored}})
				return err
			},
			"read": func() error {
				_, err := way.ReadResource(i.ctx, &tfprotov6.ReadResourceRequest{TypeName: i.typeName, CurrentState: state, CurrentIdentity: i.id})
				return err
			},
			"plan": func() error {
				_, err := way.PlanResourceChange(i.ctx, &tfprotov6.PlanResourceChangeRequest{TypeName: i.typeName, Config: asked, PriorState: state, ProposedNewState: state, PriorIdentity: i.id})
				return err
			},
		} {
			b.Run(name+"/"+way.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := call(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
