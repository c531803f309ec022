// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"fmt"
	"strings"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// What a record is made of: subject, time and headers of the message.
func TestRecords(t *testing.T) {
	t.Parallel()
	l := newLab(t, jetstream.StreamConfig{})
	m := &client.Msg{Subject: "orders.eu.1", Header: client.Header{"a": {"x"}, "B": {"2", "1"}}}
	if _, err := l.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	l.produce(1, "orders.us")
	s, _ := open(t, l.config(), nil)
	var records []source.Record
	for len(records) < 2 {
		c, err := s.Next(within(t))
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, c.Records...)
	}
	var headers []string
	for key, value := range records[0].Headers.All() {
		headers = append(headers, string(key)+"="+string(value))
	}
	if got := strings.Join(headers, " "); got != "B=2 B=1 a=x" || records[0].Headers.Count != 3 {
		t.Errorf("headers %s", got)
	}
	if string(records[0].Key) != "orders.eu.1" || string(records[1].Key) != "orders.us" || records[0].Value == nil || len(records[0].Value) != 0 || string(records[1].Value) != `{"n":0}` {
		t.Errorf("%+v", records)
	}
	if age := time.Since(time.UnixMilli(records[0].Timestamp)); age < 0 || age > time.Minute {
		t.Errorf("timestamp %d", records[0].Timestamp)
	}
}

// Where reading begins without a position.
func TestStart(t *testing.T) {
	t.Parallel()
	l := newLab(t, jetstream.StreamConfig{})
	l.produce(5)
	last := l.stream().CachedInfo().State.LastTime
	await(t, "later than the messages", func() bool { return time.Since(last) > 20*time.Millisecond })
	now := time.Now()
	l.produce(5)
	for start, first := range map[string]int64{"earliest": 1, now.UTC().Format(time.RFC3339Nano): 6, "2020-01-01T00:00:00Z": 1} {
		c := l.config()
		c.Start = start
		s, _ := open(t, c, nil)
		if want := fmt.Sprintf(`"next":%d}`, first); !strings.HasSuffix(string(s.Position()), want) {
			t.Errorf("%s: %s", start, s.Position())
		}
		offsets, _ := read(t, s, int(11-first))
		wantOffsets(t, offsets, first, 10)
	}
	c := l.config()
	c.Start = "latest"
	s, _ := open(t, c, nil)
	l.produce(1)
	offsets, _ := read(t, s, 1)
	wantOffsets(t, offsets, 11, 11)
}

// Holes in the middle of a stream are no gaps: deleted messages, and those that
// only the newest of a subject is kept of.
func TestHoles(t *testing.T) {
	t.Parallel()
	l := newLab(t, jetstream.StreamConfig{MaxMsgsPerSubject: 1})
	l.produce(1, "orders.first")
	for i := range 20 {
		l.produce(1, fmt.Sprintf("orders.%d", i%3))
	}
	s, _ := open(t, l.config(), nil)
	offsets, gaps := read(t, s, 4)
	if fmt.Sprint(offsets) != "[1 19 20 21]" || len(gaps) > 0 {
		t.Errorf("%v, gaps %v", offsets, gaps)
	}
}

// Messages that the stream no longer keeps are a gap, at the start and while it
// is read.
func TestGap(t *testing.T) {
	t.Parallel()
	l := newLab(t, jetstream.StreamConfig{})
	l.produce(10)
	s, _ := open(t, l.config(), nil)
	read(t, s, 10)
	position := s.Position()
	s.Close() //nolint:errcheck // it was only read
	l.produce(10)
	if err := l.stream().Purge(t.Context(), jetstream.WithPurgeSequence(16)); err != nil {
		t.Fatal(err)
	}
	stopped, _ := newTestSource(t, l.config())
	wantStop(t, stopped.Open(within(t), position), "begins at sequence 16, and was read up to 10", "SPOUT_NATS_ON_GAP=skip")
	c := l.config()
	c.OnGap = "skip"
	s, _ = open(t, c, position)
	offsets, gaps := read(t, s, 5)
	wantOffsets(t, offsets, 16, 20)
	if fmt.Sprint(gaps) != "[{11 16 the stream no longer keeps them}]" {
		t.Error(gaps)
	}
}

