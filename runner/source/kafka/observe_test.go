// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// awaitObserved waits until an observation holds.
func awaitObserved(t *testing.T, s *Source, what string, holds func(source.Observation) bool) {
	t.Helper()
	ctx := testContext(t)
	for !holds(s.Observe()) {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("never: %s; observed %+v", what, s.Observe())
		}
	}
}

// TestLag: what counts is not what was read, but what is durable.
func TestLag(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 2)
	cl := client(t, c)
	written := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	records := numbered("t", 0, 0, 10)
	for i, r := range records {
		r.Timestamp = written.Add(time.Duration(i) * time.Minute) // the last is 51 minutes old
	}
	produce(t, cl, records...)
	s, _ := openAtStart(t, config(c, "t"))
	lag := func(o source.Observation) source.Lag { return o.Lags[0] }
	near := func(age, want time.Duration) bool { return age >= want && age < want+time.Minute }
	awaitObserved(t, s, "partition 1 has no lag, partition 0 has all", func(o source.Observation) bool {
		return len(o.Lags) == 2 && o.Lags[1] == source.Lag{Stream: o.Lags[1].Stream} && lag(o).Records == 10 && lag(o).Age < 0
	})
	read(t, s, 10)
	awaitObserved(t, s, "the oldest record tells the age", func(o source.Observation) bool {
		return lag(o).Records == 10 && near(lag(o).Age, time.Hour)
	})
	first := s.Position()
	produce(t, cl, numbered("t", 0, 10, 5)...)
	read(t, s, 5)
	second := s.Position()
	s.Acknowledge(t.Context(), first)
	awaitObserved(t, s, "five records are not durable", func(o source.Observation) bool {
		return lag(o).Records == 5 && near(lag(o).Age, 51*time.Minute)
	})
	s.Acknowledge(t.Context(), json.RawMessage(`{"topics":{}}`)) // of another source
	s.Acknowledge(t.Context(), second)
	awaitObserved(t, s, "all is durable", func(o source.Observation) bool { return lag(o).Records == 0 && lag(o).Age == 0 })
	// What comes after a pause is as old as the end of the pause, not as the last record before it.
	produce(t, cl, numbered("t", 0, 15, 1)...)
	awaitObserved(t, s, "a record after a pause", func(o source.Observation) bool { return lag(o).Records == 1 && lag(o).Age < time.Minute })
	if o := s.Observe(); o.Totals.Fetches == 0 || o.Totals.FetchedBytes == 0 || o.Unreadable != 0 || len(o.Troubles) != 0 {
		t.Errorf("%+v", o)
	}
}

// TestMarkersAreNoLag: no commit is made for the marker behind a transaction's
// records, and none is missing.
func TestMarkersAreNoLag(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 1)
	cl := client(t, c, kgo.TransactionalID("tx"))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, cl, numbered("t", 0, 0, 3)...)
	if err := cl.EndTransaction(testContext(t), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	s, _ := openAtStart(t, config(c, "t"))
	read(t, s, 3)
	s.Acknowledge(t.Context(), s.Position())
	for s.position.Topics["t"].Partitions[0].Next < 4 {
		next(t, s)
	}
	awaitObserved(t, s, "no lag", func(o source.Observation) bool { return o.Lags[0].Records == 0 })
}

func TestTroublesAreObserved(t *testing.T) {
	t.Parallel()
	c := startCluster(t, kfake.NumBrokers(2))
	createTopic(t, c, "t", 4)
	n := newNetwork()
	n.cut(true)
	s, _ := newTestSource(t, config(c, "t"), WithDial(n.dial))
	opened := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() { opened <- s.Open(ctx, nil) }()
	unreachable := func(o source.Observation) bool {
		return len(o.Troubles) > 0 && strings.Contains(o.Troubles[0].Text, "the network is down")
	}
	awaitObserved(t, s, "Open tells why it waits", unreachable)
	n.cut(false)
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	awaitObserved(t, s, "no trouble", func(o source.Observation) bool { return len(o.Troubles) == 0 && o.Unreadable == 0 })
	n.cut(true)
	awaitObserved(t, s, "an outage is told", unreachable)
	n.cut(false)
	awaitObserved(t, s, "the outage is over", func(o source.Observation) bool {
		return len(o.Troubles) == 0 && o.Unreadable == 0 && o.Totals.Reconnects > 0
	})
	moved := int32(1)
	if c.LeaderFor("t", 0) == 1 {
		moved = 0
	}
	if err := c.MoveTopicPartition("t", 0, moved); err != nil {
		t.Fatal(err)
	}
	awaitObserved(t, s, "a partition has moved", func(o source.Observation) bool { return o.Totals.LeaderChanges == 1 && o.Unreadable == 0 })
}

func TestMissingTopicsAreObserved(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	s, _ := newTestSource(t, config(c, "later"))
	opened := make(chan error, 1)
	go func() { opened <- s.Open(testContext(t), nil) }()
	awaitObserved(t, s, "the missing topic is told", func(o source.Observation) bool {
		return len(o.Troubles) == 1 && strings.Contains(o.Troubles[0].Text, "topic later")
	})
	createTopic(t, c, "later", 1)
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	if o := s.Observe(); len(o.Troubles) != 0 {
		t.Error(o.Troubles)
	}
}
