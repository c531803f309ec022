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

// folderVariable names what was built already: this program runs itself again
// where a real Kubernetes can be.
const folderVariable = "ACCEPTANCE_FOLDER"

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.Getenv(folderVariable), error(nil)
		if dir == "" {
			if dir, err = os.MkdirTemp("", "spout-acceptance-"); err == nil {
				defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
				err = build(context.Background(), dir)
			}
			_ = os.Setenv(folderVariable, dir)
		}
		if err == nil {
			built.provider, built.image = filepath.Join(dir, "terraform-provider-pachyderm"), filepath.Join(dir, "image")
			built.cli, err = terraformcli.Find(context.Background(), os.Stderr)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		cluster.TestOptions.Images[image] = built.image
		return cluster.Main(m)
	}())
}

func build(ctx context.Context, dir string) error {
	if _, err := artifacts.Provider(ctx, dir, providerVersion); err != nil {
		return err
	}
	_, err := artifacts.Runner(ctx, filepath.Join(dir, "image"), providerVersion)
	return err
}
