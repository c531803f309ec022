// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package brokers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkacluster"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// topic is a topic of one test.
type topic struct {
	t       *testing.T
	cluster *kafkacluster.Cluster
	name    string

	partitions int // that it has been given
}

// config are properties of a topic.
type config map[string]string

// newTopic makes a topic with a replica on each broker.
func newTopic(t *testing.T, c *kafkacluster.Cluster, partitions int, properties config) *topic {
	t.Helper()
	name := regexp.MustCompile(`[^a-zA-Z0-9._-]+`).ReplaceAllString(t.Name(), ".")
	o := named(t, c, name)
	o.create(partitions, properties)
	return o
}

// named returns a topic that is not made yet, whose name is not taken.
func named(t *testing.T, c *kafkacluster.Cluster, name string) *topic {
	return &topic{t: t, cluster: c, name: fmt.Sprintf("%s.%08x", name, rand.Uint32())}
}

// create makes the topic, which must not be there, and waits until it can be
// used: brokers learn of a topic after the answer to the request that made it.
func (o *topic) create(partitions int, properties config) {
	o.t.Helper()
	some := map[string]*string{}
	for name, value := range properties {
		some[name] = kadm.StringPtr(value)
	}
	made, err := o.cluster.Admin().CreateTopic(testContext(o.t), int32(partitions), -1, some, o.name)
	if err == nil {
		err = made.Err
	}
	if err != nil {
		o.t.Fatalf("create topic %s: %v", o.name, err)
	}
	o.partitions = partitions
	o.awaitInSync()
	o.offsets(o.cluster.Admin().ListEndOffsets)
}

// grow gives the topic more partitions. It does not wait for them.
func (o *topic) grow(partitions int) {
	o.t.Helper()
	grown, err := o.cluster.Admin().UpdatePartitions(testContext(o.t), partitions, o.name)
	if err == nil {
		err = grown.Error()
	}
	if err != nil {
		o.t.Fatalf("more partitions for %s: %v", o.name, err)
	}
	o.partitions = partitions
}

// offsets asks for an offset of every partition until all are told: while a
// leader is made known, or elected, brokers refuse some.
func (o *topic) offsets(list func(context.Context, ...string) (kadm.ListedOffsets, error)) (out kadm.ListedOffsets) {
	o.t.Helper()
	ctx := testContext(o.t)
	await(o.t, "the offsets of "+o.name+" are told", func() bool {
		var err error
		if out, err = list(ctx, o.name); err == nil {
			err = out.Error()
		}
		return err == nil && len(out[o.name]) == o.partitions
	})
	return out
}

// client returns a client of franz-go with all rights.
func client(t *testing.T, c *kafkacluster.Cluster, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	const largest = 12 << 20 // batch
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.Addresses(kafkacluster.Plaintext)...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(largest),
		kgo.UnknownTopicRetries(-1), kgo.MetadataMinAge(50 * time.Millisecond), kgo.FetchMaxWait(100 * time.Millisecond)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// uncompressed has a client of franz-go send values as they are.
var uncompressed = kgo.ProducerBatchCompression(kgo.NoCompression())

// produce sends records to the topic and waits until all are taken.
func (o *topic) produce(from *kgo.Client, records ...*kgo.Record) {
	o.t.Helper()
	for _, r := range records {
		r.Topic = o.name
	}
	if err := from.ProduceSync(testContext(o.t), records...).FirstErr(); err != nil {
		o.t.Fatalf("produce to %s: %v", o.name, err)
	}
}

// numbered returns records with a key and a value that tell their number.
func numbered(partition int32, from, n int) (out []*kgo.Record) {
	for i := range n {
		out = append(out, &kgo.Record{Partition: partition, Key: fmt.Appendf(nil, "key %d", from+i), Value: fmt.Appendf(nil, "value %d", from+i)})
	}
	return out
}

// endValue is the value of the record that finish leaves.
var endValue = []byte("the end of what is compared")

// finish writes a last record to each partition. It is what tells a reader,
// which does not see the records that it must not see, that it has all.
func (o *topic) finish() {
	o.t.Helper()
	producer := client(o.t, o.cluster)
	for partition := range o.partitions {
		o.produce(producer, &kgo.Record{Partition: int32(partition), Key: endValue, Value: endValue})
	}
	o.awaitCommitted()
}

// awaitCommitted waits until no transaction is open. Brokers tell a producer
// that a transaction has ended before they have noted it in every partition.
func (o *topic) awaitCommitted() {
	o.t.Helper()
	await(o.t, "all transactions have ended", func() bool {
		open := false
		all, committed := o.offsets(o.cluster.Admin().ListEndOffsets), o.ends()
		all.Each(func(l kadm.ListedOffset) {
			open = open || committed[source.Stream{Name: l.Topic, Partition: l.Partition}] != l.Offset
		})
		return !open
	})
}

// ends returns up to where readers of committed records can read now.
func (o *topic) ends() map[source.Stream]int64 {
	o.t.Helper()
	out := map[source.Stream]int64{}
	listed := o.offsets(o.cluster.Admin().ListCommittedOffsets)
	listed.Each(func(l kadm.ListedOffset) { out[source.Stream{Name: l.Topic, Partition: l.Partition}] = l.Offset })
	return out
}

// expected reads with franz-go what the topic holds for readers of committed
// records, up to where they can read now. It is told the control records, too:
// one may be the last, since a coordinator may write the end of a transaction
// twice.
func (o *topic) expected() (out records) {
	o.t.Helper()
	open := o.ends()
	starts := o.offsets(o.cluster.Admin().ListStartOffsets)
	starts.Each(func(l kadm.ListedOffset) {
		if stream := (source.Stream{Name: l.Topic, Partition: l.Partition}); open[stream] == l.Offset {
			delete(open, stream) // it is empty
		}
	})
	reader := client(o.t, o.cluster, kgo.ConsumeTopics(o.name), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxPartitionBytes(16<<20), kgo.KeepControlRecords())
	defer reader.Close()
	ctx := testContext(o.t)
	for len(open) > 0 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			o.t.Fatalf("franz-go reads %s: %v, after %d records; to be read is %v", o.name, err, len(out), open)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			one := record{Stream: source.Stream{Name: r.Topic, Partition: r.Partition}, Offset: r.Offset,
				Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
			for _, h := range r.Headers {
				one.Headers = append(one.Headers, header{h.Key, h.Value})
			}
			if !r.Attrs.IsControl() {
				out = append(out, one)
			}
			if end, ok := open[one.Stream]; ok && one.Offset >= end-1 {
				delete(open, one.Stream)
			}
		})
	}
	return out
}
