// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// claim makes a broker say that it is many, and that its topic has many
// partitions, which they lead in turn. All of them go round by one broker with
// each answer if they are to move.
func claim(t *testing.T, broker *kfake.Cluster, brokers, partitions int, move bool) {
	t.Helper()
	host, text, err := net.SplitHostPort(broker.ListenAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	answers := 0
	broker.ControlKey(kmsg.Metadata.Int16(), func(k kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		response := k.ResponseKind().(*kmsg.MetadataResponse)
		response.ClusterID = kmsg.StringPtr("claimed")
		for i := range int32(brokers) {
			response.Brokers = append(response.Brokers, kmsg.MetadataResponseBroker{NodeID: i, Host: host, Port: int32(port)})
		}
		topic := kmsg.MetadataResponseTopic{Topic: kmsg.StringPtr("hostile"), TopicID: [16]byte{1}}
		for i := range partitions {
			leader := int32(i % brokers)
			if move {
				leader = int32(answers % brokers)
			}
			topic.Partitions = append(topic.Partitions, kmsg.MetadataResponseTopicPartition{Partition: int32(i), Leader: leader, LeaderEpoch: -1})
		}
		answers++
		response.Topics = append(response.Topics, topic)
		return response, nil, true
	})
}

// TestClaims: however many brokers and partitions a cluster claims to have, the
// runner goes on in the memory that it was given.
func TestClaims(t *testing.T) {
	t.Parallel()
	compress, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { compress.Close() }) //nolint:errcheck // it writes nothing
	small, large := recordBatch(make([]byte, 1000), nil), recordBatch(make([]byte, 1<<20), compress)
	for _, test := range []struct {
		name                string
		brokers, partitions int
		batch               []byte
		move                bool
	}{
		{"brokers", 256, 1000, small, false},
		{"brokers with compressed batches", 256, 1000, large, false},
		{"partitions", 1, 16_000, small, false},
		{"brokers and partitions", 256, 16_000, small, false},
		{"partitions that go round", 200, 16_000, small, true},
		{"more than are accepted", 1000, 90_000, small, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			broker, err := kfake.NewCluster(kfake.NumBrokers(1))
			if err != nil {
				t.Fatal(err)
			}
			defer broker.Close()
			claim(t, broker, test.brokers, test.partitions, test.move)
			serveBatch(broker, test.batch)
			listForEver(broker)
			s := settings.Default()
			s.Kafka.Brokers, s.Kafka.Topics = broker.ListenAddrs(), []string{"hostile"}
			s.HTTPPort, s.MemoryBudget, s.Batch.MaxAge = 0, 64<<20, settings.Duration(5*time.Second)
			s.Kafka.MetadataInterval = settings.Duration(time.Second)
			server := pachtest.New(t)
			p := startRunner(t, server, s)
			const while = 10 * time.Second
			for began := time.Now(); time.Since(began) < while; time.Sleep(50 * time.Millisecond) {
				if _, runs := p.memory(t); !runs {
					t.Fatal("the runner has ended")
				}
			}
			peak, _ := p.memory(t)
			t.Logf("%d MiB of memory, %d commits", peak>>20, len(server.Commits("default", "spout", "master")))
			if most := rsstest.Most(int64(s.MemoryBudget)); peak > most {
				t.Errorf("%d MiB were taken in place of %d at most", peak>>20, most>>20)
			}
		})
	}
}