// A stream that deletes what is at its beginning while it is read does not do so
// unnoticed: the limit is reached while the reader has no room.
func TestGapWhileReading(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"stop", "skip"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, jetstream.StreamConfig{MaxMsgs: 100, Discard: jetstream.DiscardOld})
			c := l.config()
			c.OnGap = policy
			s, _ := newTestSource(t, c)
			s.most, s.pullBytes, s.pullMsgs = 4*leastPull, leastPull, 64
			large := make([]byte, 10<<10)
			publish := func(n int) {
				for range n {
					if _, err := l.js.Publish(t.Context(), "orders.eu", large); err != nil {
						t.Fatal(err)
					}
				}
			}
			publish(60)
			if err := s.Open(within(t), nil); err != nil {
				t.Fatal(err)
			}
			held, err := s.Next(within(t))
			if err != nil {
				t.Fatal(err)
			}
			await(t, "full", func() bool { return s.Observe().Memory > int64(s.most)-leastPull })
			publish(200)
			next := held.Records[len(held.Records)-1].Offset + 1
			s.Consume(held, len(held.Records))
			held.Release()
			gaps := 0
			for next < 260 {
				chunk, err := s.Next(within(t))
				if err != nil {
					wantStop(t, err, "what is between them was deleted before it was read", "SPOUT_NATS_ON_GAP=skip")
					if policy != "stop" || next > 60 {
						t.Errorf("it has stopped at %d: %v", next, err)
					}
					return
				}
				if chunk.Gap != nil {
					if chunk.Gap.From != next || chunk.Gap.To < next {
						t.Fatalf("gap %+v at %d", *chunk.Gap, next)
					}
					next = chunk.Gap.To
					gaps++
				}
				for _, r := range chunk.Records {
					if r.Offset != next {
						t.Fatalf("%d follows %d, and no gap is told", r.Offset, next-1)
					}
					next++
				}
				s.Consume(chunk, len(chunk.Records))
				chunk.Release()
			}
			if policy == "stop" || gaps == 0 || next != 261 {
				t.Errorf("read up to %d with %d gaps", next-1, gaps)
			}
		})
	}
}

// Subjects that are not read move the position, so that nobody takes them for a
// gap later.
func TestOtherSubjects(t *testing.T) {
	t.Parallel()
	l := newLab(t, jetstream.StreamConfig{})
	c := l.config()
	c.Subjects = []string{"orders.us", "orders.eu"}
	l.produce(3)
	s, _ := open(t, c, nil)
	read(t, s, 3)
	l.produce(4, "orders.asia")
	chunk, err := s.Next(within(t))
	if err != nil || len(chunk.Records) > 0 || chunk.Next != 8 {
		t.Fatalf("%+v, %v", chunk, err)
	}
	s.Consume(chunk, 0)
	chunk.Release()
	position := s.Position()
	if want := `"next":8,"subjects":["orders.eu","orders.us"]}`; !strings.HasSuffix(string(position), want) {
		t.Errorf("%s", position)
	}
	l.produce(1, "orders.us")
	offsets, _ := read(t, s, 1)
	wantOffsets(t, offsets, 8, 8)
	if err := l.stream().Purge(t.Context(), jetstream.WithPurgeSequence(8)); err != nil {
		t.Fatal(err)
	}
	again, _ := open(t, c, position)
	offsets, gaps := read(t, again, 1)
	wantOffsets(t, offsets, 8, 8)
	if len(gaps) > 0 {
		t.Error(gaps)
	}
}

// Another stream of the name, and one that has lost its end, are what on_reset
// is for.
func TestReset(t *testing.T) {
	t.Parallel()
	// A server may find the messages of a file that is on its way to be deleted.
	inMemory := jetstream.StreamConfig{Storage: jetstream.MemoryStorage}
	l := newLab(t, inMemory)
	l.produce(10)
	s, _ := open(t, l.config(), nil)
	read(t, s, 10)
	position := s.Position()
	s.Close() //nolint:errcheck // it was only read

	short := strings.Replace(string(position), `"next":11`, `"next":12`, 1)
	stopped, _ := newTestSource(t, l.config())
	wantStop(t, stopped.Open(within(t), []byte(short)), "ends at sequence 10, and was read up to 11", "SPOUT_NATS_ON_RESET=restart")

	if err := l.js.DeleteStream(t.Context(), testStream); err != nil {
		t.Fatal(err)
	}
	l.create(inMemory)
	l.produce(2)
	stopped, _ = newTestSource(t, l.config())
	wantStop(t, stopped.Open(within(t), position), "was made again", "up to sequence 10", "up to 2")

	c := l.config()
	c.OnReset = "restart"
	s, _ = open(t, c, position)
	if got := s.Position(); string(got) != string(position) {
		t.Errorf("%s, before the new stream was read", got)
	}
	offsets, _ := read(t, s, 2)
	wantOffsets(t, offsets, 1, 2)
	if got := string(s.Position()); !strings.Contains(got, `"generation":1,"next":3`) {
		t.Error(got)
	}
	// The same while it is read.
	if err := l.js.DeleteStream(t.Context(), testStream); err != nil {
		t.Fatal(err)
	}
	l.create(inMemory)
	l.produce(3)
	offsets, _ = read(t, s, 3)
	wantOffsets(t, offsets, 1, 3)
	if got := string(s.Position()); !strings.Contains(got, `"generation":2,"next":4`) {
		t.Error(got)
	}
}

