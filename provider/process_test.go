// SPDX-License-Identifier: Apache-2.0

//go:build linux

package provider

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
)

// builtProvider is the provider as a program, and the command line to run it
// with, prepared when the first test needs them.
var builtProvider = sync.OnceValues(func() (built struct {
	cli  terraformcli.CLI
	path string
}, err error) {
	if built.cli, err = terraformcli.Find(context.Background(), io.Discard); err == nil {
		built.path, err = artifacts.Provider(context.Background(), filepath.Dir(os.Getenv("TF_CLI_CONFIG_FILE")), "0.1.0")
	}
	return built, err
})

// cliProcess runs the command line of Terraform and the provider as processes,
// as a user does, so that they can be sent signals.
type cliProcess struct {
	*testing.T
	*terraformcli.Workspace
	provider string // the program
	cli      terraformcli.CLI
}

const requiredProviders = "terraform {\n  required_providers {\n    pachyderm = { source = \"" + terraformcli.ProviderSource + "\" }\n  }\n}\n"

// newProcess prepares a configuration against a fake pachd. More lines may be
// put into the provider block.
func newProcess(t *testing.T, s *pachtest.Server, config string, env map[string]string, providerLines ...string) *cliProcess {
	t.Helper()
	built, err := builtProvider()
	if err != nil {
		t.Fatal(err)
	}
	w, err := built.cli.NewWorkspace(t.TempDir(), built.path, "0.1.0", env)
	if err == nil {
		err = w.Write("main.tf", requiredProviders+withProvider(s, config, providerLines...))
	}
	if err == nil {
		err = w.Init(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return &cliProcess{T: t, Workspace: w, provider: built.path, cli: built.cli}
}

func (p *cliProcess) write(name, text string) {
	p.Helper()
	if err := p.Write(name, text); err != nil {
		p.Fatal(err)
	}
}

// running is a command that has been started.
type running struct {
	cmd    *exec.Cmd
	output bytes.Buffer // both kinds
}

func (p *cliProcess) start(args ...string) *running { return p.startWith(nil, args...) }

// startWith starts a command with more in its environment.
func (p *cliProcess) startWith(env []string, args ...string) *running {
	p.Helper()
	args = slices.Insert(slices.Clone(args), 1, "-no-color")
	r := &running{cmd: p.Command(p.Context(), args...)}
	r.cmd.Env = append(r.cmd.Env, env...)
	r.cmd.Stdout, r.cmd.Stderr = &r.output, &r.output
	if err := r.cmd.Start(); err != nil {
		p.Fatal(err)
	}
	return r
}

// wait returns what the command said, without line breaks, and its exit code:
// -1 if a signal ended it.
func (r *running) wait(t *testing.T) (said string, code int) {
	t.Helper()
	err := r.cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(r.output.String(), "│", " ")), " "), r.cmd.ProcessState.ExitCode()
}

// run runs a command that must end with the code.
func (p *cliProcess) run(code int, args ...string) string { return p.runWith(nil, code, args...) }

func (p *cliProcess) runWith(env []string, code int, args ...string) string {
	p.Helper()
	said, got := p.startWith(env, args...).wait(p.T)
	if got != code {
		p.Fatalf("terraform %s ended with %d, want %d:\n%s", strings.Join(args, " "), got, code, said)
	}
	return said
}

// providers returns the running providers that a command has started.
func (p *cliProcess) providers(r *running) []*os.Process {
	p.Helper()
	found, err := terraformcli.Children(r.cmd.Process, p.provider)
	if err != nil || len(found) == 0 {
		p.Fatalf("process %d runs %d providers: %v", r.cmd.Process.Pid, len(found), err)
	}
	return found
}
