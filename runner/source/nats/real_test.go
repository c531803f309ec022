// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package nats

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/natscluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/conformance"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
)

var retentionsOfTests = []string{settings.NATSLimits, settings.NATSWorkQueue, settings.NATSInterest}

// onCluster is a lab whose server is a real one.
func onCluster(t testing.TB, c *natscluster.Cluster, config jetstream.StreamConfig) *lab {
	t.Helper()
	conn, err := c.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, conn: conn, js: js, addresses: c.Addresses()}
	await(t, "created", func() bool {
		config.Name, config.Subjects = testStream, []string{"orders.>"}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := js.CreateStream(ctx, config)
		return err == nil || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse)
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		js.DeleteStream(ctx, testStream) //nolint:errcheck // the next test makes another
	})
	return l
}

func startCluster(t *testing.T, o natscluster.Options) *natscluster.Cluster {
	t.Helper()
	c, err := natscluster.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// TestRealConformance holds the source against the server of the system.
func TestRealConformance(t *testing.T) {
	c := startCluster(t, natscluster.Options{Servers: 1})
	for _, retention := range retentionsOfTests {
		t.Run(retention, func(t *testing.T) {
			conformance.Run(t, func(t testing.TB) conformance.Side {
				side := &streamSide{lab: onCluster(t, c, streamOf(retention)), retention: retention, Produced: audit.NewProduced(audit.OffsetsOf("nats"))}
				if retention == settings.NATSInterest { // messages that nobody is interested in are not kept
					if _, err := side.stream().CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "other", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
						t.Fatal(err)
					}
				}
				if retention == settings.NATSLimits {
					return losing{side}
				}
				return side
			})
		})
	}
}

// TestRealFilters: more than one subject needs a newer server, which is said.
func TestRealFilters(t *testing.T) {
	c := startCluster(t, natscluster.Options{Servers: 1})
	l := onCluster(t, c, streamOf(settings.NATSLimits))
	config := l.config()
	config.Subjects = []string{"orders.eu", "orders.us"}
	s, log := newTestSource(t, config)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opened := make(chan error, 1)
	go func() { opened <- s.Open(ctx, nil) }()
	log.Await(t, "cannot read the stream", "update the servers to 2.10, or name one subject in SPOUT_NATS_SUBJECTS")
	cancel()
	if err := <-opened; err == nil {
		t.Error("it was opened")
	}
	config.Subjects = config.Subjects[:1]
	s, _ = open(t, config, nil)
	l.produce(1, "orders.us")
	l.produce(1, "orders.eu")
	offsets, _ := read(t, s, 1)
	wantOffsets(t, offsets, 2, 2)
}

// TestRealFailover kills the server that leads the stream, again and again, under
// a source that is closed and opened meanwhile: each message comes once, in order.
// The server is the one of this module: Debian's, 2.9.10, panics when it starts
// again with a work queue that has replicas.
func TestRealFailover(t *testing.T) {
	program, err := artifacts.NATSServer(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := startCluster(t, natscluster.Options{Servers: 3, Program: program})
	for _, retention := range retentionsOfTests {
		t.Run(retention, func(t *testing.T) {
			config := streamOf(retention)
			config.Storage, config.Replicas = jetstream.FileStorage, 3
			l := onCluster(t, c, config)
			of := l.config()
			if retention != settings.NATSLimits {
				of = l.queue(retention)
			}
			s, _ := open(t, of, nil)
			stop := l.keepProducing()
			next := int64(1)
			// consume reads some messages, which are then in a commit.
			consume := func(n int) []byte {
				offsets, gaps := read(t, s, n)
				wantOffsets(t, offsets, next, next+int64(len(offsets))-1)
				if len(gaps) > 0 {
					t.Fatal(gaps)
				}
				next += int64(len(offsets))
				return s.Position()
			}
			reopen := func(position []byte) {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				s, _ = open(t, of, position)
			}
			rounds := 3
			if testing.Short() {
				rounds = 1
			}
			for range rounds {
				committed := consume(200)
				s.Acknowledge(t.Context(), committed)
				var leader *natscluster.Server
				await(t, "a leader", func() bool { leader = c.Leader(t.Context(), l.js, testStream); return leader != nil })
				leader.Kill()
				before := next
				consume(100)
				next = before // it was in no commit
				reopen(committed)
				committed = consume(100)
				if err := leader.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				reopen(committed)
			}
			made := stop()
			for next <= made {
				s.Acknowledge(t.Context(), consume(1))
			}
			if retention != settings.NATSLimits {
				await(t, "acknowledged", func() bool {
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					defer cancel()
					stream, err := l.js.Stream(ctx, testStream)
					return err == nil && stream.CachedInfo().State.Msgs == 0
				})
			}
			t.Logf("%d messages, %d connections lost", made, s.Observe().Totals.Reconnects)
		})
	}
}

// keepProducing publishes messages, each until it is there, until the returned
// function is called: it tells how many there are.
func (l *lab) keepProducing() func() int64 {
	ctx, cancel := context.WithCancel(l.t.Context())
	var producing sync.WaitGroup
	var last uint64
	producing.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			m := &client.Msg{Subject: "orders.eu", Data: fmt.Appendf(nil, `{"n":%d}`, n), Header: client.Header{"Nats-Msg-Id": {fmt.Sprint(n)}}}
			for {
				within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
				ack, err := l.js.PublishMsg(within, m)
				cancel()
				if err == nil {
					last = max(last, ack.Sequence)
					break
				}
				if l.t.Context().Err() != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			time.Sleep(time.Millisecond)
		}
	})
	return func() int64 { cancel(); producing.Wait(); return int64(last) }
}
