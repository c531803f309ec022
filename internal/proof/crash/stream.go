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

	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// stream produces records, and finds out what the topic holds in truth by
// reading them back with a client that has nothing to do with the runner's.
type stream struct {
	address  string // of the broker
	producer *kgo.Client
	consumer *kgo.Client
	produced *audit.Produced // what the consumer has read

	mu   sync.Mutex
	sent int
	ends map[int32]int64 // after what the broker has taken
	seen map[int32]int64 // after what the consumer has read
	err  error           // of producing
}

func newStream(address string) (*stream, error) {
	producer, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.DefaultProduceTopic(topic), kgo.RetryBackoffFn(retryBackoff))
	if err != nil {
		return nil, err
	}
	consumer, err := newConsumer(address)
	if err != nil {
		producer.Close()
		return nil, err
	}
	return &stream{address: address, producer: producer, consumer: consumer, produced: audit.NewProduced(audit.OffsetsOf("kafka")),
		ends: map[int32]int64{}, seen: map[int32]int64{}}, nil
}

// newConsumer makes a client that reads the topic from its start.
func newConsumer(address string) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumeTopics(topic), kgo.RetryBackoffFn(retryBackoff),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond))
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
func (s *stream) follow(ctx context.Context) {
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
func (s *stream) kept(ctx context.Context) (*audit.Produced, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the topic was not read within %s", patience))
	defer cancel()
	consumer, err := newConsumer(s.address)
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
