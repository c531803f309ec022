// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"cmp"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/proc"
)

// firstChild is the process that a process has started before its others; nothing if there are none.
func firstChild(pid int) (first proc.Process, ok bool) {
	children := proc.Children(pid)
	if len(children) == 0 {
		return first, false
	}
	return slices.MinFunc(children, func(a, b proc.Process) int { return cmp.Compare(a.Start, b.Start) }), true
}

// kill signals a process that is no child of this one, and after SIGKILL waits for its end.
func kill(pid int, sig syscall.Signal) error {
	process, err := os.FindProcess(pid) // holds on to this very process, even if its pid is given to another
	if err != nil {
		return err
	}
	defer func() { _ = process.Release() }()
	if err := process.Signal(sig); err != nil || sig != syscall.SIGKILL {
		return err
	}
	tick := time.NewTicker(userCodePoll)
	defer tick.Stop()
	for proc.Runs(pid) && process.Signal(syscall.Signal(0)) == nil {
		<-tick.C // a killed process ends soon, whatever it does
	}
	return nil
}
