// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"encoding/json"
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
	chunk.Next = s.next + int64(s.steps[0].records+s.steps[0].skipped)
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
		steps  []step
		want   []batch
	}{
		{"age since the first record, not since the last batch", settings.Batch{MaxBytes: 1 << 20, MaxAge: settings.Duration(10 * time.Second)},
			[]step{{time.Minute, 1, 0}, {9 * time.Second, 1, 0}, {20 * time.Second, 1, 0}},
			[]batch{{70 * time.Second, spoutcommit.ReasonAge, 2, "2"}, {99 * time.Second, spoutcommit.ReasonAge, 1, "3"}}},
		{"age under steady load", settings.Batch{MaxBytes: 1 << 20, MaxAge: settings.Duration(time.Second)},
			[]step{{0, 1, 0}, {400 * time.Millisecond, 1, 0}, {400 * time.Millisecond, 1, 0}, {400 * time.Millisecond, 1, 0}},
			[]batch{{time.Second, spoutcommit.ReasonAge, 3, "3"}, {2200 * time.Millisecond, spoutcommit.ReasonAge, 1, "4"}}},
		{"records, in the middle of a chunk", settings.Batch{MaxBytes: 1 << 20, MaxRecords: 4, MaxAge: settings.Duration(time.Hour)},
			[]step{{0, 10, 0}},
			[]batch{{0, spoutcommit.ReasonRecords, 4, "4"}, {0, spoutcommit.ReasonRecords, 4, "8"}, {time.Hour, spoutcommit.ReasonAge, 2, "10"}}},
		{"bytes, in the middle of a chunk", settings.Batch{MaxBytes: 25, MaxAge: settings.Duration(time.Hour)},
			[]step{{0, 7, 0}},
			[]batch{{0, spoutcommit.ReasonBytes, 3, "3"}, {0, spoutcommit.ReasonBytes, 3, "6"}, {time.Hour, spoutcommit.ReasonAge, 1, "7"}}},
		{"what was left out belongs to the batch before it", settings.Batch{MaxBytes: 1 << 20, MaxRecords: 2, MaxAge: settings.Duration(time.Hour)},
			[]step{{0, 2, 5}}, []batch{{0, spoutcommit.ReasonRecords, 2, "7"}}},
		{"a position that moves without records", settings.Batch{MaxBytes: 1 << 20, MaxAge: settings.Duration(time.Second)},
			[]step{{0, 0, 100}, {time.Minute, 0, 100}, {time.Hour, 1, 0}},
			[]batch{{movedAge, spoutcommit.ReasonAge, 0, "200"}, {time.Hour + time.Minute + time.Second, spoutcommit.ReasonAge, 1, "201"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				encoder, err := encode.NewEncoder(settings.Default())
				if err != nil {
					t.Fatal(err)
				}
				out := make(chan *segment)
				b := &batcher{source: &scripted{steps: test.steps}, encoder: encoder, limits: test.limits, share: 1 << 20, out: out, metrics: NewMetrics(), health: &health{}}
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
