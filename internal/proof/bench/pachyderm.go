// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

const image = "bench.local/spout-runner:latest"

// bench is what the measurements share: how much to measure, and one cluster.
type bench struct {
	mib    int // to ingest in each round
	rounds int

	commits int  // that growth makes
	files   int  // the same, in larger commits
	hold    bool // whether it waits at its end

	started *deployment
	dir     string
}

// deployment is a running Pachyderm that has the runner's image.
type deployment struct {
	*cluster.Cluster
	client *pachyderm.Client
	image  string // its folder
}

// deployment starts Pachyderm for the first measurement that asks for it.
func (b *bench) deployment(ctx context.Context) (*deployment, error) {
	if b.started != nil {
		return b.started, nil
	}
	dir, err := os.MkdirTemp("", "spout-bench-")
	if err != nil {
		return nil, err
	}
	b.dir = dir
	images := filepath.Join(dir, "image")
	if _, err := artifacts.Runner(ctx, images, "bench"); err != nil {
		return nil, err
	}
	d := &deployment{image: images}
	if d.Cluster, err = cluster.New(ctx, cluster.Options{Images: map[string]string{image: images}, Log: os.Stderr}); err != nil {
		return nil, err
	}
	b.started = d
	d.client, err = connect(d.Address())
	return d, err
}

// stop ends what was started.
func (b *bench) stop() (err error) {
	if b.started != nil {
		err = b.started.Stop()
	}
	if b.dir != "" {
		err = errors.Join(err, os.RemoveAll(b.dir))
	}
	return err
}

func connect(address string) (*pachyderm.Client, error) {
	parsed, err := pachyderm.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	return pachyderm.Connect(pachyderm.Options{Address: parsed, UserAgent: "spout-bench"})
}

// createSpout submits a spout that runs the runner in its pod, and returns its
// output branch.
func (d *deployment) createSpout(ctx context.Context, name, outputBranch string, env map[string]string) (*pachyderm.Branch, error) {
	_, err := d.client.PPS.CreatePipeline(ctx, &pps.CreatePipelineRequest{Pipeline: pipeline(name), Spout: &pps.Spout{},
		Transform: &pps.Transform{Image: image, Cmd: []string{"/spout-runner"}, Env: env}})
	return d.client.Branch(pachyderm.DefaultProject, name, outputBranch), err
}

func (d *deployment) deleteSpout(ctx context.Context, name string) error {
	_, err := d.client.PPS.DeletePipeline(ctx, &pps.DeletePipelineRequest{Pipeline: pipeline(name), Force: true})
	return err
}

func (d *deployment) createRepo(ctx context.Context, name string) error {
	_, err := d.client.PFS.CreateRepo(ctx, &pfs.CreateRepoRequest{Repo: repo(name)})
	return err
}

func (d *deployment) deleteRepo(ctx context.Context, name string) error {
	_, err := d.client.PFS.DeleteRepo(ctx, &pfs.DeleteRepoRequest{Repo: repo(name), Force: true})
	return err
}

func pipeline(name string) *pps.Pipeline {
	return &pps.Pipeline{Project: &pfs.Project{Name: pachyderm.DefaultProject}, Name: name}
}

func repo(name string) *pfs.Repo {
	return &pfs.Repo{Project: &pfs.Project{Name: pachyderm.DefaultProject}, Name: name, Type: pfs.UserRepoType}
}
