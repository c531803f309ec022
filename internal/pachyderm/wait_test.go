// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Waiting ends when the new version runs, and as soon as it is clear that it will not.
func TestWaitRunning(t *testing.T) {
	t.Parallel()
	running := Pipeline{Version: 2, State: StateRunning, WorkersAvailable: 1, WorkersRequested: 1}
	with := func(change func(*Pipeline)) *Pipeline { p := running; change(&p); return &p }
	old := with(func(p *Pipeline) { p.Version = 1 })
	starting := with(func(p *Pipeline) { p.State = StateStarting; p.WorkersAvailable = 0 })
	unscheduled := with(func(p *Pipeline) { p.WorkersAvailable = 0 })
	crashing := with(func(p *Pipeline) { p.State, p.Reason = StateCrashing, "ErrImagePull" })
	failed := with(func(p *Pipeline) { p.State, p.Reason = StateFailure, "no such node" })
	newer := with(func(p *Pipeline) { p.Version = 3 })
	started := with(func(p *Pipeline) { p.State, p.WorkersAvailable = StatePaused, 0 })
	paused := with(func(p *Pipeline) { p.State, p.Stopped = StatePaused, true })
	for _, c := range []struct {
		name string
		seen []*Pipeline // nil is an unreachable server; the last is repeated
		took time.Duration
		why  string
	}{
		{"at once", []*Pipeline{&running}, 2 * time.Second, ""},
		{"old version first", []*Pipeline{old, old, &running}, 4 * time.Second, ""},
		{"no workers yet", []*Pipeline{starting, unscheduled, &running}, 4 * time.Second, ""},
		{"unsteady", []*Pipeline{&running, &running, unscheduled, &running}, 5 * time.Second, ""},
		{"unreachable for a while", []*Pipeline{nil, &running}, 3 * time.Second, ""},
		{"failed", []*Pipeline{starting, failed}, time.Second, "no such node"},
		{"crashing for a while", []*Pipeline{crashing, crashing, &running}, 4 * time.Second, ""},
		{"crashing", []*Pipeline{crashing}, 30 * time.Second, "ErrImagePull"},
		{"updated by another", []*Pipeline{&running, newer}, time.Second, "version 3, not 2"},
		{"started, not taken up yet", []*Pipeline{started, started, &running}, 4 * time.Second, ""},
		{"stopped by another", []*Pipeline{paused}, 0, "stopped"},
		{"never", []*Pipeline{unscheduled}, 10 * time.Minute, "0 of 1 workers"},
		{"never reached", []*Pipeline{nil}, 10 * time.Minute, "too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				begin, seen := time.Now(), c.seen
				p, err := DefaultWait.Running(ctx, 2, func(context.Context) (*Pipeline, error) {
					next := seen[0]
					if len(seen) > 1 {
						seen = seen[1:]
					}
					if next == nil {
						return nil, status.Error(codes.Unavailable, "away")
					}
					return next, nil
				})
				if took := time.Since(begin); took != c.took {
					t.Errorf("it took %s, not %s", took, c.took)
				}
				var notThere *NotThereError
				switch {
				case c.why == "" && (err != nil || p != &running):
					t.Errorf("got %v, %v", p, err)
				case c.why != "" && (!errors.As(err, &notThere) || !strings.Contains(err.Error(), c.why)):
					t.Errorf("error %v, not %q", err, c.why)
				}
			})
		})
	}
}

