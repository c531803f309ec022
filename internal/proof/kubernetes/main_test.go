// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes && linux

// Package kubernetes proves what only a real Kubernetes can show of the
// provider and the runner's image: it is applied by Terraform to a Pachyderm in
// one, on this machine. It holds tests only.
package kubernetes

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kubernetes"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

const (
	providerVersion = "0.1.0"
	repository      = "registry.example/spout-runner"
	image           = repository + ":" + providerVersion
)

// folderVariable names what was built before the namespaces were entered, in
// which nothing can be downloaded.
const folderVariable = "KUBERNETES_PROOF_FOLDER"

var built struct {
	cli      terraformcli.CLI
	provider string
	layout   string // of the runner's image, as make image writes it
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		ctx := context.Background()
		_ = os.Setenv(cluster.LabVariable, "kubernetes")
		if !kubernetes.Inside() {
			dir, err := os.MkdirTemp("", "spout-kubernetes-")
			if err == nil {
				defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
				err = build(ctx, dir)
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			_ = os.Setenv(folderVariable, dir)
		}
		if code, ran := cluster.Isolate(ctx); ran {
			return code
		}
		dir := os.Getenv(folderVariable)
		built.provider, built.layout = filepath.Join(dir, "terraform-provider-pachyderm"), filepath.Join(dir, "image")
		var err error
		if built.cli, err = terraformcli.Find(ctx, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		cluster.TestOptions.BackOff = 10 * time.Second // a kubelet's own
		// Tests wait, for Kubernetes and for time-outs, much more than they work.
		_ = flag.Set("test.parallel", "16")
		return cluster.Main(m)
	}())
}

func build(ctx context.Context, dir string) error {
	if err := kubernetes.CheckPackages(); err != nil {
		return err
	}
	if _, err := artifacts.Provider(ctx, dir, providerVersion); err != nil {
		return err
	}
	root, err := artifacts.Root(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "-C", "tools", "run", "./image", "-module", "..", "-out", dir, "-version", providerVersion)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	if _, err := cmd.Output(); err != nil {
		return fmt.Errorf("making the runner's image: %w", err)
	}
	if err := fetchPrometheus(ctx, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	_, err = terraformcli.Find(ctx, os.Stderr) // which may have to fetch it
	return err
}

// start returns the cluster, whose registry has the runner's image.
func start(t *testing.T) (*cluster.Cluster, *kubernetes.Lab, *kubernetes.Image) {
	t.Helper()
	c := cluster.Start(t)
	runner, err := kubernetes.ImageFromLayout(built.layout)
	if err != nil {
		t.Fatal(err)
	}
	c.Kubernetes().SetImage(image, func() (*kubernetes.Image, error) { return runner, nil })
	return c, c.Kubernetes(), runner
}

// workspace is a folder with an example of this repository, applied as a user
// applies it.
func workspace(t *testing.T, c *cluster.Cluster, dir string) *terraformcli.Workspace {
	t.Helper()
	w, err := built.cli.NewWorkspace(dir, built.provider, providerVersion, map[string]string{"PACHD_ADDRESS": c.Address()})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

const configurationHead = "terraform {\n  required_providers {\n    pachyderm = {\n      source = \"" + terraformcli.ProviderSource + "\"\n    }\n  }\n}\n"

// rewrite gives a workspace another configuration.
func rewrite(t *testing.T, w *terraformcli.Workspace, text string) {
	t.Helper()
	if err := w.Write("main.tf", configurationHead+text); err != nil {
		t.Fatal(err)
	}
}

// written is a workspace with a configuration of a test's own.
func written(t *testing.T, c *cluster.Cluster, text string) *terraformcli.Workspace {
	t.Helper()
	w := workspace(t, c, t.TempDir())
	rewrite(t, w, text)
	if err := w.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Write("main.tf", configurationHead); err != nil { // what is refused cannot be destroyed as it stands
			t.Error(err)
		}
		if err := w.Apply(context.Background()); err != nil {
			t.Errorf("removing what is left: %v", err)
		}
	})
	return w
}

func newClient(t *testing.T, c *cluster.Cluster) *pachyderm.Client {
	t.Helper()
	address, err := pachyderm.ParseAddress(c.Address())
	if err != nil {
		t.Fatal(err)
	}
	client, err := pachyderm.Connect(pachyderm.Options{Address: address, UserAgent: "kubernetes"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// eventually waits for some minutes until something is so.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	if err := kubernetes.Await(ctx, check); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func kubectl(t *testing.T, l *kubernetes.Lab, args ...string) string {
	t.Helper()
	out, err := l.Kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }
