// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// consumers are the names of those that are at the server.
func (l *lab) consumers() (names []string) {
	l.t.Helper()
	for name := range l.stream().ConsumerNames(l.t.Context()).Name() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (l *lab) messages() uint64 {
	return l.stream().CachedInfo().State.Msgs
}

// What is acknowledged is deleted, nothing else is, and what is in a commit but
// not acknowledged is recognised by the next source.
func TestAcknowledged(t *testing.T) {
	t.Parallel()
	for _, retention := range []string{settings.NATSWorkQueue, settings.NATSInterest} {
		t.Run(retention, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, streamOf(retention))
			s, _ := open(t, l.queue(retention), nil)
			l.produce(10)
			offsets, _ := read(t, s, 10)
			wantOffsets(t, offsets, 1, 10)
			first := s.Position()
			l.produce(10)
			read(t, s, 10)
			second := s.Position()
			if n := l.messages(); n != 20 {
				t.Errorf("%d messages are left before anything is durable", n)
			}
			s.Acknowledge(t.Context(), first)
			await(t, "acknowledged", func() bool { return l.messages() == 10 })
			s.Close()                                  //nolint:errcheck // it is opened again
			s, _ = open(t, l.queue(retention), second) // its commit is FINISHED, and nobody was told
			await(t, "acknowledged", func() bool { return l.messages() == 0 })
			redelivered := int64(0)
			for redelivered < 10 {
				chunk, err := s.Next(within(t))
				if err != nil || chunk.Redelivered == 0 || len(chunk.Records) > 0 {
					t.Fatalf("%+v, %v", chunk, err)
				}
				redelivered += chunk.Redelivered
			}
			l.produce(1)
			offsets, _ = read(t, s, 1)
			wantOffsets(t, offsets, 21, 21)
			s.Acknowledge(t.Context(), s.Position())
			await(t, "one consumer", func() bool { return len(l.consumers()) == 1 })
		})
	}
}

// What was not committed comes again at once, in order, whatever the time is
// that the server waits for acknowledgements.
func TestUnacknowledgedComesAgain(t *testing.T) {
	t.Parallel()
	for _, retention := range []string{settings.NATSWorkQueue, settings.NATSInterest} {
		t.Run(retention, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, streamOf(retention))
			c := l.queue(retention)
			c.AckWait = settings.Duration(time.Hour)
			s, _ := open(t, c, nil)
			position := s.Position()
			l.produce(10)
			read(t, s, 10)
			s.Close() //nolint:errcheck // it is opened again
			l.produce(5)
			s, _ = open(t, c, position)
			offsets, _ := read(t, s, 15)
			wantOffsets(t, offsets, 1, 15)
		})
	}
}

// The server is asked for more time, and what it gives again all the same is
// left out.
func TestAckWait(t *testing.T) {
	t.Parallel()
	l := newLab(t, streamOf(settings.NATSWorkQueue))
	c := l.queue(settings.NATSWorkQueue)
	c.AckWait = settings.Duration(time.Second)
	inWork, err := l.conn.SubscribeSync("$JS.ACK.>")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, c, nil)
	l.produce(5)
	read(t, s, 5)
	name := l.consumers()[0]
	// The runner asks for more time for each message, again and again. On a machine
	// that stalls for longer than the server waits, it may come again all the same.
	late, asked, often, last := false, map[string]int{}, 0, time.Now()
	for often < 5 {
		m, err := inWork.NextMsg(time.Minute)
		if err != nil {
			t.Fatalf("%v: %v", asked, err)
		}
		if string(m.Data) == "+WPI" {
			if asked[m.Subject]++; asked[m.Subject] == 5 {
				often++
			}
			late, last = late || time.Since(last) > c.AckWait.Std()/2, time.Now()
		}
	}
	consumer, err := l.stream().Consumer(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if n := consumer.CachedInfo().NumRedelivered; n > 0 && !late {
		t.Fatalf("%d messages came again while they were in work", n)
	}
	// As if that were lost.
	s.mu.Lock()
	replies := make([]string, len(s.pending))
	for i := range s.pending {
		replies[i], s.pending[i].reply = s.pending[i].reply, "nobody"
	}
	s.mu.Unlock()
	await(t, "with another delivery", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !slices.ContainsFunc(s.pending, func(d delivery) bool { return d.reply == "nobody" })
	})
	s.Acknowledge(t.Context(), s.Position())
	await(t, "acknowledged", func() bool { return l.messages() == 0 })
	l.produce(1)
	offsets, _ := read(t, s, 1)
	wantOffsets(t, offsets, 6, 6)
}

