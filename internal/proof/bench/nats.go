// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/natstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// natsSupply is a server in this process with a stream.
type natsSupply struct {
	server  *natstest.Server
	conn    *client.Conn
	dir     string
	stream  string
	records int
}

func supplyNATS(ctx context.Context, name string, size, count int) (_ supply, err error) {
	n := &natsSupply{stream: name, records: count}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	if n.dir, err = os.MkdirTemp("", "bench-nats-"); err != nil {
		return nil, err
	}
	options := natstest.Options(n.dir)
	options.JetStreamMaxStore = 8 << 30
	if n.server, err = natstest.New(options); err != nil {
		return nil, err
	}
	if n.conn, err = client.Connect("nats://" + n.server.Address()); err != nil {
		return nil, err
	}
	return n, n.produce(ctx, size)
}

func (n *natsSupply) produce(ctx context.Context, size int) error {
	js, err := jetstream.New(n.conn, jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		return err
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: n.stream, Subjects: []string{n.stream}, Storage: jetstream.FileStorage}); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(rand.Uint64(), 0))
	for range n.records {
		value := make([]byte, size)
		fill(random, value)
		if _, err := js.PublishAsync(n.stream, value, jetstream.WithStallWait(time.Minute)); err != nil {
			return err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *natsSupply) configure(s *settings.Settings) {
	s.NATS.Servers, s.NATS.Stream = []string{n.server.Address()}, n.stream
}

// consume reads with the ordered consumer of NATS's own client.
func (n *natsSupply) consume(ctx context.Context) (bytes int, err error) {
	js, err := jetstream.New(n.conn)
	if err != nil {
		return 0, err
	}
	consumer, err := js.OrderedConsumer(ctx, n.stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return 0, err
	}
	done, count := make(chan struct{}), 0
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		bytes += len(m.Data())
		if count++; count == n.records {
			close(done)
		}
	}, jetstream.PullMaxBytes(8<<20))
	if err != nil {
		return 0, err
	}
	defer consuming.Stop()
	select {
	case <-done:
		return bytes, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (n *natsSupply) close() error {
	if n.conn != nil {
		n.conn.Close()
	}
	if n.server != nil {
		n.server.Stop()
	}
	return os.RemoveAll(n.dir)
}
