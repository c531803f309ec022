// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// point is a place in the protocol at which a runner dies: before or after a
// call of Pachyderm's or of the source.
type point struct {
	name   string
	method string // of Pachyderm, "" for one of the source
	call   string
	after  bool
}

// points are between each pair of read, upload, finish, FINISHED and acknowledge.
var points = []point{
	{name: "before a read", call: "next"},
	{name: "after a read", call: "next", after: true},
	{name: "before an upload", method: "CreateFileSet"},
	{name: "after an upload", method: "CreateFileSet", after: true},
	{name: "after a commit was started", method: "StartCommit", after: true},
	{name: "after a commit was filled", method: "AddFileSet", after: true},
	{name: "before a commit is finished", method: "FinishCommit"},
	{name: "after a commit was finished", method: "FinishCommit", after: true},
	{name: "before an acknowledgement", call: "acknowledge"},
	{name: "after an acknowledgement", call: "acknowledge", after: true},
}

func (s *spout) testPlain() {
	s.side.Produce(50)
	r := s.run()
	s.awaitAll(r)
	s.side.Produce(50)
	s.awaitAll(r)
	r.kill() //nolint:errcheck // it was told to
	s.verify()
}

// testCrash has two runners die at a point, and a third do the rest.
func (s *spout) testCrash(p point) {
	s.side.Produce(30)
	for nth := 2; nth <= 3; nth++ {
		reached, goOn := s.arm(p, nth-1)
		r := s.run()
		s.side.Produce(25)
		select {
		case <-reached:
		case err := <-r.ended:
			s.Fatalf("the loop has ended: %v", err)
		case <-time.After(patience):
			s.Fatal("the loop did not get there")
		}
		r.stop()
		goOn()
		r.kill() //nolint:errcheck // it was told to
	}
	s.side.Produce(5)
	r := s.run()
	s.awaitAll(r)
	r.kill() //nolint:errcheck // it was told to
	s.verify()
}

// arm has the nth call at a point stopped until goOn is called.
func (s *spout) arm(p point, nth int) (reached <-chan struct{}, goOn func()) {
	if p.method == "" {
		s.hook.arm(p.call, p.after, nth)
		return s.hook.reached, func() { close(s.hook.goOn) }
	}
	stall := make(chan struct{})
	f := pachtest.Fault{Method: p.method, Side: pachtest.Sidecar, Nth: nth, Stall: stall}
	if p.after {
		f.Stall, f.StallReply = nil, stall
	}
	injected := s.server.Inject(f)
	return injected.Reached(), func() { close(stall) }
}

// testSlow reads under a storage that is slower than the source.
func (s *spout) testSlow() {
	s.server.Inject(pachtest.Fault{Method: "FinishCommit", Count: -1, Delay: 60 * time.Millisecond})
	r := s.run()
	for range 5 {
		s.side.Produce(30)
	}
	s.awaitAll(r)
	r.kill() //nolint:errcheck // it was told to
	s.verify()
}

// testFailing reads under a storage that fails now and then, in all ways.
func (s *spout) testFailing() {
	for i, method := range []string{"CreateFileSet", "StartCommit", "AddFileSet", "FinishCommit"} {
		s.server.Inject(pachtest.Fault{Method: method, Side: pachtest.Sidecar, Nth: 2 + 2*i, Before: status.Error(codes.Unavailable, "away")})
		s.server.Inject(pachtest.Fault{Method: method, Side: pachtest.Sidecar, Nth: 10 + 2*i, LoseReply: true})
	}
	r := s.run()
	for range 16 { // with a commit in between the loop begins again at once
		s.side.Produce(10)
		s.awaitAll(r)
	}
	r.kill() //nolint:errcheck // it was told to
	s.verify()
}

// testCancelled ends contexts in the middle of calls.
func (s *spout) testCancelled() {
	src := s.open()
	if err := src.Open(s.Context(), nil); err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.Context(), short)
	defer cancel()
	for {
		chunk, err := src.Next(ctx)
		if err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				s.Errorf("Next ends with its context, and says %v", err)
			}
			break
		}
		src.Consume(chunk, len(chunk.Records))
		chunk.Release()
	}
	// That a context ended is no end of the source.
	s.side.Produce(1)
	ctx, cancel = context.WithTimeout(s.Context(), patience)
	defer cancel()
	for {
		chunk, err := src.Next(ctx)
		if err != nil {
			s.Fatalf("Next after one whose context has ended: %v", err)
		}
		n := len(chunk.Records)
		chunk.Release()
		if n > 0 {
			break
		}
	}
	for range 2 {
		if err := src.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
	}
	ended, cancel := context.WithCancel(s.Context())
	cancel()
	other := s.open()
	err := other.Open(ended, nil)
	for n := 0; err == nil; n++ {
		var chunk *source.Chunk
		if chunk, err = other.Next(ended); err == nil { // it may have come before it is seen that the context has ended
			other.Consume(chunk, len(chunk.Records))
			chunk.Release()
		}
		if n > 1000 {
			s.Error("neither Open nor Next ends with its context")
			break
		}
	}
	if err := other.Close(); err != nil {
		s.Errorf("Close: %v", err)
	}
}

