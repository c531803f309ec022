// SPDX-License-Identifier: Apache-2.0

//go:build linux

package crash

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/cluster/child"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka"
)

// broker is a Kafka broker in a process of its own, with its records on disk.
type broker struct {
	program, dir, topic string
	partitions, port    int
	cmd                 *exec.Cmd
}

func startBroker(program, dir, topic string, partitions int) (*broker, error) {
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &broker{program: program, dir: dir, topic: topic, partitions: partitions, port: probe.Addr().(*net.TCPAddr).Port}
	if err := probe.Close(); err != nil {
		return nil, err
	}
	return b, b.start()
}

// start returns once the broker listens.
func (b *broker) start() error {
	cmd := exec.Command(b.program, "-dir", b.dir, "-port", fmt.Sprint(b.port), "-topic", b.topic, "-partitions", fmt.Sprint(b.partitions))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(cmd); err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return errors.Join(fmt.Errorf("the broker says %q: %w", line, err), cmd.Wait())
	}
	b.cmd = cmd
	return nil
}

func (b *broker) stop() error {
	if b.cmd == nil {
		return nil
	}
	err := b.cmd.Process.Signal(syscall.SIGTERM)
	return errors.Join(err, b.cmd.Wait())
}

func (b *broker) restart() error {
	if err := b.stop(); err != nil {
		return fmt.Errorf("stop the broker: %w", err)
	}
	return b.start()
}

func (b *broker) signal(sig syscall.Signal) error { return b.cmd.Process.Signal(sig) }

func (b *broker) address() string { return fmt.Sprintf("127.0.0.1:%d", b.port) }

// stream produces records, and finds out what the topic holds in truth by
// reading them back with a client that has nothing to do with the runner's.
type stream struct {
	broker   *broker
	producer *kgo.Client
	consumer *kgo.Client
	produced *audit.Produced // what the consumer has read

	mu   sync.Mutex
	sent int
	ends map[int32]int64 // after what the broker has taken
	seen map[int32]int64 // after what the consumer has read
	err  error           // of producing
}

func newStream(b *broker) (*stream, error) {
	producer, err := kgo.NewClient(kgo.SeedBrokers(b.address()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.DefaultProduceTopic(b.topic), kgo.RetryBackoffFn(retryBackoff))
	if err != nil {
		return nil, err
	}
	consumer, err := kgo.NewClient(kgo.SeedBrokers(b.address()), kgo.ConsumeTopics(b.topic), kgo.RetryBackoffFn(retryBackoff),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		producer.Close()
		return nil, err
	}
	return &stream{broker: b, producer: producer, consumer: consumer, produced: audit.NewProduced(kafka.Offsets),
		ends: map[int32]int64{}, seen: map[int32]int64{}}, nil
}

func retryBackoff(int) time.Duration { return 100 * time.Millisecond }

func (s *stream) close() {
	s.producer.Close()
	s.consumer.Close()
}

// produce sends n records to random partitions and does not wait for them.
func (s *stream) produce(ctx context.Context, random *rand.Rand, n int) {
	for range n {
		s.mu.Lock()
		s.sent++
		value := fmt.Appendf(nil, `{"n":%d,"fill":%q}`, s.sent, strings.Repeat("x", random.IntN(200)))
		s.mu.Unlock()
		s.producer.Produce(ctx, &kgo.Record{Partition: random.Int32N(int32(s.broker.partitions)), Value: value}, func(r *kgo.Record, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if err != nil {
				s.err = errors.Join(s.err, fmt.Errorf("produce: %w", err))
				return
			}
			s.ends[r.Partition] = max(s.ends[r.Partition], r.Offset+1)
		})
	}
}

// follow reads the topic until ctx ends.
func (s *stream) follow(ctx context.Context) {
	for ctx.Err() == nil {
		s.consumer.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			s.produced.Add(source.Stream{Topic: r.Topic, Partition: r.Partition}, r.Offset, string(r.Value))
			s.mu.Lock()
			s.seen[r.Partition] = r.Offset + 1
			s.mu.Unlock()
		})
	}
}

// settle waits until the broker has taken all records, and all were read back.
func (s *stream) settle(ctx context.Context) error {
	if err := s.producer.Flush(ctx); err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	return poll(ctx, func() (bool, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for partition, end := range s.ends {
			if s.seen[partition] < end {
				return false, s.err
			}
		}
		return true, s.err
	})
}

// poll asks until the answer is yes.
func poll(ctx context.Context, ask func() (bool, error)) error {
	ticker := time.NewTicker(25 * time.Millisecond)
	defer ticker.Stop()
	for {
		yes, err := ask()
		if yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}
