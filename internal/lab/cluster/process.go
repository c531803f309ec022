// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/child"
)

// process is a server that the cluster has started. It never outlives this process.
type process struct {
	*child.Server
	name    string
	stopped atomic.Bool // it was told to
}

// startProcess starts a server that logs to a file. If it ends untold, lost is called.
func startProcess(name, logPath string, cmd *exec.Cmd, lost func(error)) (*process, error) {
	server, err := child.StartServer(cmd, logPath)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p := &process{Server: server, name: name}
	go func() {
		<-p.Ended()
		if !p.stopped.Load() && lost != nil {
			lost(fmt.Errorf("%s ended (%w); its log is %s", name, p.Err(), logPath))
		}
	}()
	return p, nil
}

// Times that servers are given.
const (
	readyTimeout = 60 * time.Second
	readyPoll    = 50 * time.Millisecond
	stopGrace    = 10 * time.Second
)

// awaitReady returns once check succeeds, or fails with the end of the log if the process ends or takes too long.
func (p *process) awaitReady(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.Ended():
			return fmt.Errorf("%s ended while it was starting (%w):\n%s", p.name, p.Err(), p.logTail())
		case <-ctx.Done():
			return fmt.Errorf("%s isn't ready: %w:\n%s", p.name, errors.Join(context.Cause(ctx), err), p.logTail())
		case <-tick.C:
		}
	}
}

// stop ends the process with a signal, and with SIGKILL if that is not enough. It returns once the process is gone.
func (p *process) stop(sig syscall.Signal) {
	if p == nil {
		return
	}
	p.stopped.Store(true)
	p.End(sig, stopGrace)
}

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.Ended():
		return false
	default:
		return true
	}
}

// logTail returns the last lines of the log, and where it is.
func (p *process) logTail() string {
	const lines = 8
	return p.LogTail(lines) + "\n(log: " + p.LogPath + ")"
}
