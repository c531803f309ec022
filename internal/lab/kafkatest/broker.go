// SPDX-License-Identifier: Apache-2.0

// Package kafkatest is a Kafka broker in this process, and a producer that
// says where each record went. It serves the demo, the tests and the
// benchmarks; the broker is franz-go's kfake.
package kafkatest

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Broker is a Kafka cluster on the loopback address.
type Broker struct {
	*kfake.Cluster
	client *kgo.Client
}

// Topic is a topic to make.
type Topic struct {
	Name       string
	Partitions int32
}

// Start starts a cluster of brokers with topics, and a producer for it.
func Start(brokers int, topics ...Topic) (*Broker, error) {
	options := []kfake.Opt{kfake.NumBrokers(brokers)}
	for _, topic := range topics {
		options = append(options, kfake.SeedTopics(topic.Partitions, topic.Name))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return nil, fmt.Errorf("start the Kafka broker: %w", err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(1<<20), kgo.MaxBufferedRecords(1<<20))
	if err != nil {
		cluster.Close()
		return nil, fmt.Errorf("connect to the Kafka broker: %w", err)
	}
	return &Broker{Cluster: cluster, client: client}, nil
}

// Addresses lists the brokers as HOST:PORT.
func (b *Broker) Addresses() []string { return b.ListenAddrs() }

// AddressList is Addresses in quotes with commas between, for HCL and JSON.
func (b *Broker) AddressList() string { return `"` + strings.Join(b.Addresses(), `", "`) + `"` }

// Taken is told of each record that the broker has taken.
type Taken func(topic string, partition int32, offset int64, value string)

// Produce sends records and waits until the broker has taken all of them.
func (b *Broker) Produce(ctx context.Context, taken Taken, records ...*kgo.Record) error {
	var (
		wait  sync.WaitGroup
		mu    sync.Mutex
		first error
	)
	wait.Add(len(records))
	for _, record := range records {
		b.client.Produce(ctx, record, func(r *kgo.Record, err error) {
			defer wait.Done()
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil && first == nil:
				first = fmt.Errorf("produce to %s/%d: %w", r.Topic, r.Partition, err)
			case err == nil && taken != nil:
				taken(r.Topic, r.Partition, r.Offset, string(r.Value))
			}
		})
	}
	wait.Wait()
	return first
}

// Stop ends the cluster.
func (b *Broker) Stop() {
	b.client.Close()
	b.Close()
}
