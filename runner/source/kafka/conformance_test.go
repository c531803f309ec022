// SPDX-License-Identifier: Apache-2.0

package kafka_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/conformance"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka"
)

const conformanceTopic = "t"

// topicSide is a topic of a broker in this process.
type topicSide struct {
	*audit.Produced
	t      testing.TB
	broker *kafkatest.Broker
	admin  *kadm.Client

	mu     sync.Mutex
	made   int
	values []string
	lose   int
}

func newTopicSide(t testing.TB) *topicSide {
	broker, err := kafkatest.Start(1, kafkatest.Topic{Name: conformanceTopic, Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addresses()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); broker.Close() })
	return &topicSide{t: t, broker: broker, admin: kadm.NewClient(client), Produced: audit.NewProduced(audit.OffsetsOf("kafka"))}
}

func (s *topicSide) Settings() settings.Settings {
	all := settings.Default()
	all.Kafka.Brokers, all.Kafka.Topics = s.broker.Addresses(), []string{conformanceTopic}
	all.Kafka.OnOutOfRange, all.Kafka.FetchMaxWait = "earliest", settings.Duration(5*time.Millisecond)
	all.File.Format = "jsonl"
	return all
}

func (*topicSide) New(s settings.Settings, o source.Options) (source.Source, error) {
	return kafka.Make(s, o)
}

func (s *topicSide) Produce(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := map[int32]int64{}
	for range n {
		record := &kgo.Record{Topic: conformanceTopic, Partition: int32(s.made % 2), Value: fmt.Appendf(nil, `{"n":%d}`, s.made)}
		s.made++
		err := s.broker.Produce(s.t.Context(), func(topic string, partition int32, offset int64, value string) {
			if s.lose > 0 {
				s.lose--
				gone[partition] = offset + 1
				return
			}
			s.values = append(s.values, value)
			s.Add(source.Stream{Name: topic, Partition: partition}, offset, value)
		}, record)
		if err != nil {
			s.t.Error(err)
		}
	}
	if len(gone) == 0 {
		return
	}
	offsets := kadm.Offsets{}
	for partition, to := range gone {
		offsets.AddOffset(conformanceTopic, partition, to, -1)
	}
	if _, err := s.admin.DeleteRecords(s.t.Context(), offsets); err != nil {
		s.t.Error(err)
	}
}

func (s *topicSide) Values() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.values...)
}

// Lose implements conformance.Loser.
func (s *topicSide) Lose(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose = n
}

// Reset implements conformance.Resetter.
func (s *topicSide) Reset() {
	ctx := s.t.Context()
	if _, err := s.admin.DeleteTopics(ctx, conformanceTopic); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.admin.CreateTopics(ctx, 2, 1, nil, conformanceTopic); err != nil {
		s.t.Fatal(err)
	}
}

// TestConformance is not parallel: see conformance.
func TestConformance(t *testing.T) {
	conformance.Run(t, func(t testing.TB) conformance.Side { return newTopicSide(t) })
}