// A stopped pipeline is waited for until its workers are gone for good, and no
// commit is about to become readable.
func TestWaitPaused(t *testing.T) {
	t.Parallel()
	type look struct {
		Pipeline
		finishing bool
		err       error // of the look at the commits
	}
	stopped := Pipeline{Stopped: true, State: StatePaused, WorkersRequested: 1}
	with := func(change func(*Pipeline)) look { p := stopped; change(&p); return look{Pipeline: p} }
	gone := look{Pipeline: stopped}
	running := with(func(p *Pipeline) { p.State, p.WorkersAvailable = StateRunning, 1 })
	working := with(func(p *Pipeline) { p.WorkersAvailable = 1 })
	failed := with(func(p *Pipeline) { p.State = StateFailure })
	finishing := look{Pipeline: stopped, finishing: true}
	away := look{Pipeline: stopped, err: status.Error(codes.Unavailable, "away")}
	for _, c := range []struct {
		name string
		seen []look // the last is repeated
		took time.Duration
		why  string
	}{
		{"at once", []look{gone}, 2 * time.Second, ""},
		{"failed", []look{failed}, 2 * time.Second, ""},
		{"paused before its worker is gone", []look{running, working, gone}, 4 * time.Second, ""},
		{"a worker that does not answer for a moment", []look{working, gone, gone, working, gone}, 6 * time.Second, ""},
		{"a commit is being finished", []look{finishing, finishing, gone}, 4 * time.Second, ""},
		{"unreachable for a while", []look{away, gone}, 3 * time.Second, ""},
		{"never", []look{working}, 10 * time.Minute, "1 of 1 workers"},
		{"never finished", []look{finishing}, 10 * time.Minute, "not FINISHED yet"},
		{"a worker that comes back", []look{finishing, working}, 10 * time.Minute, "1 of 1 workers"},
		{"no such branch", []look{{Pipeline: stopped, err: status.Error(codes.NotFound, "no such branch")}}, 0, "no such branch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				begin, seen := time.Now(), c.seen
				var now look
				_, err := DefaultWait.Paused(ctx, func(context.Context) (*Pipeline, error) {
					now = seen[0]
					if len(seen) > 1 {
						seen = seen[1:]
					}
					return &now.Pipeline, nil
				}, func(context.Context, *Pipeline) (bool, error) { return now.finishing, now.err })
				if took := time.Since(begin); took != c.took {
					t.Errorf("it took %s, not %s", took, c.took)
				}
				if (err == nil) != (c.why == "") || err != nil && !strings.HasSuffix(err.Error(), c.why) {
					t.Errorf("error %v, not %q", err, c.why)
				}
			})
		})
	}
}

// Only what cannot have been done is repeated, and not for ever.
func TestRetry(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		method string
		code   codes.Code
		fails  int
		least  time.Duration
		most   time.Duration
		calls  int
		want   codes.Code
	}{
		{"once", "/pps_v2.API/InspectPipeline", codes.Unavailable, 1, 250 * time.Millisecond, 500 * time.Millisecond, 2, codes.OK},
		{"some", "/pps_v2.API/InspectPipeline", codes.Unavailable, 4, 2031 * time.Millisecond, 4063 * time.Millisecond, 5, codes.OK},
		{"other errors are not", "/pps_v2.API/InspectPipeline", codes.Unknown, 1, 0, 0, 1, codes.Unknown},
		{"nor timeouts", "/pps_v2.API/InspectPipeline", codes.DeadlineExceeded, 1, 0, 0, 1, codes.DeadlineExceeded},
		{"nor aborts", "/pps_v2.API/InspectPipeline", codes.Aborted, 1, 0, 0, 1, codes.Aborted},
		{"nor creates", "/pps_v2.API/CreatePipeline", codes.Unavailable, 1, 0, 0, 1, codes.Unavailable},
		{"not for ever", "/pps_v2.API/InspectPipeline", codes.Unavailable, 1000, 45 * time.Second, time.Minute, 0, codes.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, begin := 0, time.Now()
				invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
					if calls++; calls <= c.fails {
						return status.Error(c.code, "no")
					}
					return nil
				}
				err := DefaultRetry.Interceptor()(t.Context(), c.method, nil, nil, nil, invoke)
				took := time.Since(begin)
				if status.Code(err) != c.want || c.calls != 0 && calls != c.calls || took < c.least || took > c.most {
					t.Errorf("%d calls in %s, then %v", calls, took, err)
				}
			})
		})
	}
}
