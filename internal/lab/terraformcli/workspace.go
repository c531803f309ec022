// SPDX-License-Identifier: Apache-2.0

package terraformcli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/hashicorp/terraform-exec/tfexec"
)

// ProviderSource is the provider's address in required_providers.
const ProviderSource = "spoutworks/pachyderm"

// Workspace is a folder with a configuration, in which a provider that was
// built here is installed as if it came from the registry.
type Workspace struct {
	*tfexec.Terraform
	Dir string
	env []string
}

// NewWorkspace prepares dir, which holds the configuration or will. provider
// is the provider's binary, installed under version. env is added to the few
// variables of this process that the command line needs; nothing else of this
// process's environment reaches Terraform.
func (c CLI) NewWorkspace(dir, provider, version string, env map[string]string) (*Workspace, error) {
	mirror := filepath.Join(dir, ".mirror")
	folder := filepath.Join(mirror, c.RegistryHost(), ProviderSource, version, runtime.GOOS+"_"+runtime.GOARCH)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("install the provider: %w", err)
	}
	if err := os.Symlink(provider, filepath.Join(folder, "terraform-provider-pachyderm_v"+version)); err != nil {
		return nil, fmt.Errorf("install the provider: %w", err)
	}
	config := filepath.Join(dir, ".terraformrc")
	text := fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("install the provider: %w", err)
	}
	terraform, err := tfexec.NewTerraform(dir, c.Path)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", c.Product, err)
	}
	all := map[string]string{"PATH": os.Getenv("PATH"), "HOME": os.Getenv("HOME"), "TF_CLI_CONFIG_FILE": config, "CHECKPOINT_DISABLE": "1"}
	maps.Copy(all, env)
	if err := terraform.SetEnv(all); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", c.Product, err)
	}
	w := &Workspace{Terraform: terraform, Dir: dir}
	for name, value := range all {
		w.env = append(w.env, name+"="+value)
	}
	return w, nil
}

// Command is the command line with arguments that tfexec does not know.
func (w *Workspace) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.ExecPath(), args...)
	cmd.Dir, cmd.Env = w.Dir, append([]string{"TF_IN_AUTOMATION=1", "TF_INPUT=0"}, w.env...)
	return cmd
}

// Write writes a file of the configuration.
func (w *Workspace) Write(name, text string) error {
	return os.WriteFile(filepath.Join(w.Dir, name), []byte(text), 0o600) // it may be one of variables
}