// Whatever happens to the server, each message comes once.
func TestServerRestarts(t *testing.T) {
	t.Parallel()
	for _, retention := range []string{settings.NATSLimits, settings.NATSWorkQueue, settings.NATSInterest} {
		t.Run(retention, func(t *testing.T) {
			t.Parallel()
			config := streamOf(retention)
			config.Storage = jetstream.FileStorage
			l := newLab(t, config)
			c := l.config()
			if retention != settings.NATSLimits {
				c = l.queue(retention)
			}
			s, _ := open(t, c, nil)
			for round := range 3 {
				l.produce(50)
				offsets, _ := read(t, s, 50)
				wantOffsets(t, offsets, int64(50*round+1), int64(50*round+50))
				if round == 1 {
					s.Acknowledge(t.Context(), s.Position())
				}
				l.server.Stop()
				if err := l.server.Restart(); err != nil {
					t.Fatal(err)
				}
				await(t, "connected", l.conn.IsConnected)
			}
			if s.Observe().Totals.Reconnects == 0 {
				t.Error("no connection was lost")
			}
		})
	}
}

// A consumer that an operator deletes is made again.
func TestConsumerDeleted(t *testing.T) {
	t.Parallel()
	l := newLab(t, jetstream.StreamConfig{})
	s, _ := open(t, l.config(), nil)
	for round := range 3 {
		l.produce(5)
		offsets, _ := read(t, s, 5)
		wantOffsets(t, offsets, int64(5*round+1), int64(5*round+5))
		for name := range l.stream().ConsumerNames(t.Context()).Name() {
			if err := l.stream().DeleteConsumer(t.Context(), name); err != nil && round < 2 {
				t.Log(err)
			}
		}
	}
}

// A message that is larger than what is asked for at once is read alone, and
// one that does not fit in memory stops the runner.
func TestLargeMessages(t *testing.T) {
	t.Parallel()
	l := newLab(t, jetstream.StreamConfig{})
	for _, size := range []int{10, 150 << 10, 10, 200 << 10, 700 << 10} {
		if _, err := l.js.Publish(t.Context(), "orders.eu", make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := newTestSource(t, l.config())
	s.most, s.pullBytes, s.pullMsgs = 4*leastPull, leastPull, 64
	if err := s.Open(within(t), nil); err != nil {
		t.Fatal(err)
	}
	offsets, _ := read(t, s, 4)
	wantOffsets(t, offsets, 1, 4)
	_, err := s.Next(within(t))
	wantStop(t, err, "the message after sequence 4", "SPOUT_MEMORY_BUDGET")
}

// Memory is bounded by what was set, whatever the reader does.
func TestMemory(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 10 << 10} {
		l := newLab(t, jetstream.StreamConfig{Storage: jetstream.MemoryStorage})
		const n = 3000
		for range n {
			if _, err := l.js.PublishAsync("orders.eu", make([]byte, size)); err != nil {
				t.Fatal(err)
			}
		}
		<-l.js.PublishAsyncComplete()
		s, _ := newTestSource(t, l.config())
		s.most, s.pullBytes, s.pullMsgs = 4*leastPull, leastPull, 64
		if err := s.Open(within(t), nil); err != nil {
			t.Fatal(err)
		}
		await(t, "much in memory", func() bool { return s.Observe().Memory > int64(s.most)/2 })
		for got := 0; got < n; {
			if memory := s.Observe().Memory; memory > int64(s.most)*5/4 {
				t.Fatalf("%d bytes of %d are held", memory, s.most)
			}
			offsets, _ := read(t, s, 1)
			got += len(offsets)
		}
	}
}

// The lag is what was not acknowledged, here and at the server.
func TestLag(t *testing.T) {
	t.Parallel()
	l := newLab(t, jetstream.StreamConfig{})
	l.produce(10)
	s, _ := open(t, l.config(), nil)
	lag := func() int64 { return s.Observe().Lags[0].Records }
	await(t, "a lag of 10", func() bool { return lag() == 10 })
	read(t, s, 10)
	if lag() != 10 {
		t.Errorf("a lag of %d before anything is durable", lag())
	}
	s.Acknowledge(t.Context(), s.Position())
	if seen := s.Observe().Lags[0]; seen.Records != 0 || seen.Age != 0 {
		t.Errorf("%+v after all is", seen)
	}
	l.produce(3)
	await(t, "a lag of 3", func() bool { return lag() == 3 && s.Observe().Lags[0].Age > 0 })
}

func TestRetentionDiffers(t *testing.T) {
	t.Parallel()
	l := newLab(t, streamOf(settings.NATSWorkQueue))
	s, _ := newTestSource(t, l.config())
	wantStop(t, s.Open(within(t), nil), "has the retention policy workqueue, and SPOUT_NATS_RETENTION is limits; set it to workqueue")
}
