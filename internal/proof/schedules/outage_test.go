// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// outages are what a runner has to live through, however long it takes. Each
// says what becomes of a call meanwhile: nil lets the server do it.
var outages = map[string]struct {
	in         maker // newWorld, if not set
	begin, end func(*world)
	call       func(*world, *event) error
}{
	"Kafka cannot be reached": {
		in:    newKafkaWorld,
		begin: func(w *world) { w.stream.kafka.network.cut(true) },
		end:   func(w *world) { w.stream.kafka.network.cut(false) },
	},
	"Pachyderm cannot be reached": {call: func(*world, *event) error { return errRefused }},
	"Pachyderm has lost its database": {call: func(*world, *event) error {
		return status.Error(codes.Unknown, "FATAL: the database system is starting up (SQLSTATE 57P03)")
	}},
	"no call is answered": {
		call: func(*world, *event) error { return errUnanswered },
		end:  (*world).restartServer,
	},
	"every reply is lost": {call: func(w *world, e *event) error {
		w.proceed(e, replyLost)
		return errUnanswered
	}},
	"the disk is full": {call: func(_ *world, e *event) error {
		if e.name == "CreateFileSet" {
			return errFull
		}
		return nil
	}},
	"commits stay FINISHING":   {begin: (*world).holdFinishing, end: (*world).holdFinishing},
	"the source fails":         {begin: func(w *world) { w.breakSource(1 << 40) }, end: func(w *world) { w.breakSource(0) }},
	"the sidecar cannot write": {call: denies("StartCommit")},
	"the branch cannot be read": {
		begin: (*world).restartServer,
		call:  denies("InspectBranch"),
	},
}

// errUnanswered leaves a call to itself.
var errUnanswered = status.Error(codes.DeadlineExceeded, "unanswered")

func denies(method string) func(*world, *event) error {
	return func(_ *world, e *event) error {
		if e.name != method {
			return nil
		}
		return status.Error(codes.PermissionDenied, "pipeline:default/spout is not authorized to perform this operation")
	}
}

func (w *world) breakSource(failures int) {
	w.stream.mu.Lock()
	defer w.stream.mu.Unlock()
	w.stream.failures = failures
	close(w.stream.grown)
	w.stream.grown = make(chan struct{})
}

// TestOutages: no outage ends a runner, and once one is over, all is in
// within two minutes, without anybody's help.
func TestOutages(t *testing.T) {
	t.Parallel()
	for name, outage := range outages {
		for _, length := range []time.Duration{2 * time.Minute, 6 * time.Hour} {
			for version := range 2 {
				synctest.Test(t, func(t *testing.T) {
					in := outage.in
					if in == nil {
						in = newWorld
					}
					w := in(replay([]int{version}), false)
					w.startWriter()
					w.stream.produce(0, 30)
					w.until(time.Now().Add(time.Minute), nil)
					w.stream.produce(1, 30) // a batch is under way when it begins
					for range 9 {
						w.step(false)
					}
					if outage.begin != nil {
						outage.begin(w)
					}
					began := time.Now()
					w.until(began.Add(length/2), func(e *event) error { return w.suffer(outage.call, e) })
					if outage.in == nil { // what cannot be reached takes no records either
						w.stream.produce(2, 30)
					}
					w.until(began.Add(length), func(e *event) error { return w.suffer(outage.call, e) })
					if outage.end != nil {
						outage.end(w)
					}
					w.until(time.Now().Add(2*time.Minute), nil)
					if !w.done() {
						w.problem("not all is in two minutes after it")
					}
					w.say("its end")
					if problems := w.finish(); len(problems) > 0 || len(w.writers) != 1 {
						t.Errorf("%s for %s: %v", name, length, problems)
					}
				})
			}
		}
	}
}

func (w *world) suffer(call func(*world, *event) error, e *event) error {
	if call == nil {
		return nil
	}
	return call(w, e)
}

// until lets things happen until a time, and decides about calls.
func (w *world) until(end time.Time, call func(*event) error) {
	left := map[*event]bool{}
	for time.Now().Before(end) && w.sound() {
		synctest.Wait()
		w.steps.Add(1)
		w.reap()
		if w.deliver() {
			continue
		}
		acted := false
		for _, e := range w.ready() {
			if left[e] {
				continue
			}
			acted = true
			var err error
			if call != nil {
				err = call(e)
			}
			switch {
			case err == nil:
				w.proceed(e, replyAtOnce)
			case errors.Is(err, errUnanswered):
				left[e] = e.is(sent)
			default:
				e.tell(err)
				e.forget()
			}
			break
		}
		if !acted {
			w.pass(time.Until(end))
		}
	}
}
