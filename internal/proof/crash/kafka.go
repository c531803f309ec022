// SPDX-License-Identifier: Apache-2.0

//go:build linux

package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

const (
	topic      = "records"
	partitions = 4
)

// kafkaSide is a broker with a topic. It finds out what the topic holds in
// truth by reading it back with another client than the runner's.
type kafkaSide struct {
	broker
	producer *kgo.Client
	consumer *kgo.Client
	produced *audit.Produced // what the consumer has read
	unfollow func()
	say      func(format string, args ...any)

	mu   sync.Mutex
	sent int
	ends map[int32]int64 // after what the broker has taken
	seen map[int32]int64 // after what the consumer has read
	err  error           // of producing
}

func startKafka(ctx context.Context, s *spout, dir string) (side, error) {
	broker, err := s.newBroker(ctx, dir)
	if err != nil {
		return nil, err
	}
	producer, err := kgo.NewClient(kgo.SeedBrokers(broker.address()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.DefaultProduceTopic(topic), kgo.RetryBackoffFn(retryBackoff))
	if err != nil {
		return nil, errors.Join(err, broker.stop())
	}
	consumer, err := newConsumer(broker.address())
	if err != nil {
		producer.Close()
		return nil, errors.Join(err, broker.stop())
	}
	k := &kafkaSide{broker: broker, producer: producer, consumer: consumer, produced: audit.NewProduced(audit.OffsetsOf("kafka")), say: s.say,
		ends: map[int32]int64{}, seen: map[int32]int64{}}
	following, cancel := context.WithCancel(ctx)
	var follower sync.WaitGroup
	follower.Go(func() { k.follow(following) })
	k.unfollow = func() { cancel(); follower.Wait() }
	return k, nil
}

func (s *kafkaSide) configure(v *settings.Settings) {
	v.Kafka.Brokers, v.Kafka.Topics = []string{s.address()}, []string{topic}
}

// kill is only asked for of Apache Kafka: see kinds.
func (s *kafkaSide) kill(ctx context.Context) error { return s.broker.(killable).kill(ctx) }

func (s *kafkaSide) known() int64 { return s.produced.Count() }

func (s *kafkaSide) reached(d spoutcommit.Description) (bool, error) {
	return s.produced.Reached(d.Position)
}

func (s *kafkaSide) audit(ctx context.Context, branch *pachyderm.Branch) (*audit.Report, error) {
	truth, err := s.kept(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what the broker has kept: %w", err)
	}
	report, err := audit.Branch(ctx, branch, settings.LayoutOf("kafka", ""), truth)
	if err != nil {
		return nil, err
	}
	if report.Records != truth.Count() {
		report.Problems = append(report.Problems, fmt.Sprintf("the broker has %d records, %d are in the commits", truth.Count(), report.Records))
	}
	if taken := s.produced.Count(); taken != truth.Count() {
		s.say("the broker has not kept all it had: %d of %d records", truth.Count(), taken)
	}
	return report, nil
}

// newConsumer makes a client that reads the topic from its start.
func newConsumer(address string) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumeTopics(topic), kgo.RetryBackoffFn(retryBackoff),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond))
}

func retryBackoff(int) time.Duration { return 100 * time.Millisecond }

func (s *kafkaSide) close() error {
	s.unfollow()
	s.producer.Close()
	s.consumer.Close()
	return s.stop()
}

// produce sends n records to random partitions and does not wait for them.
func (s *kafkaSide) produce(ctx context.Context, random *rand.Rand, n int) {
	for range n {
		s.mu.Lock()
		s.sent++
		value := fmt.Appendf(nil, `{"n":%d,"fill":%q}`, s.sent, strings.Repeat("x", random.IntN(200)))
		s.mu.Unlock()
		s.producer.Produce(ctx, &kgo.Record{Partition: random.Int32N(partitions), Value: value}, func(r *kgo.Record, err error) {
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
func (s *kafkaSide) follow(ctx context.Context) {
	for ctx.Err() == nil {
		s.consumer.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			s.produced.Add(source.Stream{Name: r.Topic, Partition: r.Partition}, r.Offset, string(r.Value))
			s.mu.Lock()
			s.seen[r.Partition] = r.Offset + 1
			s.mu.Unlock()
		})
	}
}

// kept reads all that the broker has once more. What it has taken and did not
// keep over its own crash is nothing that a spout could have read.
func (s *kafkaSide) kept(ctx context.Context) (*audit.Produced, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the topic was not read within %s", patience))
	defer cancel()
	consumer, err := newConsumer(s.address())
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	ends, err := endOffsets(ctx, kadm.NewClient(consumer))
	if err != nil {
		return nil, fmt.Errorf("ask how much the topic holds: %w", err)
	}
	left := map[int32]int64{} // the ends of what was not read yet
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	truth := audit.NewProduced(audit.OffsetsOf("kafka"))
	for len(left) > 0 {
		fetches := consumer.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			truth.Add(source.Stream{Name: r.Topic, Partition: r.Partition}, r.Offset, string(r.Value))
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return truth, nil
}

// endOffsets asks for the ends of all partitions until the broker tells them:
// it learns of a topic after the answer to the request that made it.
func endOffsets(ctx context.Context, admin *kadm.Client) (ends kadm.ListedOffsets, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the broker does not tell how much the topic holds"))
	defer cancel()
	err = poll(ctx, func() (bool, error) {
		var err error
		ends, err = admin.ListEndOffsets(ctx, topic)
		return err == nil && ends.Error() == nil && len(ends[topic]) == partitions, nil
	})
	return ends, err
}

// settle waits until the broker has taken all records, and all were read back.
func (s *kafkaSide) settle(ctx context.Context) error {
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
