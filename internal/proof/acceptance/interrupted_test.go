// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// interrupted is a spout whose applies go through a gate.
type interrupted struct {
	*testing.T
	*terraformcli.Workspace
	gate   *gate
	client *pachyderm.Client
	id     pachyderm.PipelineID
}

func newInterrupted(t *testing.T) *interrupted {
	t.Helper()
	c := cluster.Start(t)
	i := &interrupted{T: t, Workspace: newWorkspace(t, c), gate: newGate(t, c), client: newClient(t, c), id: pachyderm.PipelineID{Project: newProject(t, c), Name: "spout"}}
	config := fmt.Sprintf(`%s
provider "pachyderm" {
  address = %q
}
variable "description" { default = "" }
resource "pachyderm_spout" "this" {
  project     = %q
  name        = %q
  description = var.description
  transform   = { image = "debian:12", cmd = ["sleep", "3600"] }
}
`, requirements, i.gate.address, i.id.Project, i.id.Name)
	if err := i.Write("main.tf", config); err != nil {
		t.Fatal(err)
	}
	if err := i.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.run(0, "destroy") })
	return i
}

func (i *interrupted) start(verb string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	i.Helper()
	if verb == "apply" || verb == "destroy" {
		args = append([]string{"-auto-approve"}, args...)
	}
	ctx := context.WithoutCancel(i.Context()) // destroy runs when the test is over
	cmd, output := i.Command(ctx, append([]string{verb, "-no-color"}, args...)...), &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		i.Fatal(err)
	}
	return cmd, output
}

// run runs a command that must end with the code, and returns what it said.
func (i *interrupted) run(code int, verb string, args ...string) string {
	i.Helper()
	cmd, output := i.start(verb, args...)
	_ = cmd.Wait() // the code tells
	if got := cmd.ProcessState.ExitCode(); got != code {
		i.Fatalf("terraform %s ended with %d, want %d:\n%s", verb, got, code, output)
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(output.String(), "│", " ")), " ")
}

// TestInterruptedApply ends an apply when pachd has created, updated or
// deleted, and the answer is on its way. Nothing is done twice, nothing is
// replaced, and what the state does not have is taken over by the next apply,
// if that wants just what is there.
func TestInterruptedApply(t *testing.T) {
	t.Parallel()
	for _, blow := range []struct {
		name    string
		lost    bool // only the connection
		inState bool // afterwards
		strike  func(i *interrupted, terraform *os.Process) error
	}{
		{"connection", true, true, func(*interrupted, *os.Process) error { return nil }},
		{"SIGINT", false, true, func(_ *interrupted, terraform *os.Process) error { return terraform.Signal(os.Interrupt) }},
		{"SIGKILL", false, false, func(_ *interrupted, terraform *os.Process) error { return terraform.Kill() }},
		{"provider", false, false, func(_ *interrupted, terraform *os.Process) error {
			children, err := terraformcli.Children(terraform, built.provider)
			for _, child := range children {
				err = child.Signal(syscall.SIGKILL)
			}
			return err
		}},
	} {
		t.Run(blow.name, func(t *testing.T) {
			t.Parallel()
			i := newInterrupted(t)
			strike := func(method string, args ...string) {
				t.Helper()
				kept := i.gate.keepReply(method, blow.lost)
				cmd, output := i.start("apply", args...)
				<-kept.done
				if err := blow.strike(i, cmd.Process); err != nil {
					t.Fatal(err)
				}
				_ = cmd.Wait()
				if code := cmd.ProcessState.ExitCode(); (code == 0) != blow.lost {
					t.Errorf("terraform apply ended with %d: %s", code, output)
				}
			}
			strike("CreatePipeline")
			if !blow.inState {
				// Not exactly what was left: it could be anybody's.
				expectMessage(t, errors.New(i.run(1, "apply", "-var=description=other")), "exists already", "terraform import", i.id.String())
				expectMessage(t, errors.New(i.run(0, "apply")), "is taken over", "was interrupted")
			}
			i.run(0, "apply")
			i.run(0, "plan", "-detailed-exitcode")
			if p, err := i.client.InspectPipeline(t.Context(), i.id); err != nil || p.Version != 1 {
				t.Errorf("%+v, %v", p, err)
			}
			strike("CreatePipeline", "-var=description=new")
			i.run(0, "apply", "-var=description=new")
			i.run(0, "plan", "-detailed-exitcode", "-var=description=new")
			inspect := func(ctx context.Context) (*pachyderm.Pipeline, error) { return i.client.InspectPipeline(ctx, i.id) }
			if _, err := pachyderm.DefaultWait.Running(t.Context(), 2, inspect); err != nil {
				t.Error(err)
			}
			strike("DeletePipeline", "-destroy")
		})
	}
}
