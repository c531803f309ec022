// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubesim

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/child"
)

// supervise keeps a container running until its pod is stopped, as a kubelet does under the restart policy Always: the
// first restart comes at once, later ones after a delay that doubles, and starts anew once the container has run long.
func (k *kubelet) supervise(p *pod, c *container) {
	logFile, err := os.OpenFile(k.logPath(p.name, c.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		k.cfg.Log.Printf("pod %s: %v", p.name, err)
		return
	}
	defer func() { _ = logFile.Close() }()
	set := func(change func(*Container)) {
		c.mu.Lock()
		change(&c.state)
		c.mu.Unlock()
		k.publish(p)
	}
	waits := func(reason, message string, d time.Duration) bool {
		set(func(s *Container) { s.Waiting, s.Message = reason, message })
		return p.pause(d)
	}

	var delay time.Duration
	for {
		cmd, problem := k.prepare(p, c)
		if problem != nil {
			k.cfg.Log.Printf("pod %s: container %s: %v", p.name, c.name, problem)
			if !waits(problem.reason, problem.Error(), k.cfg.BackOff) {
				return
			}
			if problem.reason == errImagePull && !waits("ImagePullBackOff", "Back-off pulling image: "+problem.Error(), 4*k.cfg.BackOff) {
				return
			}
			continue
		}
		exit, ok := k.runOnce(p, c, cmd, logFile, set)
		if !ok {
			return
		}
		if exit.Finished.Sub(exit.Began) > 60*k.cfg.BackOff {
			delay = 0
		}
		k.cfg.Log.Printf("pod %s: container %s exited with code %d after %s, restarts in %s", p.name, c.name, exit.Code,
			exit.Finished.Sub(exit.Began).Round(time.Millisecond), delay)
		if delay > 0 && !waits("CrashLoopBackOff", fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", delay, c.name, p.name), delay) {
			return
		}
		delay = min(max(2*delay, k.cfg.BackOff), 30*k.cfg.BackOff)
		set(func(s *Container) { s.Restarts++ })
	}
}

// pause waits; it returns false as soon as the pod is stopped.
func (p *pod) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.stop:
		return false
	case <-timer.C:
		return true
	}
}

// runOnce runs a container's process until it ends, or until the pod is stopped; it returns false then.
func (k *kubelet) runOnce(p *pod, c *container, cmd *exec.Cmd, logFile *os.File, set func(func(*Container))) (Exit, bool) {
	if c.name == UserContainer && k.cfg.WorkerStarts != nil {
		worker := p.worker(c)
		k.cfg.WorkerStarts(worker)
		defer k.cfg.WorkerEnded(worker)
	}
	cmd.Stdout, cmd.Stderr = logFile, logFile
	began := time.Now()
	err := child.Start(cmd)
	closeFiles(cmd.ExtraFiles)
	if err != nil {
		k.cfg.Log.Printf("pod %s: container %s: %v", p.name, c.name, err)
		set(func(s *Container) { s.Waiting, s.Message = "RunContainerError", err.Error() })
		return Exit{Code: 128, Began: began, Finished: time.Now()}, p.pause(k.cfg.BackOff)
	}
	k.cfg.Log.Printf("pod %s: container %s started, pid %d", p.name, c.name, cmd.Process.Pid)
	set(func(s *Container) {
		c.since, c.ended = began, make(chan struct{})
		s.PID, s.Waiting, s.Message = cmd.Process.Pid, "", ""
	})
	exited := make(chan Exit, 1)
	go func() { exited <- reap(c, cmd, began) }()
	select {
	case exit := <-exited:
		k.publish(p)
		return exit, true
	case <-p.stop:
		k.end(p, cmd, exited)
		return Exit{}, false
	}
}

// reap waits for the end of a container's process and notes it down before the pid is given back.
func reap(c *container, cmd *exec.Cmd, began time.Time) Exit {
	child.AwaitExit(cmd.Process.Pid)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.PID = 0
	_ = cmd.Wait() // what it would say is in ProcessState
	exit := Exit{Code: cmd.ProcessState.ExitCode(), Began: began, Finished: time.Now()}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		exit.Code = 128 + int(status.Signal())
	}
	c.state.LastExit = &exit
	close(c.ended)
	return exit
}

// minGrace is what a kubelet grants at least, even to pods whose grace period is 0, as pachd's are.
const minGrace = 2.0

// end ends a container: SIGTERM, then SIGKILL after the pod's grace period. The worker dies of the SIGTERM, and the
// kernel then kills the user's command, which thus gets no warning.
func (k *kubelet) end(p *pod, cmd *exec.Cmd, exited <-chan Exit) {
	grace, ok := at(p.object, "spec")["terminationGracePeriodSeconds"].(float64)
	if !ok {
		grace = 30
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // it may have ended meanwhile
	timer := time.NewTimer(time.Duration(max(grace, minGrace) * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-exited:
	case <-timer.C:
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-exited
	}
}

// worker names the run of a user container.
func (p *pod) worker(c *container) Worker {
	w := Worker{Pod: p.name, Project: p.label("pipelineProject"), Pipeline: p.label("pipelineName")}
	for _, v := range listAt(c.spec, "env") {
		if textAt(v, "name") == "PPS_ETCD_PREFIX" {
			w.EtcdPrefix = textAt(v, "value")
		}
	}
	return w
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
