// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// journal is a side of which any position can be read again, in transactions
// of some records.
type journal struct {
	mu       sync.Mutex
	identity int
	whole    bool
	records  []entry
	first    int64 // offset of the first that is there
	lose     int
	lost     map[int64]bool
	at       int64 // the position's, beyond the records: it moves alone
	grown    chan struct{}
}

type entry struct {
	value string
	last  bool // of its transaction
}

func newJournal(whole bool) *journal {
	return &journal{whole: whole, grown: make(chan struct{}), lost: map[int64]bool{}}
}

func (*journal) Settings() settings.Settings {
	s := settings.Default()
	s.Source, s.File.Format = "fake", "jsonl"
	return s
}

func (j *journal) New(settings.Settings, source.Options) (source.Source, error) {
	return &Source{journal: j}, nil
}

func (j *journal) Produce(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range n {
		offset := int64(len(j.records))
		j.records = append(j.records, entry{fmt.Sprintf(`{"n":%d}`, offset), !j.whole || offset%30 == 29 || i == n-1})
		if j.lose > 0 {
			j.lose--
			j.lost[offset] = true
			j.first = offset + 1
		}
	}
	j.wake()
}

func (j *journal) wake() {
	close(j.grown)
	j.grown = make(chan struct{})
}

func (j *journal) Values() (values []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, e := range j.records {
		if !j.lost[int64(i)] {
			values = append(values, e.value)
		}
	}
	return values
}

func (j *journal) Reset() { j.mu.Lock(); defer j.mu.Unlock(); j.identity++ }
func (j *journal) Lose(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lose = n
}

func (j *journal) Move() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.at++
	j.wake()
}

// Torn implements conformance.Whole.
func (j *journal) Torn(values []string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(values) == 0 {
		return ""
	}
	for i, e := range j.records {
		if e.value == values[len(values)-1] && !e.last {
			return fmt.Sprintf("it ends with record %d, in the middle of a transaction", i)
		}
	}
	return ""
}

var journalStream = source.Stream{Name: "journal"}

// Records, Ends, Starts and Offsets implement audit.Truth.
func (j *journal) Records(_ source.Stream, from, to int64) (out []audit.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for offset := from; offset < to; offset++ {
		if !j.lost[offset] {
			out = append(out, audit.Entry{Stream: journalStream, Offset: offset, Value: j.records[offset].value})
		}
	}
	return out
}

func (j *journal) Ends() map[source.Stream]int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return map[source.Stream]int64{journalStream: int64(len(j.records))}
}

func (*journal) Starts() map[source.Stream]int64 { return map[source.Stream]int64{} }

func (*journal) Offsets(raw json.RawMessage) (map[source.Stream]int64, error) {
	var p journalPosition
	err := json.Unmarshal(raw, &p)
	return map[source.Stream]int64{journalStream: p.Next}, err
}

type journalPosition struct {
	Identity int   `json:"identity"`
	Next     int64 `json:"next"`
	At       int64 `json:"at"`
}

// Source reads a journal. It is called as sources are, so that its goroutines
// are found.
type Source struct {
	*journal
	position journalPosition // consumed
	read     journalPosition // given out
	stop     context.CancelFunc
	done     chan struct{}
}

func (s *Source) Traits() source.Traits {
	return source.Traits{Kind: source.Replay, Boundaries: s.whole, Idle: 30 * time.Millisecond}
}

func (s *Source) Open(_ context.Context, raw json.RawMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.position.Identity = s.identity
	if raw != nil {
		if err := json.Unmarshal(raw, &s.position); err != nil {
			return &source.Stop{Err: err}
		}
	}
	if s.position.Identity != s.identity {
		return &source.Stop{Err: fmt.Errorf("this is journal %d, and what was read is %d", s.identity, s.position.Identity)}
	}
	s.read = s.position
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.done = stop, make(chan struct{})
	go s.beat(ctx)
	return nil
}

// beat stands for what sources do beside reading.
func (s *Source) beat(ctx context.Context) {
	defer close(s.done)
	<-ctx.Done()
}

func (s *Source) Next(ctx context.Context) (*source.Chunk, error) {
	return awaitChunk(ctx, func() (*source.Chunk, <-chan struct{}) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.cut(), s.grown
	})
}

// awaitChunk waits for what cut returns: a chunk, or what is closed when there
// may be one.
func awaitChunk(ctx context.Context, cut func() (*source.Chunk, <-chan struct{})) (*source.Chunk, error) {
	for {
		chunk, grown := cut()
		if chunk != nil {
			return chunk, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-grown:
		}
	}
}

// cut returns up to five records, of one transaction, and what is beside them.
func (s *Source) cut() *source.Chunk {
	chunk := source.NewChunk(journalStream, nil)
	if s.read.Next < s.first {
		chunk.Gap = &source.Gap{From: s.read.Next, To: s.first, Reason: "lost"}
		s.read.Next = s.first
	}
	for len(chunk.Records) < 5 && s.read.Next < int64(len(s.records)) {
		e := s.records[s.read.Next]
		chunk.Records = append(chunk.Records, source.Record{Offset: s.read.Next, Value: []byte(e.value)})
		s.read.Next++
		if s.whole && e.last {
			chunk.Boundary = true
			break
		}
	}
	if len(chunk.Records) == 0 && s.read.At == s.at && chunk.Gap == nil {
		return nil
	}
	if len(chunk.Records) == 0 {
		s.read.At, chunk.Boundary = s.at, true
	}
	chunk.Next, chunk.Origin = s.read.Next, s.read
	return chunk
}

func (s *Source) Consume(chunk *source.Chunk, n int) {
	if n == len(chunk.Records) {
		s.position = chunk.Origin.(journalPosition)
		return
	}
	s.position.Next = chunk.Records[n].Offset
}

func (s *Source) Position() json.RawMessage {
	raw, err := json.Marshal(s.position)
	if err != nil {
		panic(err)
	}
	return raw
}

func (*Source) Acknowledge(context.Context, json.RawMessage) {}

func (s *Source) Close() error {
	if s.stop != nil {
		s.stop()
		<-s.done
	}
	return nil
}
