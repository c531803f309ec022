// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/cluster/child"
)

// process is a server that the cluster has started. It never outlives this process.
type process struct {
	name    string
	logPath string
	cmd     *exec.Cmd
	done    chan struct{} // closed when it has ended
	stopped atomic.Bool   // it was told to
}

// startProcess starts a server that logs to a file. If it ends untold, lost is called.
func startProcess(name, logPath string, cmd *exec.Cmd, lost func(error)) (*process, error) {
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = logFile.Close() }() // the child has its own
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if err := child.Start(cmd); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p := &process{name: name, logPath: logPath, cmd: cmd, done: make(chan struct{})}
	go func() {
		err := cmd.Wait()
		if err == nil {
			err = errors.New(cmd.ProcessState.String())
		}
		close(p.done)
		if !p.stopped.Load() && lost != nil {
			lost(fmt.Errorf("%s ended (%w); its log is %s", name, err, logPath))
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
		case <-p.done:
			return fmt.Errorf("%s ended while it was starting (%v):\n%s", p.name, p.cmd.ProcessState, p.logTail())
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
	_ = p.cmd.Process.Signal(sig) // an error means that it has ended
	timer := time.NewTimer(stopGrace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// logTail returns the last lines of the log, and where it is.
func (p *process) logTail() string {
	const lines, width = 8, 400
	text, err := os.ReadFile(p.logPath)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	all = all[max(0, len(all)-lines):]
	for i, line := range all {
		all[i] = "\t" + line[:min(len(line), width)]
	}
	return strings.Join(append(all, "(log: "+p.logPath+")"), "\n")
}
