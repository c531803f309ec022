// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/figures"
)

// create compares apply with what a script around pachctl would do.
func (b *bench) create(ctx context.Context) ([]figures.Figure, error) {
	var all []figures.Figure
	for _, waitFor := range []string{"created", "running"} {
		var ratios []float64
		for round := range b.rounds {
			ratio, err := b.createRound(ctx, fmt.Sprintf("%s-%d", waitFor, round), waitFor)
			if err != nil {
				return nil, err
			}
			ratios = append(ratios, ratio)
		}
		f := figures.Figure{Name: "apply_to_pachctl_" + waitFor, Value: figures.Median(ratios), Better: figures.Lower, Unit: "ratio"}
		if waitFor == "created" { // pachctl does not look whether a spout runs, and goes on to run
			f.Target = figures.Target(1)
		}
		all = append(all, f)
	}
	return all, nil
}

func (b *bench) createRound(ctx context.Context, name, waitFor string) (float64, error) {
	servers := [2]*pachtest.Server{}
	for i := range servers {
		var err error
		if servers[i], err = b.slowServer(); err != nil {
			return 0, err
		}
		defer servers[i].Close()
	}
	return b.compare(ctx, name, waitFor, b.creates, servers[0].Address(), servers[1].Address())
}

// onReal is how many spouts are created on a real Pachyderm, twice: the
// Community edition takes 16 in all. With so few, Terraform's start counts.
const onReal = 8

// createOnReal is create on a real Pachyderm, with the pods that it starts.
func (b *bench) createOnReal(ctx context.Context) ([]figures.Figure, error) {
	image := filepath.Join(b.dir, "image")
	if err := os.Mkdir(image, 0o755); err != nil {
		return nil, err
	}
	c, err := cluster.New(ctx, cluster.Options{Images: map[string]string{"ghcr.io/": image}, Log: os.Stderr})
	if err != nil {
		return nil, err
	}
	ratio, err := b.compare(ctx, "real", "created", onReal, c.Address(), c.Address())
	return []figures.Figure{{Name: "apply_to_pachctl_real", Value: ratio, Better: figures.Lower, Unit: "ratio"}}, errors.Join(err, c.Stop())
}

// compare creates spouts at both addresses, and returns how long Terraform
// took for it, as a multiple of what pachctl did one after the other.
func (b *bench) compare(ctx context.Context, name, waitFor string, creates int, forTerraform, forPachctl string) (float64, error) {
	w, err := b.workspace(ctx, name, b.provider, fmt.Sprintf(spoutsConfig, terraformcli.ProviderSource, forTerraform, creates, waitFor))
	if err != nil {
		return 0, err
	}
	ours, err := timed(func() error { return w.Apply(ctx) })
	if err != nil {
		return 0, err
	}
	config, err := b.pachctlConfig(name, forPachctl)
	if err != nil {
		return 0, err
	}
	theirs, err := timed(func() error {
		for i := range creates {
			if err := b.pachctlCreate(ctx, config, fmt.Sprintf("by-pachctl-%d", i)); err != nil {
				return err
			}
		}
		return nil
	})
	fmt.Printf("%s: apply of %d spouts %.2f s; as many pachctl create pipeline %.2f s\n", name, creates, ours, theirs)
	return ours / theirs, err
}

func (b *bench) pachctlConfig(name, address string) (string, error) {
	path := filepath.Join(b.dir, name+".json")
	text, err := json.Marshal(map[string]any{"user_id": "bench", "v2": map[string]any{"active_context": "bench",
		"contexts": map[string]any{"bench": map[string]any{"pachd_address": address}}}})
	return path, errors.Join(err, os.WriteFile(path, text, 0o600))
}

func (b *bench) pachctlCreate(ctx context.Context, config, name string) error {
	spec, err := json.Marshal(map[string]any{"pipeline": map[string]any{"name": name}, "spout": map[string]any{},
		"transform": map[string]any{"image": "ghcr.io/spout", "cmd": []string{"/spout"}, "env": map[string]string{"BROKERS": "kafka-0:9092,kafka-1:9092", "TOPIC": name}}})
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, b.pachctl, "create", "pipeline", "-f", "-")
	cmd.Stdin, cmd.Env = strings.NewReader(string(spec)), []string{"PACH_CONFIG=" + config, "HOME=" + b.dir, "PATH=" + os.Getenv("PATH")}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pachctl create pipeline: %w: %s", err, out)
	}
	return nil
}
