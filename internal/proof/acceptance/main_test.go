// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

// Package acceptance tests the provider and the runner together on a real
// Pachyderm, with the real command line of Terraform. It holds tests only.
//
// The tests share one cluster, each in a project of its own, and run side by
// side, but for those that stop what all of them need.
package acceptance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
)

const (
	providerVersion = "0.1.0"
	image           = "acceptance.local/spout-runner:latest"
)

// built is what TestMain prepares for all tests.
var built struct {
	cli      terraformcli.CLI
	provider string
	image    string // folder that stands for the runner's image
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "spout-acceptance-")
		if err == nil {
			defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
			err = build(context.Background(), dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		cluster.TestOptions.Images[image] = built.image
		return cluster.Main(m)
	}())
}

func build(ctx context.Context, dir string) (err error) {
	if built.cli, err = terraformcli.Find(ctx, os.Stderr); err != nil {
		return err
	}
	if built.provider, err = artifacts.Provider(ctx, dir, providerVersion); err != nil {
		return err
	}
	built.image = filepath.Join(dir, "image")
	_, err = artifacts.Runner(ctx, built.image, providerVersion)
	return err
}
