// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// scripted is a source that yields chunks after pauses.
type scripted struct {
	source.Source
	steps []step
	next  int64
}

type step struct {
	pause   time.Duration
	records int
	skipped int // offsets without a record

	inside      bool // the end of the chunk is no boundary
	full        bool
	redelivered int64
	within      time.Duration // the deadline
	schema      *source.RowSchema
	gap         *source.Gap
}

func (s *scripted) Next(ctx context.Context) (*source.Chunk, error) {
	if len(s.steps) == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	timer := time.NewTimer(s.steps[0].pause)
	defer timer.Stop()
	began := time.Now()
	select {
	case <-ctx.Done():
		s.steps[0].pause -= time.Since(began)
		return nil, ctx.Err()
	case <-timer.C:
	}
	chunk := source.NewChunk(source.Stream{Name: "t"}, nil)
	for i := range s.steps[0].records {
		chunk.Records = append(chunk.Records, source.Record{Offset: s.next + int64(i), Value: []byte("123456789")})
	}
	one := s.steps[0]
	chunk.Next = s.next + int64(one.records+one.skipped)
	chunk.Boundary, chunk.Full, chunk.Redelivered, chunk.Schema = !one.inside, one.full, one.redelivered, one.schema
	chunk.Gap = one.gap
	if one.within != 0 {
		chunk.Deadline = time.Now().Add(one.within)
	}
	s.steps = s.steps[1:]
	return chunk, nil
}

func (s *scripted) Consume(chunk *source.Chunk, n int) {
	s.next = chunk.Next
	if n < len(chunk.Records) {
		s.next = chunk.Records[n].Offset
	}
}

func (s *scripted) Position() json.RawMessage {
	b, err := json.Marshal(s.next)
	if err != nil {
		panic(err)
	}
	return b
}

