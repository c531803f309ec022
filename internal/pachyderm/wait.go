// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Wait says how a pipeline's state is watched.
type Wait struct {
	Poll     time.Duration // between two looks
	Stable   int           // looks in a row that must find it running, or ended
	Grace    time.Duration // how long it may be crashing, as while an image is being fetched
	Patience time.Duration // how long its code may say that it waits for something
	Progress func(*Pipeline)
}

// DefaultWait looks each second, three times in a row, and gives crashing
// pipelines half a minute, and code that waits for something a minute.
var DefaultWait = Wait{Poll: time.Second, Stable: 3, Grace: 30 * time.Second, Patience: time.Minute}

// NotThereError says why a pipeline did not reach the state that was waited for.
type NotThereError struct {
	Last    *Pipeline // nil if it was never seen
	Why     string
	Started bool  // it had a pod for a while, at least
	Code    bool  // Why is what its code says
	Silent  bool  // it has all its pods, and what its code does is not known
	Err     error // the context's or the server's, if one of them ended the wait
}

func (e *NotThereError) Error() string { return e.Why }
func (e *NotThereError) Unwrap() error { return e.Err }

// Running blocks until version is the pipeline's version, it is running and
// all its workers are there. It gives up at once when pachd calls it failed,
// after a grace time when it is crashing, and when ctx ends. pachd says
// "running" as soon as Kubernetes was told; the workers tell the rest.
func (w Wait) Running(ctx context.Context, version uint64, inspect func(context.Context) (*Pipeline, error)) (*Pipeline, error) {
	return w.until(ctx, inspect, w.running(version))
}

// Code is what is known of the code of a pipeline that has its workers.
type Code struct {
	Works   bool   // it does what it is there for
	Problem string // what it waits for or has failed at; "" if nothing is known
	Final   bool   // that will not change
}

// Working is [Wait.Running], and then blocks until the pipeline's code works,
// of which look tells. It gives up when the code has had the same problem for
// Patience, at once if that is final, and after twice as long if nothing at all
// can be learned about it.
func (w Wait) Working(ctx context.Context, version uint64, inspect func(context.Context) (*Pipeline, error), look func(context.Context, *Pipeline) Code) (*Pipeline, error) {
	running := w.running(version)
	var code Code
	var since, ready time.Time
	last := NotThereError{}
	looks := 0
	both := func(ctx context.Context) (*Pipeline, error) {
		p, err := inspect(ctx)
		if code = (Code{}); err == nil && p.Version == version && p.State == StateRunning {
			code = look(ctx, p) // also without workers: a probe may ask the code whether it is ready
		}
		return p, err
	}
	p, err := w.until(ctx, both, func(p *Pipeline) (bool, string) {
		is, why := running(p)
		now := time.Now()
		if looks++; p.Version != version || !p.Ready() {
			looks = 0
		} else if looks == 1 {
			ready = now
		}
		if code.Problem == "" {
			since = time.Time{}
		} else if since.IsZero() {
			since = now
		}
		switch {
		case why != "":
			return false, why
		case code.Problem != "" && (code.Final || now.Sub(since) >= w.Patience):
			last.Code = true
			return false, code.Problem
		case code.Works || !is:
			return is, ""
		case code.Problem == "" && looks > 2*w.Stable && now.Sub(ready) >= 2*w.Patience:
			last.Silent = true
			return false, "its pod is there, but neither its log nor its commits tell whether its code works"
		}
		return false, ""
	})
	var notThere *NotThereError
	if errors.As(err, &notThere) {
		notThere.Code, notThere.Silent = last.Code, last.Silent
		if notThere.Err != nil && code.Problem != "" {
			notThere.Why, notThere.Code = "it took too long. "+code.Problem, true
		}
	}
	return p, err
}

// running returns a func that says of each look whether the version runs, or
// why it never will.
func (w Wait) running(version uint64) func(*Pipeline) (bool, string) {
	ready := w.inARow()
	var crashing time.Time
	return func(p *Pipeline) (bool, string) {
		if p.Version > version {
			return false, fmt.Sprintf("somebody else updated it meanwhile: it is at version %d, not %d", p.Version, version)
		}
		if p.Version < version {
			return false, ""
		}
		switch p.State {
		case StateFailure:
			return false, "Pachyderm calls it failed: " + reasonOf(p)
		case StatePaused:
			if p.Stopped {
				return false, "somebody else stopped it meanwhile"
			} // else it was started, and pachd has not got round to it
		case StateCrashing:
			if crashing.IsZero() {
				crashing = time.Now()
			}
			if time.Since(crashing) >= w.Grace && !p.awaitsNode() {
				return false, "its pod does not start: " + reasonOf(p)
			}
		default:
			crashing = time.Time{}
		}
		return ready(p.Ready()), ""
	}
}

