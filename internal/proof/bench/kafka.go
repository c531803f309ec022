// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"math/rand/v2"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka"
)

const partitions = 4

// kafkaSupply is a broker in this process with a topic.
type kafkaSupply struct {
	*kafkatest.Broker
	topic   string
	records int
}

func supplyKafka(ctx context.Context, name string, size, count int) (supply, error) {
	broker, err := kafkatest.Start(1, kafkatest.Topic{Name: name, Partitions: partitions})
	if err != nil {
		return nil, err
	}
	k := &kafkaSupply{Broker: broker, topic: name, records: count}
	random := rand.New(rand.NewPCG(rand.Uint64(), 0))
	err = k.produce(ctx, func() []byte {
		value := make([]byte, size)
		fill(random, value)
		return value
	})
	if err != nil {
		broker.Stop()
		return nil, err
	}
	return k, nil
}

// produce fills the topic with what next returns.
func (k *kafkaSupply) produce(ctx context.Context, next func() []byte) error {
	for left, n := k.records, 0; left > 0; {
		batch := make([]*kgo.Record, min(left, 50_000))
		for i := range batch {
			// Runs of one partition, as producers with sticky partitioners send them.
			batch[i] = &kgo.Record{Topic: k.topic, Partition: int32(n/1000) % partitions, Value: next()}
			n++
		}
		if err := k.Produce(ctx, nil, batch...); err != nil {
			return err
		}
		left -= len(batch)
	}
	return nil
}

func (k *kafkaSupply) configure(s *settings.Settings) {
	s.Kafka.Brokers, s.Kafka.Topics = k.Addresses(), []string{k.topic}
}

// consume reads with the runner's own source, which takes a part of the time
// that other clients take.
func (k *kafkaSupply) consume(ctx context.Context) (bytes int, err error) {
	s := settings.Default()
	k.configure(&s)
	src := kafka.New(s.Kafka, ingest.SourceShare(s), hclog.NewNullLogger())
	defer src.Close() //nolint:errcheck // a measurement
	if err := src.Open(ctx, nil); err != nil {
		return 0, err
	}
	for left := k.records; left > 0; {
		chunk, err := src.Next(ctx)
		if err != nil {
			return 0, err
		}
		for i := range chunk.Records {
			bytes += len(chunk.Records[i].Value)
		}
		left -= len(chunk.Records)
		src.Consume(chunk, len(chunk.Records))
		chunk.Release()
	}
	return bytes, nil
}

func (k *kafkaSupply) close() error {
	k.Stop()
	return nil
}

// reached says whether so many records are in commits, by the last of them.
func reached(d spoutcommit.Description, records int64) bool {
	offsets, err := audit.OffsetsOf("kafka")(d.Position)
	var sum int64
	for _, next := range offsets {
		sum += next
	}
	return err == nil && sum == records
}
