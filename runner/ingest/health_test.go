// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutlog"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

func TestHealthTellsOfLongWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h health
		h.enter(phaseIngesting)
		done := h.waiting("commit %s to be FINISHED", "c1")
		time.Sleep(patience - time.Second)
		second := h.waiting("something else")
		if got := h.judge(nil); !got.Ready {
			t.Error("not ready after a short wait:", got)
		}
		if _, ok := h.untold(); ok {
			t.Error("a short wait is told")
		}
		time.Sleep(time.Second)
		got := h.judge(nil)
		if want := []string{"waiting for commit c1 to be FINISHED, for 15s"}; got.Ready || got.Status != "ingesting" || !slices.Equal(got.Problems, want) {
			t.Error(got)
		}
		if w, ok := h.untold(); !ok || w.what != "commit c1 to be FINISHED" {
			t.Error(w, ok)
		}
		time.Sleep(patience - time.Second)
		if _, ok := h.untold(); ok {
			t.Error("told again too soon")
		}
		time.Sleep(time.Second)
		if _, ok := h.untold(); !ok {
			t.Error("not told again")
		}
		done()
		second()
		if got := h.judge(nil); !got.Ready || h.waitingFor() != 0 {
			t.Error(got)
		}
	})
}

func TestHealthTellsOfTheSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h health
		if got := h.judge(nil); got.Ready || got.Status != "starting" {
			t.Error(got)
		}
		h.enter(phaseOpening)
		trouble := []source.Trouble{{Text: "no broker can be reached", Since: time.Now()}}
		if got := h.judge(trouble); got.Ready || !slices.Equal(got.Problems, []string{"no broker can be reached, for 0s"}) {
			t.Error(got)
		}
		h.enter(phaseIngesting)
		if got := h.judge(trouble); !got.Ready {
			t.Error("not ready after a short outage:", got)
		}
		time.Sleep(time.Minute)
		if got := h.judge(trouble); got.Ready || !slices.Equal(got.Problems, []string{"no broker can be reached, for 1m0s"}) {
			t.Error(got)
		}
	})
}

// TestHealthRemembersErrors: a runner that fails and begins again, over and
// over, is never ready in between.
func TestHealthRemembersErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h health
		h.enter(phaseIngesting)
		h.fail(phaseRestarting, errors.New("disk full"))
		for _, phase := range []string{phaseRestarting, phaseRecovering, phaseOpening, phaseIngesting} {
			h.enter(phase)
			if got := h.judge(nil); got.Ready || got.Status != phase || !slices.Equal(got.Problems, []string{"disk full"}) {
				t.Error(phase, got)
			}
		}
		h.overcome()
		if got := h.judge(nil); !got.Ready {
			t.Error("not ready after a commit:", got)
		}
		h.fail(phaseRestarting, errors.New("disk full"))
		h.overcome() // a commit of the session that has ended
		h.enter(phaseIngesting)
		if got := h.judge(nil); got.Ready {
			t.Error("ready right after an error")
		}
		time.Sleep(patience)
		if got := h.judge(nil); !got.Ready {
			t.Error("not ready although it works, with nothing to read:", got)
		}
		h.fail(phaseStopped, errors.New("the topic was deleted"))
		if got := h.judge(nil); got.Ready || got.Status != "stopped" || !slices.Equal(got.Problems, []string{"the topic was deleted"}) {
			t.Error(got)
		}
	})
}

// stuck is a source with one chunk, which takes until release to be consumed.
type stuck struct {
	source.Source
	chunks  chan *source.Chunk
	release chan struct{}
}

func (s stuck) Next(ctx context.Context) (*source.Chunk, error) {
	select {
	case chunk := <-s.chunks:
		return chunk, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s stuck) Consume(*source.Chunk, int) { <-s.release }

// TestHungLoop: a loop that stands still is told from one that has nothing to
// do, and from one that waits for Pachyderm.
func TestHungLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		encoder, err := encode.NewEncoder(settings.Default())
		if err != nil {
			t.Fatal(err)
		}
		var h health
		src := stuck{chunks: make(chan *source.Chunk), release: make(chan struct{})}
		b := &batcher{source: src, encoder: encoder, metrics: NewMetrics(), health: &h, ends: ends{limits: settings.Batch{MaxBytes: 1 << 30, MaxAge: settings.Duration(24 * time.Hour)}}, share: 1 << 30}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.run(ctx) }()
		is := func(when string, hung bool) {
			t.Helper()
			synctest.Wait()
			if got := h.hung(time.Now()); (got != "") != hung {
				t.Errorf("%s: %q", when, got)
			}
		}

		time.Sleep(time.Hour)
		is("nothing to do", false)
		chunk := source.NewChunk(source.Stream{Name: "t"}, func() {})
		chunk.Records = []source.Record{{}}
		src.chunks <- chunk
		is("at work", false)
		waited := h.waiting("Pachyderm")
		time.Sleep(time.Hour)
		is("waiting", false)
		made := h.makes()
		time.Sleep(hungAfter - time.Second)
		is("at work on the answer", false)
		time.Sleep(time.Second)
		is("standing still on the answer", true)
		made()
		is("waiting again", false)
		waited()
		is("having waited", false)
		time.Sleep(hungAfter)
		is("standing still", true)
		close(src.release)
		is("at work again", false)
		time.Sleep(time.Hour)
		is("nothing to do again", false)
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestReadinessIsTold: whether the runner is ready is in its log, and what it
// waits for is repeated while that lasts.
func TestReadinessIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &strings.Builder{}
		log := hclog.New(&hclog.LoggerOptions{Output: out, JSONFormat: true})
		var told readiness
		expect := func(what string, h Health, want string) {
			t.Helper()
			told.tell(log, h)
			switch got := out.String(); {
			case want == "" && got != "", !strings.Contains(got, want):
				t.Errorf("%s: the log has %q, want %q", what, got, want)
			case want != "":
				report := spoutlog.Read([]spoutlog.Line{{Text: got, User: true}})
				if report.Ready != h.Ready || len(h.Problems) > 0 && report.Problem != h.Problems[0] {
					t.Errorf("%s: %+v is read from it", what, report)
				}
			}
			out.Reset()
		}
		expect("at first", Health{Status: phaseRecovering}, "")
		time.Sleep(sampleEvery)
		expect("soon after", Health{Status: phaseRecovering}, "")
		time.Sleep(patience)
		expect("it takes long", Health{Status: phaseRecovering}, phaseRecovering)
		expect("at once again", Health{Status: phaseRecovering}, "")
		time.Sleep(patience)
		expect("there is a reason", Health{Status: phaseOpening, Problems: []string{"no broker"}}, "no broker")
		time.Sleep(sampleEvery)
		expect("it lasts", Health{Status: phaseOpening, Problems: []string{"no broker"}}, "")
		time.Sleep(patience)
		expect("it still lasts", Health{Status: phaseOpening, Problems: []string{"no broker"}}, "no broker")
		expect("it is over", Health{Ready: true, Status: phaseIngesting}, spoutlog.Ready)
		expect("nothing is new", Health{Ready: true, Status: phaseIngesting}, "")
		expect("a problem", Health{Status: phaseIngesting, Problems: []string{"no leader"}}, "no leader")
	})
}
