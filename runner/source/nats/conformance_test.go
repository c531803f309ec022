// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/conformance"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// streamSide is a stream of a server in this process.
type streamSide struct {
	*audit.Produced
	*lab
	retention string

	mu     sync.Mutex
	values []string
	lose   int
}

func newStreamSide(t testing.TB, retention string) *streamSide {
	return &streamSide{lab: newLab(t, streamOf(retention)), retention: retention, Produced: audit.NewProduced(audit.OffsetsOf("nats"))}
}

func streamOf(retention string) jetstream.StreamConfig {
	policies := map[string]jetstream.RetentionPolicy{settings.NATSLimits: jetstream.LimitsPolicy, settings.NATSWorkQueue: jetstream.WorkQueuePolicy, settings.NATSInterest: jetstream.InterestPolicy}
	return jetstream.StreamConfig{Retention: policies[retention], Storage: jetstream.MemoryStorage}
}

func (s *streamSide) Settings() settings.Settings {
	all := settings.Default()
	all.Source, all.File.Format = "nats", "jsonl"
	all.NATS = s.config()
	all.NATS.OnGap = "skip"
	if s.retention != settings.NATSLimits {
		all.NATS = s.queue(s.retention)
		all.NATS.MaxAckPending = 24
	}
	return all
}

func (*streamSide) New(s settings.Settings, o source.Options) (source.Source, error) {
	made := New(s.NATS, o.Memory, o.Log)
	made.perChunk = 7 // so that runners can die between any two
	return made, nil
}

func (s *streamSide) Produce(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := uint64(0)
	for range n {
		value := fmt.Sprintf(`{"n":%d}`, s.made)
		s.made++
		ack, err := s.js.Publish(s.t.Context(), "orders.eu", []byte(value))
		if err != nil {
			s.t.Error(err)
			return
		}
		if s.lose > 0 {
			s.lose--
			gone = ack.Sequence
			continue
		}
		s.values = append(s.values, value)
		s.Add(source.Stream{Name: testStream}, int64(ack.Sequence), value)
	}
	if gone > 0 {
		if err := s.stream().Purge(s.t.Context(), jetstream.WithPurgeSequence(gone+1)); err != nil {
			s.t.Error(err)
		}
	}
}

func (s *streamSide) Values() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.values)
}

// Reset implements conformance.Resetter.
func (s *streamSide) Reset() {
	if err := s.js.DeleteStream(s.t.Context(), testStream); err != nil {
		s.t.Fatal(err)
	}
	s.create(streamOf(s.retention))
}

// losing is a stream whose messages can be gone before they are read.
type losing struct{ *streamSide }

// Lose implements conformance.Loser.
func (s losing) Lose(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose = n
}

// The tests of conformance are not parallel: see there.

func TestConformance(t *testing.T) {
	conformance.Run(t, func(t testing.TB) conformance.Side { return losing{newStreamSide(t, settings.NATSLimits)} })
}

func TestConformanceOfWorkQueues(t *testing.T) {
	conformance.Run(t, func(t testing.TB) conformance.Side { return newStreamSide(t, settings.NATSWorkQueue) })
}

func TestConformanceOfInterest(t *testing.T) {
	conformance.Run(t, func(t testing.TB) conformance.Side {
		side := newStreamSide(t, settings.NATSInterest)
		// Messages that nobody is interested in are not kept: there is another
		// consumer, which never reads.
		if _, err := side.stream().CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "other", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
			t.Fatal(err)
		}
		return side
	})
}
