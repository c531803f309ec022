// SPDX-License-Identifier: Apache-2.0

//go:build linux

package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/pps"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/child"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
)

// fault is a kind of harm.
type fault struct {
	name string // as in "… before StartCommit"
	// harm does it, while a call of the runner stands still, and says what
	// becomes of the call. What takes longer goes on in the background.
	harm     func(context.Context, *spout) outcome
	survives bool // the runner must not end
	// possible says whether a campaign can do it; nil stands for always.
	possible func(*campaign) bool
}

func hasDisk(c *campaign) bool   { return c.Disk != "" }
func hasClock(c *campaign) bool  { return c.MovableClock }
func hasServer(c *campaign) bool { return c.kind.server }
func canKill(c *campaign) bool   { return c.kind.kills != nil && c.kind.kills(c.Options) }

// stall is how long something stands still.
const stall = 2 * time.Second

var faults = []fault{
	{name: "SIGKILL of the worker and its runner", harm: func(_ context.Context, s *spout) outcome { return s.note(s.killContainer()) }},
	{name: "SIGKILL of the runner", harm: func(_ context.Context, s *spout) outcome { return s.note(s.signalRunner(syscall.SIGKILL)) }},
	{name: "the pod deleted", harm: func(_ context.Context, s *spout) outcome {
		return s.note(s.Cluster.DeletePod(pachyderm.DefaultProject, s.name))
	}},
	{name: "SIGSTOP, and SIGCONT with another runner at work,", possible: canHaveRival, harm: zombie},
	{name: "the connection cut", survives: true, harm: func(_ context.Context, s *spout) outcome {
		s.proxy.cut()
		return goOn
	}},
	{name: "the reply or the call lost", survives: true, harm: func(context.Context, *spout) outcome { return fail }},
	{name: "connections cut again and again", survives: true, harm: func(_ context.Context, s *spout) outcome {
		s.later(func() error {
			for range 10 {
				s.proxy.cut()
				time.Sleep(stall / 10)
			}
			return nil
		})
		return goOn
	}},
	{name: "a call that takes long", survives: true, harm: func(context.Context, *spout) outcome {
		time.Sleep(stall)
		return goOn
	}},
	{name: "SIGKILL of the sidecar", harm: func(_ context.Context, s *spout) outcome {
		return s.note(s.signalSidecar(syscall.SIGKILL))
	}},
	{name: "storage that stands still", survives: true, harm: func(_ context.Context, s *spout) outcome {
		s.later(func() error {
			err := s.signalSidecar(syscall.SIGSTOP)
			time.Sleep(stall)
			return errors.Join(err, s.signalSidecar(syscall.SIGCONT))
		})
		return goOn
	}},
	{name: "a restart of pachd", harm: func(ctx context.Context, s *spout) outcome {
		err := s.Cluster.StopPachd()
		s.later(func() error { return s.Cluster.StartPachd(ctx) })
		return s.note(err)
	}},
	{name: "a restart of PostgreSQL", harm: func(ctx context.Context, s *spout) outcome {
		s.later(func() error { return s.Cluster.RestartPostgres(ctx) })
		return goOn
	}},
	{name: "SIGKILL of etcd", harm: func(ctx context.Context, s *spout) outcome {
		s.later(func() error { return s.Cluster.RestartEtcd(ctx) })
		return goOn
	}},
	{name: "a restart of the source's server", survives: true, possible: hasServer, harm: func(ctx context.Context, s *spout) outcome {
		s.later(func() error { return s.side.(server).restart(ctx) })
		return goOn
	}},
	{name: "SIGKILL of the source's server", survives: true, possible: canKill, harm: func(ctx context.Context, s *spout) outcome {
		s.later(func() error { return s.side.(killable).kill(ctx) })
		return goOn
	}},
	{name: "a source's server that stands still", survives: true, possible: hasServer, harm: func(_ context.Context, s *spout) outcome {
		s.later(func() error {
			err := s.side.(server).signal(syscall.SIGSTOP)
			time.Sleep(stall)
			return errors.Join(err, s.side.(server).signal(syscall.SIGCONT))
		})
		return goOn
	}},
	{name: "the pipeline stopped and started", harm: func(ctx context.Context, s *spout) outcome {
		s.later(func() error { return s.stopAndStart(ctx) })
		return goOn
	}},
	{name: "the clock set forward", survives: true, possible: hasClock, harm: func(_ context.Context, s *spout) outcome { return s.moveClock(1) }},
	{name: "the clock set back", survives: true, possible: hasClock, harm: func(_ context.Context, s *spout) outcome { return s.moveClock(-1) }},
	{name: "a full disk", survives: true, possible: hasDisk, harm: func(_ context.Context, s *spout) outcome {
		filler, err := s.fillDisk()
		s.later(func() error {
			time.Sleep(stall)
			return os.Remove(filler)
		})
		return s.note(err)
	}},
}