// An interest stream is read from a time on, or from its end, and what was before
// is kept for nobody.
func TestStartOfInterest(t *testing.T) {
	t.Parallel()
	l := newLab(t, streamOf(settings.NATSInterest))
	if _, err := l.stream().CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "other", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	l.produce(5)
	last := l.stream().CachedInfo().State.LastTime
	await(t, "later than the messages", func() bool { return time.Since(last) > 20*time.Millisecond })
	now := time.Now()
	l.produce(5)
	c := l.queue(settings.NATSInterest)
	c.Start = now.UTC().Format(time.RFC3339Nano)
	s, _ := open(t, c, nil)
	offsets, _ := read(t, s, 5)
	wantOffsets(t, offsets, 6, 10)
	c.Start, c.Consumer = "latest", "newest"
	s, _ = open(t, c, nil)
	l.produce(2)
	offsets, _ = read(t, s, 2)
	wantOffsets(t, offsets, 11, 12)
	s.Acknowledge(t.Context(), s.Position())
	await(t, "nothing left", func() bool {
		consumer, err := l.stream().Consumer(t.Context(), "newest-a")
		if err != nil {
			t.Fatal(err)
		}
		is := consumer.CachedInfo()
		return is.NumPending == 0 && is.NumAckPending == 0
	})
}

// A batch ends when no more messages come before an acknowledgement.
func TestFull(t *testing.T) {
	t.Parallel()
	l := newLab(t, streamOf(settings.NATSWorkQueue))
	c := l.queue(settings.NATSWorkQueue)
	c.MaxAckPending = 10
	s, _ := open(t, c, nil)
	if w := s.Traits().Window; w != 10 {
		t.Errorf("a window of %d", w)
	}
	l.produce(25)
	for _, want := range []int{10, 10, 5} {
		for n := 0; n < want; {
			chunk, err := s.Next(within(t))
			if err != nil {
				t.Fatal(err)
			}
			n += len(chunk.Records)
			if full := n == 10; chunk.Full != full {
				t.Errorf("after %d of %d: full %v", n, want, chunk.Full)
			}
			s.Consume(chunk, len(chunk.Records))
			chunk.Release()
		}
		s.Acknowledge(t.Context(), s.Position())
	}
}

// Two spouts share a work queue by subjects; the same subjects are refused by
// the server, and a check says which consumer is in the way.
func TestSharedQueue(t *testing.T) {
	t.Parallel()
	l := newLab(t, streamOf(settings.NATSWorkQueue))
	c := l.queue(settings.NATSWorkQueue)
	c.Subjects = []string{"orders.eu"}
	s, _ := open(t, c, nil)
	other := c
	other.Consumer, other.Subjects = "other", []string{"orders.us"}
	second, _ := open(t, other, nil)
	for range 3 {
		l.produce(1, "orders.eu")
		l.produce(1, "orders.us")
	}
	offsets, _ := read(t, s, 3)
	others, _ := read(t, second, 3)
	if fmt.Sprint(offsets, others) != "[1 3 5] [2 4 6]" {
		t.Error(offsets, others)
	}
	other.Consumer, other.Subjects = "third", nil
	third, log := newTestSource(t, other)
	go third.Open(within(t), nil) //nolint:errcheck // it waits
	log.Await(t, "cannot read the stream", "delete the other one")
	checked, _ := newTestSource(t, other)
	wantMissing(t, checked, nil, "the consumer spout-a of the work queue ORDERS reads the same subjects (orders.eu)")

	// Subjects that were not read before are not taken up.
	position := s.Position()
	c.Subjects = []string{"orders.eu", "orders.asia"}
	wider, _ := newTestSource(t, c)
	wantStop(t, wider.Open(within(t), position), "SPOUT_NATS_SUBJECTS has subjects that were not read before")
}

// A runner that died while it made a consumer in place of the last one leaves
// two: nothing is lost, and one is left.
func TestTwoConsumers(t *testing.T) {
	t.Parallel()
	for _, retention := range []string{settings.NATSInterest} {
		l := newLab(t, streamOf(retention))
		s, _ := open(t, l.queue(retention), nil)
		position := s.Position()
		l.produce(4)
		read(t, s, 4)
		s.Close() //nolint:errcheck // it is opened again
		here := l.consumers()[0]
		there := map[string]string{"spout-a": "spout-b", "spout-b": "spout-a"}[here]
		if _, err := l.stream().CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: there, AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
			t.Fatal(err)
		}
		l.produce(4)
		s, _ = open(t, l.queue(retention), position)
		offsets, _ := read(t, s, 8)
		wantOffsets(t, offsets, 1, 8)
		s.Acknowledge(t.Context(), s.Position())
		await(t, "deleted", func() bool { return l.messages() == 0 })
		await(t, "one consumer", func() bool { return len(l.consumers()) == 1 })
	}
}

// Release deletes what keeps messages for nobody.
func TestRelease(t *testing.T) {
	t.Parallel()
	l := newLab(t, streamOf(settings.NATSInterest))
	c := l.queue(settings.NATSInterest)
	s, _ := open(t, c, nil)
	l.produce(5)
	if err := s.Release(t.Context()); err == nil {
		t.Error("an open source was released")
	}
	s.Close() //nolint:errcheck // it was only read
	for range 2 {
		released, _ := newTestSource(t, c)
		if err := released.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := l.consumers(); len(n) > 0 {
			t.Errorf("%v are left", n)
		}
	}
	await(t, "deleted", func() bool { return l.messages() == 0 })
}
