// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutlog"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// What waits or fails for longer than this is told, in the log and by /readyz.
const patience = 15 * time.Second

// What an ingester does.
const (
	phaseStarting   = "starting"
	phaseRecovering = "looking at the branch's head"
	phaseOpening    = "opening the source"
	phaseIngesting  = "ingesting"
	phaseRestarting = "starting again"
	phaseStopped    = "stopped"
)

// health knows what an ingester does, what it waits for, and what failed last.
type health struct {
	mu     sync.Mutex
	phase  string
	since  time.Time // of the phase
	failed string    // why the last session ended; "" once that is overcome
	waits  map[*wait]struct{}
	moved  time.Time // when a wait last began or ended

	making time.Time // since when a schema is being made use of, zero while none is

	busy atomic.Int64 // since when a chunk is being worked on, in nanoseconds; 0 while there is none
}

// wait is an answer of Pachyderm that is being waited for.
type wait struct {
	what  string
	since time.Time
	told  time.Time // when the log was told last
}

func (h *health) enter(phase string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase, h.since = phase, time.Now()
}

// fail enters a phase because of an error.
func (h *health) fail(phase string, err error) {
	h.enter(phase)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed = err.Error()
}

// overcome forgets the last error: a commit has come through since.
func (h *health) overcome() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.phase == phaseIngesting {
		h.failed = ""
	}
}

// waiting notes that an answer is being waited for, until done is called.
func (h *health) waiting(format string, args ...any) (done func()) {
	w := &wait{what: fmt.Sprintf(format, args...), since: time.Now()}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waits == nil {
		h.waits = map[*wait]struct{}{}
	}
	h.waits[w], h.moved = struct{}{}, w.since
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waits, w)
		h.moved = time.Now()
	}
}

// longest returns the wait that lasts for the longest time, nil if there is none.
func (h *health) longest() *wait {
	var longest *wait
	for w := range h.waits {
		if longest == nil || w.since.Before(longest.since) {
			longest = w
		}
	}
	return longest
}

// waitingFor returns for how long the longest wait has lasted.
func (h *health) waitingFor() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w := h.longest(); w != nil {
		return time.Since(w.since)
	}
	return 0
}

// untold returns the longest wait, if it is time to tell the log of it.
func (h *health) untold() (w wait, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	longest, now := h.longest(), time.Now()
	if longest == nil || now.Sub(longest.since) < patience || now.Sub(longest.told) < patience {
		return w, false
	}
	longest.told = now
	return *longest, true
}

// hungAfter is how long the loop may work on one chunk without waiting for
// anything: the largest take seconds.
const hungAfter = 2 * time.Minute

// working notes that the loop works on a chunk, until done is called.
func (h *health) working() (done func()) {
	h.busy.Store(time.Now().UnixNano())
	return h.idle
}

func (h *health) idle() { h.busy.Store(0) }

// makes notes that work is being done on an answer that was waited for, until
// done is called: that it is still called a wait does not excuse it.
func (h *health) makes() (done func()) {
	set := func(since time.Time) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.making = since
	}
	set(time.Now())
	return func() { set(time.Time{}) }
}

// hung says what stands still, "" if nothing does. That Pachyderm or the source
// does not answer is something to wait for, which a new process would do too.
func (h *health) hung(now time.Time) string {
	busy := h.busy.Load()
	h.mu.Lock()
	defer h.mu.Unlock()
	if busy == 0 || len(h.waits) > 0 && h.making.IsZero() {
		return ""
	}
	since := time.Unix(0, busy)
	if h.moved.After(since) {
		since = h.moved
	}
	if h.making.After(since) {
		since = h.making
	}
	if now.Sub(since) < hungAfter {
		return ""
	}
	return fmt.Sprintf("hung: the same records have been worked on for %v, and nothing is waited for", now.Sub(since).Round(time.Second))
}

// Hung says why the process should be started again, "" if it should not. It
// does not return at all while what it asks is deadlocked.
func (in *Ingester) Hung() string {
	in.Metrics.observe()
	return in.health.hung(time.Now())
}

// Health is what /readyz says.
type Health struct {
	Ready    bool     `json:"ready" doc:"Whether batches are being committed. A runner that has nothing to read is ready, too."`
	Status   string   `json:"status" doc:"What the runner does: starting, looking at the branch's head, opening the source, ingesting, starting again, or stopped."`
	Problems []string `json:"problems" doc:"What keeps it from being ready, and what has been failing for a while."`
}

// Health says whether batches are being committed, and if not, why. That the
// source has nothing to read is no reason not to be ready.
func (in *Ingester) Health() Health {
	return in.health.judge(in.Metrics.observe().Troubles)
}

func (h *health) judge(troubles []source.Trouble) Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := Health{Status: h.phase, Problems: []string{}}
	if out.Status == "" {
		out.Status = phaseStarting
	}
	now := time.Now()
	settled := h.phase == phaseIngesting && now.Sub(h.since) >= patience
	if h.failed != "" && !settled {
		out.Problems = append(out.Problems, h.failed)
	}
	if w := h.longest(); w != nil && now.Sub(w.since) >= patience {
		out.Problems = append(out.Problems, fmt.Sprintf("waiting for %s, for %v", w.what, now.Sub(w.since).Round(time.Second)))
	}
	for _, t := range troubles {
		// While the source is being opened, this is all there is to say.
		if now.Sub(t.Since) >= patience || h.phase == phaseOpening {
			out.Problems = append(out.Problems, fmt.Sprintf("%s, for %v", t.Text, now.Sub(t.Since).Round(time.Second)))
		}
	}
	out.Ready = h.phase == phaseIngesting && len(out.Problems) == 0
	return out
}

// readiness is what the log was told last of whether the runner is ready: its
// lines are all that Terraform can see of that.
type readiness struct {
	unready bool
	told    time.Time
}

// tell tells the log that the runner is not ready and why, again and again
// while that lasts, and that it is over.
func (r *readiness) tell(log hclog.Logger, h Health) {
	switch now := time.Now(); {
	case h.Ready:
		if r.unready {
			log.Info(spoutlog.Ready)
		}
		*r = readiness{}
	case r.unready && now.Sub(r.told) < patience:
	case len(h.Problems) == 0 && r.told.IsZero():
		r.told = now // it has only just begun
	case len(h.Problems) > 0 || now.Sub(r.told) >= patience:
		log.Warn(spoutlog.NotReady, "status", h.Status, "problems", h.Problems)
		*r = readiness{unready: true, told: now}
	}
}
