// SPDX-License-Identifier: Apache-2.0

//go:build linux

package proc_test

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/child"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/proc"
)

// TestChildren: children are found, and dead ones that nobody has waited for are not.
func TestChildren(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sleep", "60")
	if err := child.Start(cmd); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	isChild := func() bool {
		return slices.ContainsFunc(proc.Children(os.Getpid()), func(p proc.Process) bool { return p.PID == pid })
	}
	if !isChild() || !proc.Runs(pid) {
		t.Errorf("children %v; want %d", proc.Children(os.Getpid()), pid)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.AwaitExit(pid)
	if isChild() || proc.Runs(pid) {
		t.Errorf("children %v; %d is dead", proc.Children(os.Getpid()), pid)
	}
	_ = cmd.Wait()
	if _, ok := proc.Read(pid); ok {
		t.Errorf("process %d is still there", pid)
	}
}
