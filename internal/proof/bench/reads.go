// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/figures"
	"github.com/spoutworks/terraform-provider-pachyderm/provider"
)

// readTimes is how often each way to look at a spout is timed; the median counts.
const readTimes = 5

// logPause is how long a log is left alone before it is read: pachd asks
// Kubernetes twice for each, and five times a second at most.
const logPause = time.Second

// Of the readings.
const (
	readingShow = "position show"
	readingAll  = "position show --all"
)

// readings times each way to look at a spout that has made many commits: those
// of the runner, and those of the provider, by its calls.
func (g *grower) readings(ctx context.Context) (map[string]time.Duration, error) {
	address, stopSidecar, err := g.StartSidecar(ctx, pachyderm.DefaultProject, g.name)
	if err != nil {
		return nil, err
	}
	defer stopSidecar()
	runner := func(env map[string]string, arguments ...string) func() error {
		return func() error {
			cmd := exec.CommandContext(ctx, filepath.Join(g.image, "spout-runner"), arguments...)
			cmd.Env = os.Environ()
			for name, value := range env {
				cmd.Env = append(cmd.Env, name+"="+value)
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("spout-runner %v: %w\n%s", arguments, err, out)
			}
			return nil
		}
	}
	inPod := g.settings.Environment()
	maps.Copy(inPod, map[string]string{"PPS_PROJECT_NAME": pachyderm.DefaultProject, "PPS_PIPELINE_NAME": g.name, "PACH_CONFIG": g.ConfigPath()})
	ways := map[string]func() error{
		"version":   runner(nil, "version"),
		readingShow: runner(nil, "position", "show", g.name, "--address", g.Address()),
		readingAll:  runner(nil, "position", "show", g.name, "--all", "--address", g.Address()),
		"check":     runner(inPod, "check", "--sidecar", address),
	}
	if g.settings.HTTPPort != 0 {
		for name, path := range map[string]string{"page": "/", "status": "/status.json", "metrics": "/metrics", "ready": "/readyz"} {
			ways[name] = func() error {
				answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", g.settings.HTTPPort, path)) //nolint:noctx // a measurement
				if err != nil {
					return err
				}
				_, err = io.Copy(io.Discard, answer.Body)
				if answer.StatusCode >= http.StatusBadRequest {
					err = fmt.Errorf("%s: %s", path, answer.Status)
				}
				return errors.Join(err, answer.Body.Close())
			}
		}
	}
	p, err := newProtocol(ctx, g.Address())
	if err != nil {
		return nil, err
	}
	object := map[string]any{"name": g.name}
	branch := map[string]any{"repo": g.name, "name": g.branch.Name}
	for kind, config := range map[string]map[string]any{"spout": object, "spouts": {}, "pipeline": object, "repo": object, "repos": {}, "project": {"name": pachyderm.DefaultProject},
		"projects": {}, "branch": branch, "commit": {"repo": g.name, "branch": g.branch.Name}, "logs": {"pipeline": g.name}} {
		ways["data "+kind] = func() error { return p.data(ctx, "pachyderm_"+kind, config) }
	}
	if ways["resource spout"], err = p.resource(ctx, "pachyderm_spout", pachyderm.DefaultProject+"/"+g.name); err != nil {
		return nil, err
	}
	times, took := map[string][]time.Duration{}, map[string]time.Duration{}
	names := slices.Sorted(maps.Keys(ways))
	for range readTimes {
		for _, name := range names {
			if name == "data logs" || name == "data spout" {
				time.Sleep(logPause)
			}
			began := time.Now()
			if err := ways[name](); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			times[name] = append(times[name], time.Since(began))
		}
	}
	for _, name := range names {
		took[name] = figures.Median(times[name])
		fmt.Printf("%s takes %v\n", name, took[name].Round(time.Millisecond/10))
	}
	return took, nil
}

// protocol is the provider as Terraform speaks with it.
type protocol struct {
	tfprotov6.ProviderServer
	schemas *tfprotov6.GetProviderSchemaResponse
}

func newProtocol(ctx context.Context, address string) (*protocol, error) {
	p := &protocol{ProviderServer: provider.Server("bench")()}
	var err error
	if p.schemas, err = p.GetProviderSchema(ctx, &tfprotov6.GetProviderSchemaRequest{}); err != nil {
		return nil, err
	}
	config, err := valueOf(p.schemas.Provider, map[string]any{"address": address})
	if err != nil {
		return nil, err
	}
	answer, err := p.ConfigureProvider(ctx, &tfprotov6.ConfigureProviderRequest{TerraformVersion: "1.14.0", Config: config})
	if err != nil {
		return nil, err
	}
	return p, failure(answer.Diagnostics)
}

// data reads a data source.
func (p *protocol) data(ctx context.Context, kind string, config map[string]any) error {
	value, err := valueOf(p.schemas.DataSourceSchemas[kind], config)
	if err != nil {
		return err
	}
	answer, err := p.ReadDataSource(ctx, &tfprotov6.ReadDataSourceRequest{TypeName: kind, Config: value})
	if err != nil {
		return err
	}
	return failure(answer.Diagnostics)
}

// resource imports an object, and returns what refreshes it.
func (p *protocol) resource(ctx context.Context, kind, id string) (refresh func() error, err error) {
	imported, err := p.ImportResourceState(ctx, &tfprotov6.ImportResourceStateRequest{TypeName: kind, ID: id})
	if err != nil {
		return nil, err
	}
	if err := failure(imported.Diagnostics); err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, id, err)
	}
	state, identity := imported.ImportedResources[0].State, imported.ImportedResources[0].Identity
	return func() error {
		read, err := p.ReadResource(ctx, &tfprotov6.ReadResourceRequest{TypeName: kind, CurrentState: state, CurrentIdentity: identity})
		if err != nil {
			return err
		}
		state, identity = read.NewState, read.NewIdentity
		return failure(read.Diagnostics)
	}, nil
}

// valueOf makes an object of some of its attributes.
func valueOf(schema *tfprotov6.Schema, of map[string]any) (*tfprotov6.DynamicValue, error) {
	kind := schema.ValueType().(tftypes.Object)
	values := map[string]tftypes.Value{}
	for name, kind := range kind.AttributeTypes {
		values[name] = tftypes.NewValue(kind, of[name])
	}
	value, err := tfprotov6.NewDynamicValue(kind, tftypes.NewValue(kind, values))
	return &value, err
}

func failure(diagnostics []*tfprotov6.Diagnostic) (err error) {
	for _, d := range diagnostics {
		if d.Severity == tfprotov6.DiagnosticSeverityError {
			err = errors.Join(err, fmt.Errorf("%s: %s", d.Summary, d.Detail))
		}
	}
	return err
}
