// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/figures"
	"github.com/spoutworks/terraform-provider-pachyderm/provider"
)

// shortcutsSave is how much of a plan's time a way past the framework has to
// save. One that saves less is to be deleted.
const shortcutsSave = 0.1

// shortcuts measures what each way past the framework saves of the processor
// time of a plan without a change, of 10 spouts, of 100, and of as many as the
// other measurements have: the plan without this one way is compared with the
// plan with all of them.
func (b *bench) shortcuts(ctx context.Context) ([]figures.Figure, error) {
	ways := []string{"validate", "upgrade", "read", "plan"}
	var all []figures.Figure
	for _, spouts := range []int{10, 100, b.spouts} {
		saved, err := b.saved(ctx, spouts, ways)
		if err != nil {
			return nil, err
		}
		for i, way := range ways {
			f := figures.Figure{Name: fmt.Sprintf("shortcut_%s_saves_of_%d", way, spouts), Value: figures.Median(saved[i]), Better: figures.Higher, Unit: "ratio"}
			if spouts == b.spouts {
				f.Target = figures.Target(shortcutsSave)
			}
			all = append(all, f)
		}
	}
	return all, nil
}

// saved is the part of a plan's time that each way saves, in each round.
func (b *bench) saved(ctx context.Context, spouts int, ways []string) ([][]float64, error) {
	server, err := b.slowServer()
	if err != nil {
		return nil, err
	}
	defer server.Close()
	config := fmt.Sprintf(spoutsConfig, terraformcli.ProviderSource, server.Address(), spouts, "created")
	with, err := b.workspace(ctx, fmt.Sprintf("shortcuts-%d", spouts), b.provider, config)
	if err != nil {
		return nil, err
	}
	if err := with.Apply(ctx, tfexec.Parallelism(100)); err != nil {
		return nil, err
	}
	without := make([]*terraformcli.Workspace, len(ways))
	for i := range ways {
		others := append(append([]string{}, ways[:i]...), ways[i+1:]...)
		without[i], err = b.workspaceWith(ctx, fmt.Sprintf("shortcuts-%d-without-%s", spouts, ways[i]), b.provider, config,
			map[string]string{provider.EnvShortcuts: strings.Join(others, ",")})
		if err != nil {
			return nil, err
		}
		if err := copyState(with, without[i]); err != nil {
			return nil, err
		}
	}
	saved := make([][]float64, len(ways))
	for round := range b.rounds {
		all, err := planProcessor(ctx, with)
		if err != nil {
			return nil, err
		}
		fmt.Printf("plan of %d spouts, round %d: %.2f s of the processors", spouts, round+1, all)
		for i, way := range ways {
			slower, err := planProcessor(ctx, without[i])
			if err != nil {
				return nil, err
			}
			fmt.Printf("; without the shortcut %s %.2f s", way, slower)
			saved[i] = append(saved[i], 1-all/slower)
		}
		fmt.Println()
	}
	return saved, nil
}

// planProcessor is the processor time of a plan.
func planProcessor(ctx context.Context, w *terraformcli.Workspace) (float64, error) {
	began := processor()
	err := noChange(w.Plan(ctx))
	return processor() - began, err
}
