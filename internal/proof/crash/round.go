// SPDX-License-Identifier: Apache-2.0

//go:build linux

package crash

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
)

// point is a moment in the life of a call of the runner.
type point struct {
	method string
	moment moment
}

func (p point) String() string { return string(p.moment) + " " + p.method }

// Points of the protocol. Those of a recovery are only passed by a runner that
// begins anew.
var (
	writing = []point{
		{"CreateFileSet", before}, {"CreateFileSet", during}, {"CreateFileSet", after},
		{"StartCommit", before}, {"StartCommit", after}, {"InspectCommit", before}, {"InspectCommit", after},
		{"AddFileSet", before}, {"AddFileSet", after}, {"FinishCommit", before}, {"FinishCommit", after},
	}
	recovering = []point{
		{"InspectBranch", before}, {"InspectBranch", after}, {"ListCommit", before}, {"ListCommit", after},
		{"FinishCommit", before}, {"FinishCommit", after},
	}
)

// trapPatience is how long a runner may take to come to any point.
const trapPatience = 5 * time.Minute

// round does one kind of harm while records keep coming, and waits until the
// spout has recovered.
func (s *spout) round(ctx context.Context, f fault) (line string, err error) {
	before := s.runners()
	at := writing[s.random.IntN(len(writing))]
	if s.random.IntN(4) == 0 {
		at = recovering[s.random.IntN(len(recovering))]
		if err := s.killContainer(); err != nil {
			return "", err
		}
		before = nil
	}
	stop := s.keepProducing(ctx)
	defer stop()
	t := &trap{method: at.method, moment: at.moment, sprung: make(chan struct{})}
	var hit time.Time
	t.spring = func() outcome {
		hit = time.Now()
		return f.harm(ctx, s)
	}
	s.proxy.arm(t)
	select {
	case <-t.sprung:
	case <-time.After(trapPatience):
		s.proxy.arm(nil)
		return "", fmt.Errorf("the runner has not come to the point %s", at)
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	time.Sleep(time.Duration(s.random.IntN(300)) * time.Millisecond) // records come at any point of the recovery
	stop()
	s.background.Wait()
	if s.failure != nil {
		return "", s.failure
	}
	if err := s.recovered(ctx); err != nil {
		return "", err
	}
	if err := s.checkClock(ctx); err != nil {
		return "", err
	}
	if f.survives && before != nil && !slices.Equal(before, s.runners()) {
		s.problem("the runner did not survive: %s %s", f.name, at)
	}
	s.checkMemory()
	return fmt.Sprintf("%s %s; recovered after %.1f s; %d records so far", f.name, at, time.Since(hit).Seconds(), s.side.known()), nil
}

// keepProducing produces records until the returned function is called.
func (s *spout) keepProducing(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var producing sync.WaitGroup
	random := newRandom(s.random)
	producing.Go(func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				s.side.produce(context.WithoutCancel(ctx), random, random.IntN(20))
			}
		}
	})
	return func() { cancel(); producing.Wait() }
}

// runners returns the processes of the runner in the pod.
func (s *spout) runners() []int {
	pids, err := s.Cluster.UserCodePIDs(pachyderm.DefaultProject, s.name)
	if err != nil {
		return nil
	}
	return pids
}

// checkMemory holds the most memory that the runner ever had against its
// budget (I8), with the quarter more that is documented and the program itself.
func (s *spout) checkMemory() {
	const program = 64 << 10 // KiB
	for _, pid := range s.runners() {
		file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue // it has just ended
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			var most int64
			if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
				if _, err := fmt.Sscan(rest, &most); err == nil && most > int64(s.settings().MemoryBudget)>>10*5/4+program {
					s.problem("I8: the runner has had %d KiB of memory", most)
				}
			}
		}
		file.Close() //nolint:errcheck // only read
	}
}