// testResume opens a source at each position that a branch ever had: what it
// gives is the rest.
func (s *spout) testResume() {
	s.settings.Batch.MaxRecords = 7
	if keeper, ok := s.side.(Keeper); ok {
		keeper.Keep()
	}
	s.side.Produce(60)
	r := s.run()
	s.awaitAll(r)
	r.kill() //nolint:errcheck // it was told to
	list, _ := s.finished()
	rest := int64(0)
	for _, d := range slices.Backward(list) {
		if got := s.readAll(d, rest); got != rest {
			s.Errorf("from %s on there are %d records, should be %d", d.Position, got, rest)
		}
		rest += d.Written
	}
}

// readAll counts the records from a position on, up to as many as there should
// be and what comes within a moment after.
func (s *spout) readAll(from spoutcommit.Description, want int64) (got int64) {
	src := s.open()
	defer src.Close() //nolint:errcheck // only read
	if err := src.Open(s.Context(), from.Position); err != nil {
		s.Fatal(err)
	}
	for {
		within := patience
		if got >= want {
			within = short
		}
		ctx, cancel := context.WithTimeout(s.Context(), within)
		chunk, err := src.Next(ctx)
		cancel()
		if err != nil {
			return got
		}
		got += int64(len(chunk.Records))
		src.Consume(chunk, len(chunk.Records))
		chunk.Release()
	}
}

// testWindow has a source give no more before the batch's own limits are reached.
func (s *spout) testWindow() {
	s.settings.Batch = settings.Batch{MaxBytes: s.settings.Batch.MaxBytes, MaxFiles: s.settings.Batch.MaxFiles, MaxAge: settings.Duration(time.Hour)}
	s.side.Produce(3 * s.traits.Window)
	r := s.run()
	s.awaitAll(r)
	s.awaitReason(r, spoutcommit.ReasonWindow)
	r.kill() //nolint:errcheck // it was told to
	s.verify()
}

// testDeadline has the source wait for an acknowledgement, and nothing else
// end the batch.
func (s *spout) testDeadline() {
	s.settings.Batch = settings.Batch{MaxBytes: s.settings.Batch.MaxBytes, MaxFiles: s.settings.Batch.MaxFiles, MaxAge: settings.Duration(time.Hour)}
	s.side.Produce(1)
	r := s.run()
	s.awaitAll(r)
	s.awaitReason(r, spoutcommit.ReasonDeadline)
	r.kill() //nolint:errcheck // it was told to
	s.verify()
}

func (s *spout) awaitReason(r *runner, reason spoutcommit.Reason) {
	s.Helper()
	s.await(r, "a commit for "+string(reason), func(list []spoutcommit.Description) bool {
		return slices.ContainsFunc(list, func(d spoutcommit.Description) bool { return d.Reason == reason })
	})
}

// testReset has a source find another one in its place: it stops.
func (s *spout) testReset() {
	s.side.Produce(20)
	r := s.run()
	s.awaitAll(r)
	r.kill() //nolint:errcheck // it was told to
	before := s.position()
	s.side.(Resetter).Reset()
	r = s.run()
	select {
	case err := <-r.ended:
		if !source.IsStop(err) {
			s.Errorf("it has ended for %v", err)
		}
	case <-time.After(patience):
		s.Error("it has not stopped")
	}
	if after := s.position(); string(after) != string(before) {
		s.Errorf("the position was %s, and is %s", before, after)
	}
}

// testGap has records be gone before they are read.
func (s *spout) testGap() {
	s.side.Produce(20)
	r := s.run()
	s.awaitAll(r)
	r.kill() //nolint:errcheck // it was told to
	s.side.(Loser).Lose(10)
	s.side.Produce(20)
	r = s.run()
	s.awaitAll(r)
	s.await(r, "told of a gap", func(list []spoutcommit.Description) bool {
		return slices.ContainsFunc(list, func(d spoutcommit.Description) bool { return len(d.Gaps) > 0 })
	})
	r.kill() //nolint:errcheck // it was told to
	s.verify()
}

// testIdle has the position move alone.
func (s *spout) testIdle() {
	s.side.Produce(5)
	r := s.run()
	s.awaitAll(r)
	s.side.(Mover).Move()
	s.awaitReason(r, spoutcommit.ReasonIdle)
	s.side.Produce(5)
	s.awaitAll(r)
	r.kill() //nolint:errcheck // it was told to
	s.verify()
}
