// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
)

// TestKilledRunner kills the runner at random moments, again and again, while
// records keep coming.
func TestKilledRunner(t *testing.T) {
	t.Parallel()
	const kills, burst, bursts = 20, 420, 25 // 210,000 records
	s := newSpout(t, 8)
	for done := 0; done < kills; {
		s.awaitCode()
		at := s.random.IntN(bursts)
		killed := false
		for i := range bursts {
			s.produce(burst)
			select {
			case <-time.After(time.Duration(s.random.IntN(100)) * time.Millisecond): // the pace of the producer
			case <-t.Context().Done():
				t.Fatal(t.Context().Err())
			}
			if i != at {
				continue
			}
			killed = s.kill(func() error {
				switch s.random.IntN(3) {
				case 0: // the worker takes its time to start it again
					return s.cluster.KillUserCode(s.project, s.name, syscall.SIGKILL)
				case 1:
					return s.cluster.KillContainer(s.project, s.name, cluster.UserContainer, syscall.SIGKILL)
				default:
					return s.cluster.DeletePod(s.project, s.name)
				}
			})
		}
		if killed {
			done++
		}
	}
	s.awaitAll()
	s.audit()
}

// TestTwoRunners has a second runner write the branch through a sidecar of its
// own. Each new one supersedes the other; nothing is lost or doubled.
func TestTwoRunners(t *testing.T) {
	t.Parallel()
	s := newSpout(t, 4)
	s.produce(2000)
	s.awaitAll()
	sidecar, stopSidecar, err := s.cluster.StartSidecar(t.Context(), s.project, s.name)
	if err != nil {
		t.Fatal(err)
	}
	defer stopSidecar()
	for range 3 {
		ended := s.startRival(t.Context(), sidecar)
		for running := true; running; {
			s.produce(20) // no more than small commits keep up with, on any version
			select {
			case err := <-ended: // the pod's runner was started again, and has superseded it
				if err == nil {
					t.Error("the rival ended with exit code 0")
				}
				running = false
			case <-time.After(20 * time.Millisecond): // the pace of the producer
			case <-t.Context().Done():
				t.Fatal(t.Context().Err())
			}
		}
	}
	s.awaitAll()
	s.audit()
}

// podCommand is a command of the runner as in the spout's pod, with a sidecar of
// its own.
func (s *spout) podCommand(ctx context.Context, sidecar string, arguments ...string) *exec.Cmd {
	s.t.Helper()
	out, err := s.cluster.Pachctl(s.t.Context(), "inspect", "pipeline", s.name, "--project", s.project, "--raw", "-o", "json")
	if err != nil {
		s.t.Fatal(err)
	}
	var info struct {
		Details struct {
			Transform struct{ Env map[string]string }
		}
	}
	if err := json.Unmarshal([]byte(out), &info); err != nil {
		s.t.Fatal(err)
	}
	arguments = append(arguments, "--sidecar", sidecar, "--project", s.project, "--pipeline", s.name)
	cmd := exec.CommandContext(ctx, filepath.Join(built.image, "spout-runner"), arguments...)
	for name, value := range info.Details.Transform.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// startRival runs a second runner outside of the pod; the channel gets its end.
func (s *spout) startRival(ctx context.Context, sidecar string) <-chan error {
	s.t.Helper()
	log, err := os.CreateTemp(s.t.TempDir(), "rival-*.log")
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := s.podCommand(ctx, sidecar, "run")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		log.Close() //nolint:errcheck // it is read below if need be
		ended <- err
	}()
	s.t.Cleanup(func() {
		if text, err := os.ReadFile(log.Name()); err == nil && s.t.Failed() {
			s.t.Logf("log of a rival:\n%s", text[max(0, len(text)-4000):])
		}
	})
	return ended
}

// TestServersRestart restarts everything under the runner while it works. It
// is not parallel: the others need those servers.
func TestServersRestart(t *testing.T) {
	s := newSpout(t, 4)
	for name, restart := range map[string]func() error{
		"pachd": func() error { return s.cluster.RestartPachd(t.Context()) },
		"sidecar": func() error {
			return s.cluster.KillContainer(s.project, s.name, cluster.StorageContainer, syscall.SIGKILL)
		},
		"postgres": func() error { return s.cluster.RestartPostgres(t.Context()) },
		"worker": func() error {
			return s.cluster.KillContainer(s.project, s.name, cluster.UserContainer, syscall.SIGKILL)
		},
	} {
		t.Log("restarting", name)
		s.awaitCode()
		s.whileProducing(func() {
			if err := restart(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		})
		s.awaitAll()
	}
	s.audit()
}

// whileProducing runs something between two halves of a burst of records.
func (s *spout) whileProducing(do func()) {
	s.produce(3000)
	do()
	s.produce(3000)
}

// TestZombieRunner has a runner stand still while another takes over.
func TestZombieRunner(t *testing.T) {
	t.Parallel()
	s := newSpout(t, 4)
	sidecar, stopSidecar, err := s.cluster.StartSidecar(t.Context(), s.project, s.name)
	if err != nil {
		t.Fatal(err)
	}
	defer stopSidecar()
	for range 3 {
		s.awaitCode()
		s.produce(2000)
		// The pod's runner stands still at any point, a rival takes over and
		// writes, and then the first wakes up.
		if !s.kill(func() error { return s.cluster.KillUserCode(s.project, s.name, syscall.SIGSTOP) }) {
			continue
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := s.startRival(ctx, sidecar)
		s.produce(2000)
		s.awaitAll()
		s.kill(func() error { return s.cluster.KillUserCode(s.project, s.name, syscall.SIGCONT) })
		s.produce(2000)
		s.awaitAll()
		cancel()
		if err := <-ended; err == nil { // killed, or superseded by the pod's runner in its next life
			t.Error("the rival ended with exit code 0")
		}
	}
	s.awaitAll()
	s.audit()
}