// awaitsNode says whether Kubernetes has no node for the pod, which a cluster
// that grows on demand may have in some minutes. Pachyderm passes on the
// scheduler's words only.
func (p *Pipeline) awaitsNode() bool { return strings.Contains(p.Reason, "nodes are available") }

// Ready says whether a pipeline has all the workers that it needs at the
// moment. With autoscaling it has as many as there is work, and is in standby
// without.
func (p *Pipeline) Ready() bool {
	workers := max(1, p.WorkersRequested)
	if p.Autoscaling {
		workers = 0
	}
	return p.State == StateStandby || p.State == StateRunning && p.WorkersAvailable >= workers
}

// Paused blocks until the pipeline is stopped and what it has written does not
// change any more: its workers are gone, and no commit is on its way to
// FINISHED, of which finishing tells. The state alone does not say so: the PPS
// master sets it before it has the workers ended, which takes seconds in a
// cluster with many pipelines.
func (w Wait) Paused(ctx context.Context, inspect func(context.Context) (*Pipeline, error), finishing func(context.Context, *Pipeline) (bool, error)) (*Pipeline, error) {
	still, busy := w.inARow(), false
	look := func(ctx context.Context) (*Pipeline, error) {
		busy = false
		p, err := inspect(ctx)
		if err == nil && p.gone() {
			busy, err = finishing(ctx, p)
		}
		return p, err
	}
	p, err := w.until(ctx, look, func(p *Pipeline) (bool, string) {
		return still(p.gone() && !busy), ""
	})
	var notThere *NotThereError
	if busy && errors.As(err, &notThere) {
		notThere.Why += "; a commit of its output branch is not FINISHED yet"
	}
	return p, err
}

// gone says whether a pipeline is stopped and has no workers left.
func (p *Pipeline) gone() bool {
	return p.Stopped && (p.State == StatePaused || p.State == StateFailure) && p.WorkersAvailable == 0
}

// inARow returns a func that is told what each look has found, and says whether
// that held often enough, one time after the other: a worker that does not
// answer for a moment is not counted.
func (w Wait) inARow() func(holds bool) bool {
	seen := 0
	return func(holds bool) bool {
		seen++
		if !holds {
			seen = 0
		}
		return seen >= max(1, w.Stable)
	}
}

// until polls until check says that it is done, or why it will not be. It
// bears an unreachable server, which may be on its way back.
func (w Wait) until(ctx context.Context, inspect func(context.Context) (*Pipeline, error), check func(*Pipeline) (bool, string)) (*Pipeline, error) {
	var last *Pipeline
	started := false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return last, &NotThereError{Last: last, Why: tooLong(last), Started: started, Err: ctx.Err()}
		case <-timer.C:
		}
		p, err := inspect(ctx)
		switch {
		case err == nil:
			last = p
			started = started || p.WorkersAvailable > 0
			if w.Progress != nil {
				w.Progress(p)
			}
			done, why := check(p)
			if why != "" {
				return p, &NotThereError{Last: p, Why: why, Started: started}
			}
			if done {
				return p, nil
			}
		case IsUnavailable(err) || IsTimeout(err):
		default:
			return last, &NotThereError{Last: last, Why: Reason(err), Started: started, Err: err}
		}
		timer.Reset(w.Poll)
	}
}

func tooLong(p *Pipeline) string {
	if p == nil {
		return "it took too long, and the server did not say how far it got"
	}
	why := fmt.Sprintf("it took too long. It is %s with %d of %d workers", p.State, p.WorkersAvailable, p.WorkersRequested)
	if p.Reason != "" {
		why += ": " + p.Reason
	}
	return why
}

func reasonOf(p *Pipeline) string {
	if p.Reason == "" {
		return "no reason is given"
	}
	return p.Reason
}
