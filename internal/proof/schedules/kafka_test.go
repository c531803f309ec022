// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka"
)

// pipes is a network of pipes in memory, which a bubble can wait for.
type pipes struct {
	mu        sync.Mutex
	listeners map[int]*pipeListener
	conns     []net.Conn
	down      bool
}

func (n *pipes) listen(string, string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &pipeListener{port: 9092 + len(n.listeners), accepted: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[l.port] = l
	return l, nil
}

func (n *pipes) dial(ctx context.Context, _, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	var l *pipeListener
	for number, candidate := range n.listeners {
		if fmt.Sprint(number) == port && !n.down {
			l = candidate
		}
	}
	n.mu.Unlock()
	if l == nil {
		return nil, errors.New("connection refused")
	}
	here, there := net.Pipe()
	select {
	case l.accepted <- pipeConn{there, l.port}:
	case <-l.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = append(n.conns, here)
	return pipeConn{here, l.port}, nil
}

// cut ends all connections; while down, there are no new ones.
func (n *pipes) cut(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
	for _, c := range n.conns {
		c.Close() //nolint:errcheck // a pipe
	}
	n.conns = nil
}

type pipeListener struct {
	port     int
	accepted chan net.Conn
	once     sync.Once
	closed   chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: l.port} }

// pipeConn has addresses as Kafka's clients want to see them.
type pipeConn struct {
	net.Conn
	port int
}

func (c pipeConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: c.port}
}
func (c pipeConn) LocalAddr() net.Addr { return c.RemoteAddr() }

// kafkaTopic puts a broker behind a world's stream, and the runner's own
// source before it.
type kafkaTopic struct {
	network *pipes
	broker  *kfake.Cluster
	client  *kgo.Client
	config  settings.Kafka
}

func newKafkaTopic() (*kafkaTopic, error) {
	k := &kafkaTopic{network: &pipes{listeners: map[int]*pipeListener{}}, config: settings.Default().Kafka}
	var err error
	if k.broker, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic), kfake.ListenFn(k.network.listen)); err != nil {
		return nil, err
	}
	k.config.Brokers, k.config.Topics = k.broker.ListenAddrs(), []string{topic}
	k.client, err = kgo.NewClient(kgo.SeedBrokers(k.broker.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			return k.network.dial(ctx, network, address)
		}))
	return k, err
}

func (k *kafkaTopic) close() {
	k.client.Close()
	k.broker.Close()
}

func (k *kafkaTopic) produce(partition int, records []source.Record) error {
	for _, r := range records {
		result := k.client.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Partition: int32(partition), Value: r.Value})
		if err := result.FirstErr(); err != nil {
			return err
		}
		if at := result[0].Record.Offset; at != r.Offset {
			return fmt.Errorf("the broker gave the offset %d to record %d", at, r.Offset)
		}
	}
	return nil
}

// watched is a source whose acknowledgements are checked.
type watched struct {
	source.Source
	stream *stream
}

func (s watched) Acknowledge(ctx context.Context, position json.RawMessage) {
	at, err := s.stream.parse(position)
	if err != nil {
		panic(err)
	}
	s.stream.acked(at)
	s.Source.Acknowledge(ctx, position)
}

func (k *kafkaTopic) source(s *stream, memory settings.Bytes) source.Source {
	return watched{kafka.New(k.config, memory, hclog.NewNullLogger(), kafka.WithDial(k.network.dial)), s}
}

func parseKafkaOffsets(raw json.RawMessage) (offsets, error) {
	at := offsets{}
	if raw == nil {
		return at, nil
	}
	all, err := audit.OffsetsOf("kafka")(raw)
	for stream, next := range all {
		at[stream.Partition] = next
	}
	return at, err
}