// TestBatchLimits: when batches end, why, and where the position is then.
func TestBatchLimits(t *testing.T) {
	t.Parallel()
	type batch struct {
		at       time.Duration
		reason   spoutcommit.Reason
		records  int64
		position string
	}
	for _, test := range []struct {
		name   string
		limits settings.Batch
		traits source.Traits
		steps  []step
		want   []batch
	}{
		{"age since the first record, not since the last batch", settings.Batch{MaxBytes: 1 << 20, MaxAge: settings.Duration(10 * time.Second)}, source.Traits{},
			[]step{{pause: time.Minute, records: 1, skipped: 0}, {pause: 9 * time.Second, records: 1, skipped: 0}, {pause: 20 * time.Second, records: 1, skipped: 0}},
			[]batch{{70 * time.Second, spoutcommit.ReasonAge, 2, "2"}, {99 * time.Second, spoutcommit.ReasonAge, 1, "3"}}},
		{"age under steady load", settings.Batch{MaxBytes: 1 << 20, MaxAge: settings.Duration(time.Second)}, source.Traits{},
			[]step{{pause: 0, records: 1, skipped: 0}, {pause: 400 * time.Millisecond, records: 1, skipped: 0}, {pause: 400 * time.Millisecond, records: 1, skipped: 0}, {pause: 400 * time.Millisecond, records: 1, skipped: 0}},
			[]batch{{time.Second, spoutcommit.ReasonAge, 3, "3"}, {2200 * time.Millisecond, spoutcommit.ReasonAge, 1, "4"}}},
		{"records, in the middle of a chunk", settings.Batch{MaxBytes: 1 << 20, MaxRecords: 4, MaxAge: settings.Duration(time.Hour)}, source.Traits{},
			[]step{{pause: 0, records: 10, skipped: 0}},
			[]batch{{0, spoutcommit.ReasonRecords, 4, "4"}, {0, spoutcommit.ReasonRecords, 4, "8"}, {time.Hour, spoutcommit.ReasonAge, 2, "10"}}},
		{"bytes, in the middle of a chunk", settings.Batch{MaxBytes: 25, MaxAge: settings.Duration(time.Hour)}, source.Traits{},
			[]step{{pause: 0, records: 7, skipped: 0}},
			[]batch{{0, spoutcommit.ReasonBytes, 3, "3"}, {0, spoutcommit.ReasonBytes, 3, "6"}, {time.Hour, spoutcommit.ReasonAge, 1, "7"}}},
		{"what was left out belongs to the batch before it", settings.Batch{MaxBytes: 1 << 20, MaxRecords: 2, MaxAge: settings.Duration(time.Hour)}, source.Traits{},
			[]step{{pause: 0, records: 2, skipped: 5}}, []batch{{0, spoutcommit.ReasonRecords, 2, "7"}}},
		{"a position that moves without records", settings.Batch{MaxBytes: 1 << 20, MaxAge: settings.Duration(time.Second)}, source.Traits{},
			[]step{{pause: 0, records: 0, skipped: 100}, {pause: time.Minute, records: 0, skipped: 100}, {pause: time.Hour, records: 1, skipped: 0}},
			[]batch{{movedAge, spoutcommit.ReasonIdle, 0, "200"}, {time.Hour + time.Minute + time.Second, spoutcommit.ReasonAge, 1, "201"}}},
		{"no commit inside a transaction, whatever its size", settings.Batch{MaxBytes: 25, MaxRecords: 2, MaxAge: settings.Duration(time.Second)}, source.Traits{Boundaries: true},
			[]step{{records: 5, inside: true}, {pause: time.Minute, records: 5, inside: true}, {records: 1}, {records: 1}, {pause: time.Hour, records: 3}},
			[]batch{{time.Minute, spoutcommit.ReasonBytes, 11, "11"}, {time.Minute + time.Second, spoutcommit.ReasonAge, 1, "12"}, {time.Hour + time.Minute, spoutcommit.ReasonBytes, 3, "15"}}},
		{"an idle position waits for the end of a transaction", settings.Batch{MaxBytes: 1 << 20, MaxAge: settings.Duration(time.Second)}, source.Traits{Boundaries: true, Idle: time.Minute},
			[]step{{skipped: 5, inside: true}, {pause: time.Hour, skipped: 1}}, []batch{{time.Hour, spoutcommit.ReasonIdle, 0, "6"}}},
		{"a source that gives no more", settings.Batch{MaxBytes: 1 << 20, MaxAge: settings.Duration(time.Hour)}, source.Traits{Window: 3},
			[]step{{records: 3, full: true}, {records: 2}, {records: 1, full: true}, {skipped: 1, full: true}},
			[]batch{{0, spoutcommit.ReasonWindow, 3, "3"}, {0, spoutcommit.ReasonWindow, 3, "6"}, {0, spoutcommit.ReasonIdle, 0, "7"}}},
		{"a source that gives no more, cut in two", settings.Batch{MaxBytes: 1 << 20, MaxRecords: 2, MaxAge: settings.Duration(time.Hour)}, source.Traits{},
			[]step{{records: 3, full: true}, {records: 1}},
			[]batch{{0, spoutcommit.ReasonRecords, 2, "2"}, {0, spoutcommit.ReasonWindow, 1, "3"}, {time.Hour, spoutcommit.ReasonAge, 1, "4"}}},
		{"half of a deadline, the nearest of several", settings.Batch{MaxBytes: 1 << 20, MaxAge: settings.Duration(time.Hour)}, source.Traits{},
			[]step{{records: 1, within: time.Minute}, {pause: time.Second, records: 1, within: 10 * time.Second}, {records: 1, within: time.Hour}, {pause: time.Minute, records: 1, within: -time.Second}},
			[]batch{{6 * time.Second, spoutcommit.ReasonDeadline, 3, "3"}, {time.Minute + time.Second, spoutcommit.ReasonDeadline, 1, "4"}}},
		{"many gaps", settings.Batch{MaxBytes: 1 << 20, MaxAge: settings.Duration(time.Hour)}, source.Traits{},
			manyGaps(maxGaps+1, 2), []batch{{0, spoutcommit.ReasonGaps, 0, fmt.Sprint(2 * maxGaps)}, {time.Hour, spoutcommit.ReasonAge, 0, fmt.Sprint(2*maxGaps + 2)}}},
		{"many gaps, with records", settings.Batch{MaxBytes: 1 << 20, MaxAge: settings.Duration(time.Hour)}, source.Traits{},
			withRecords(manyGaps(maxGaps+1, 2)), []batch{{0, spoutcommit.ReasonGaps, maxGaps, fmt.Sprint(3 * maxGaps)}, {time.Hour, spoutcommit.ReasonAge, 1, fmt.Sprint(3*maxGaps + 3)}}},
		{"gaps that are one", settings.Batch{MaxBytes: 1 << 20, MaxAge: settings.Duration(time.Hour)}, source.Traits{},
			manyGaps(2*maxGaps, 1), []batch{{time.Hour, spoutcommit.ReasonAge, 0, fmt.Sprint(2 * maxGaps)}}},
		{"what came again moves the position alone", settings.Batch{MaxBytes: 1 << 20, MaxAge: settings.Duration(time.Second)}, source.Traits{Idle: 2 * time.Second},
			[]step{{skipped: 2, redelivered: 2}}, []batch{{2 * time.Second, spoutcommit.ReasonIdle, 0, "2"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				encoder, err := encode.NewEncoder(settings.Default())
				if err != nil {
					t.Fatal(err)
				}
				out := make(chan *segment)
				b := &batcher{source: &scripted{steps: test.steps}, encoder: encoder, ends: ends{limits: test.limits, traits: test.traits}, layout: settings.Default().Layout(), share: 1 << 20, out: out, metrics: NewMetrics(), health: &health{}}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				began := time.Now()
				go func() { done <- b.run(ctx) }()
				for _, want := range test.want {
					s := <-out
					got := batch{time.Since(began), s.end.reason, s.end.counts.written, string(s.end.position)}
					if got != want {
						t.Errorf("got %+v, want %+v", got, want)
					}
				}
				cancel()
				if err := <-done; err == nil {
					t.Error("run returned nil")
				}
			})
		})
	}
}

// manyGaps are so many chunks with a gap each, every one an offset wide.
func manyGaps(n int, apart int64) (steps []step) {
	for i := range int64(n) {
		steps = append(steps, step{skipped: int(apart), gap: &source.Gap{From: i * apart, To: i*apart + 1, Reason: "lost"}})
	}
	return steps
}

// withRecords are steps with a record each.
func withRecords(steps []step) []step {
	for i := range steps {
		steps[i].records = 1
	}
	return steps
}

// TestGaps: those next to each other are one, whatever comes between them in
// other streams, and their reasons are short.
func TestGaps(t *testing.T) {
	t.Parallel()
	var g gaps
	a, b := source.Stream{Name: "a"}, source.Stream{Name: "b"}
	for i := range int64(1000) {
		g.add(a, spoutcommit.StreamGap{From: i, To: i + 1, Reason: "lost"})
		g.add(b, spoutcommit.StreamGap{From: i, To: i + 1, Reason: "lost"})
	}
	g.add(a, spoutcommit.StreamGap{From: 1000, To: 1001, Reason: strings.Repeat("é", 1000)})
	g.add(a, spoutcommit.StreamGap{From: 1002, To: 1003, Reason: "lost"})
	if len(g.list) != 4 || g.list[0].To != 1000 || g.list[1].To != 1000 || len(g.list[2].Reason) > maxGapReason+3 || g.list[3].From != 1002 {
		t.Errorf("%+v", g.list)
	}
}