// note keeps an error for the round, but that something had ended already.
func (s *spout) note(err error) outcome {
	s.later(func() error {
		if errors.Is(err, os.ErrProcessDone) {
			return nil
		}
		return err
	})
	return goOn
}

func (s *spout) killContainer() error {
	err := s.Cluster.KillContainer(pachyderm.DefaultProject, s.name, cluster.UserContainer, syscall.SIGKILL)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

func (s *spout) signalRunner(sig syscall.Signal) error {
	return s.Cluster.KillUserCode(pachyderm.DefaultProject, s.name, sig)
}

func (s *spout) signalSidecar(sig syscall.Signal) error {
	return s.Cluster.KillContainer(pachyderm.DefaultProject, s.name, cluster.StorageContainer, sig)
}

func (s *spout) stopAndStart(ctx context.Context) error {
	if _, err := s.client.PPS.StopPipeline(ctx, &pps.StopPipelineRequest{Pipeline: s.pipeline()}); err != nil {
		return err
	}
	_, err := s.client.PPS.StartPipeline(ctx, &pps.StartPipelineRequest{Pipeline: s.pipeline()})
	return err
}

// zombie has the runner stand still with a call on its way, and another take
// the branch over through a sidecar of its own, before it wakes up.
func zombie(ctx context.Context, s *spout) outcome {
	if err := s.signalRunner(syscall.SIGSTOP); err != nil {
		return s.note(err)
	}
	_, last, err := ingest.LastCommit(ctx, s.branch)
	if err != nil {
		return s.note(errors.Join(err, s.signalRunner(syscall.SIGCONT)))
	}
	end, err := s.startRival(ctx)
	if err == nil {
		err = s.newWriter(ctx, last.Writer)
	}
	s.note(err)
	s.note(s.signalRunner(syscall.SIGCONT))
	s.later(func() error {
		time.Sleep(stall) // both are at work
		return end()
	})
	return goOn
}

// newWriter waits until another than the one so far has committed.
func (s *spout) newWriter(ctx context.Context, than string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("no other runner has taken over"))
	defer cancel()
	return poll(ctx, func() (bool, error) {
		_, d, err := ingest.LastCommit(ctx, s.branch)
		return err == nil && d.Writer != than, transient(err)
	})
}

// canHaveRival says whether a second runner can work on this machine while the
// first is stopped.
func canHaveRival(c *campaign) bool { return !c.kind.listens }

// startRival runs another runner beside the pod's.
func (s *spout) startRival(ctx context.Context) (end func() error, err error) {
	sidecar, stopSidecar, err := s.Cluster.StartSidecar(ctx, pachyderm.DefaultProject, s.name)
	if err != nil {
		return func() error { return nil }, err
	}
	log, err := os.OpenFile(filepath.Join(s.Dir, "rival.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		stopSidecar()
		return func() error { return nil }, err
	}
	cmd := exec.Command(s.Runner, "run", "--sidecar", sidecar, "--project", pachyderm.DefaultProject, "--pipeline", s.name)
	for name, value := range s.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := child.Start(cmd); err != nil {
		stopSidecar()
		return func() error { return nil }, err
	}
	return func() error {
		defer stopSidecar()
		_ = cmd.Process.Kill() // it may have been superseded, and have ended
		if err := cmd.Wait(); err == nil {
			return errors.New("the rival has ended with exit code 0")
		}
		return log.Close()
	}, nil
}

// fillDisk takes all the room there is.
func (s *spout) fillDisk() (filler string, err error) {
	filler = filepath.Join(s.Disk, "filler")
	file, err := os.Create(filler)
	if err != nil {
		return filler, err
	}
	defer file.Close() //nolint:errcheck // what is in it does not matter
	for size := int64(1 << 30); size >= 4<<10; {
		info, err := file.Stat()
		if err != nil {
			return filler, err
		}
		if err := syscall.Fallocate(int(file.Fd()), 0, info.Size(), size); err != nil {
			size /= 2
		}
	}
	return filler, nil
}

func newRandom(from *rand.Rand) *rand.Rand {
	return rand.New(rand.NewPCG(from.Uint64(), from.Uint64()))
}

// MountDisk gives a folder a small file system of its own, so that it can be
// filled up. That takes root.
func MountDisk(dir string, size int) (unmount func() error, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		return nil, fmt.Errorf("mount a file system on %s: %w", dir, err)
	}
	return func() error { return syscall.Unmount(dir, syscall.MNT_DETACH) }, nil
}
