// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/logtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/natstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

const testStream = "ORDERS"

// lab is a server in this process with a stream.
type lab struct {
	t      testing.TB
	server *natstest.Server // nil if it is none in this process
	conn   *client.Conn
	js     jetstream.JetStream
	made   int

	addresses []string
}

func newLab(t testing.TB, config jetstream.StreamConfig) *lab {
	t.Helper()
	l := &lab{t: t, server: natstest.Start(t)}
	l.addresses = []string{l.server.Address()}
	l.conn, l.js = l.server.Connect(t)
	l.create(config)
	return l
}

func (l *lab) create(config jetstream.StreamConfig) {
	l.t.Helper()
	if config.Name == "" {
		config.Name = testStream
	}
	if config.Subjects == nil {
		config.Subjects = []string{"orders.>"}
	}
	if _, err := l.js.CreateStream(l.t.Context(), config); err != nil {
		l.t.Fatal(err)
	}
}

// produce makes messages, of orders.eu if no other subject is given.
func (l *lab) produce(n int, subject ...string) {
	l.t.Helper()
	to := append(subject, "orders.eu")[0]
	for range n {
		if _, err := l.js.Publish(l.t.Context(), to, fmt.Appendf(nil, `{"n":%d}`, l.made)); err != nil {
			l.t.Fatal(err)
		}
		l.made++
	}
}

func (l *lab) stream() jetstream.Stream {
	l.t.Helper()
	s, err := l.js.Stream(l.t.Context(), testStream)
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

func (l *lab) config() settings.NATS {
	s := settings.Default()
	s.NATS.Servers, s.NATS.Stream = l.addresses, testStream
	return s.NATS
}

// queue is a configuration that acknowledges.
func (l *lab) queue(retention string) settings.NATS {
	c := l.config()
	c.Retention, c.Consumer, c.MaxAckPending = retention, "spout", 1000
	return c
}

// open makes a source and opens it.
func open(t testing.TB, c settings.NATS, position []byte) (*Source, *logtest.Log) {
	t.Helper()
	s, log := newTestSource(t, c)
	if err := s.Open(within(t), position); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	return s, log
}

func newTestSource(t testing.TB, c settings.NATS) (*Source, *logtest.Log) {
	t.Helper()
	log := logtest.New(time.Minute)
	s := New(c, 64<<20, hclog.New(&hclog.LoggerOptions{Output: log, Level: hclog.Debug}))
	s.times = times{heartbeat: 400 * time.Millisecond, expires: 3 * time.Second, patience: 300 * time.Millisecond, request: 5 * time.Second}
	t.Cleanup(func() { s.Close() }) //nolint:errcheck // the test is over
	return s, log
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// read consumes chunks until there are n records more, and returns their offsets
// and what gaps there were.
func read(t testing.TB, s *Source, n int) (offsets []int64, gaps []source.Gap) {
	t.Helper()
	ctx := within(t)
	for len(offsets) < n {
		c, err := s.Next(ctx)
		if err != nil {
			t.Fatalf("after %d of %d records: %v", len(offsets), n, err)
		}
		if c.Gap != nil {
			gaps = append(gaps, *c.Gap)
		}
		for _, r := range c.Records {
			offsets = append(offsets, r.Offset)
		}
		s.Consume(c, len(c.Records))
		c.Release()
	}
	return offsets, gaps
}

// wantOffsets checks that offsets are those from one to another, both included.
func wantOffsets(t testing.TB, offsets []int64, from, to int64) {
	t.Helper()
	for i, offset := range offsets {
		if offset != from+int64(i) {
			t.Fatalf("offsets %v, should be %d to %d", offsets, from, to)
		}
	}
	if int64(len(offsets)) != to-from+1 {
		t.Fatalf("offsets %v, should be %d to %d", offsets, from, to)
	}
}

func wantStop(t testing.TB, err error, texts ...string) {
	t.Helper()
	if !source.IsStop(err) {
		t.Fatalf("%v is no Stop", err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %q", err, text)
		}
	}
}

// await waits until something is so.
func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %s", what)
		}
	}
}
