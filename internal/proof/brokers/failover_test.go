// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package brokers

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkacluster"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// described returns what the metadata tell of each partition, once they tell
// of all. A broker that has just started may lack some.
func (o *topic) described() (out kadm.PartitionDetails) {
	o.t.Helper()
	ctx := testContext(o.t)
	await(o.t, "the metadata tell of all partitions of "+o.name, func() bool {
		details, err := o.cluster.Admin().ListTopics(ctx, o.name)
		out = details[o.name].Partitions
		return err == nil && details.Error() == nil && len(out) == o.partitions
	})
	return out
}

// awaitInSync waits until every replica of every partition is in sync.
func (o *topic) awaitInSync() {
	o.t.Helper()
	await(o.t, "all replicas are in sync", func() bool {
		for _, p := range o.described() {
			if p.Err != nil || p.Leader < 0 || len(p.ISR) != len(p.Replicas) {
				return false
			}
		}
		return true
	})
}

// whileProducing does something while n records are produced to each of a
// number of partitions, a few at a time.
func (o *topic) whileProducing(partitions, from, n int, do func()) {
	o.t.Helper()
	const few = 10
	producer := client(o.t, o.cluster)
	ctx := testContext(o.t)
	done := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		for i := 0; i < n; i += few {
			if i == few {
				close(begun)
			}
			for partition := range partitions {
				some := numbered(int32(partition), from+i, few)
				for _, r := range some {
					r.Topic = o.name
				}
				if err := producer.ProduceSync(ctx, some...).FirstErr(); err != nil {
					done <- err
					return
				}
			}
		}
		done <- nil
	}()
	select {
	case <-begun:
	case err := <-done:
		o.t.Fatalf("produce: %v", err)
	}
	do()
	if err := <-done; err != nil {
		o.t.Fatalf("produce: %v", err)
	}
}

// TestLeaderMoves has the leaders of partitions change while they are written
// and read.
func TestLeaderMoves(t *testing.T) {
	c := triple.get(t)
	const partitions, n = 3, 300
	o := newTopic(t, c, partitions, nil)
	r := open(t, readerSettings(c, o), nil)
	for round := range 4 {
		o.whileProducing(partitions, round*n, n, func() {
			var assign kadm.AlterPartitionAssignmentsReq
			for p := range int32(partitions) {
				first := int32(round) + p
				assign.Assign(o.name, p, []int32{first%3 + 1, (first+1)%3 + 1, (first+2)%3 + 1})
			}
			moved, err := c.Admin().AlterPartitionAssignments(testContext(t), assign)
			if err == nil {
				err = moved.Error()
			}
			if err != nil {
				t.Fatal(err)
			}
			o.elect(kadm.ElectPreferredReplica)
		})
		r.readTo(o.ends())
	}
	if epoch := o.described()[0].LeaderEpoch; epoch < 3 {
		t.Errorf("partition 0 is in the leader epoch %d only", epoch)
	}
	o.finish()
	r.readTo(o.ends())
	compare(t, r.have, o.expected())
}

// elect has leaders of all partitions elected that need another one.
func (o *topic) elect(how kadm.ElectLeadersHow) {
	o.t.Helper()
	var all kadm.TopicsSet
	for partition := range o.partitions {
		all.Add(o.name, int32(partition))
	}
	ctx := testContext(o.t)
	await(o.t, "leaders of "+o.name+" are elected", func() bool {
		results, err := o.cluster.Admin().ElectLeaders(ctx, how, all)
		if err != nil {
			return false
		}
		for _, result := range results[o.name] {
			if result.Err != nil && !errors.Is(result.Err, kerr.ElectionNotNeeded) {
				return false
			}
		}
		return true
	})
}

// TestBrokersRestart kills brokers, and ends them in good order, while their
// partitions are written and read.
func TestBrokersRestart(t *testing.T) {
	c := triple.get(t)
	const partitions, n = 3, 600
	o := newTopic(t, c, partitions, config{"min.insync.replicas": "2"})
	r := open(t, readerSettings(c, o), nil)
	for i, end := range []func(*kafkacluster.Broker){(*kafkacluster.Broker).Kill, (*kafkacluster.Broker).Shutdown, (*kafkacluster.Broker).Kill} {
		b := c.Brokers()[i]
		o.whileProducing(partitions, i*n, n, func() {
			end(b)
			if err := b.Start(testContext(t)); err != nil {
				t.Fatal(err)
			}
		})
		o.awaitInSync()
		r.readTo(o.ends())
	}
	o.finish()
	r.readTo(o.ends())
	want := o.expected()
	compare(t, r.have, want)
	if len(want) < 3*partitions*n {
		t.Errorf("%d records, %d were produced", len(want), 3*partitions*n)
	}
}

// TestUncleanElection makes a replica the leader that lacks records which were
// read. Reading on at the same offset would skip others, without a sign but
// the leader's epoch.
func TestUncleanElection(t *testing.T) {
	c := triple.get(t)
	o := named(t, c, t.Name())
	ahead, behind := c.Broker(1), c.Broker(2)
	o.createOn(ahead.ID, behind.ID)
	stream := source.Stream{Name: o.name}
	acks := []kgo.Opt{kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck())}
	producer := client(t, c, acks...)
	o.produce(producer, numbered(0, 0, 100)...)
	o.awaitInSync()
	k := readerSettings(c, o)
	shared := open(t, k, nil)
	shared.readTo(map[source.Stream]int64{stream: 100})
	position := shared.Position() // what both replicas have
	behind.Kill()
	await(t, "the replica is out of sync", func() bool { return len(o.described()[0].ISR) == 1 })
	o.produce(producer, numbered(0, 100, 50)...)
	shared.readTo(map[source.Stream]int64{stream: 150})
	lost := shared.Position()
	ahead.Kill()
	if err := behind.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	// The controller takes some seconds to see that the old leader is dead;
	// until then it finds that no election is needed.
	await(t, "the replica that lacks records leads", func() bool {
		o.elect(kadm.ElectLiveReplica)
		return o.described()[0].Leader == behind.ID
	})
	o.produce(client(t, c, acks...), numbered(0, 1000, 80)...) // so that the log has again all offsets that were read

	var err error
	for err == nil {
		err = shared.step(testContext(t))
	}
	tells := []string{o.name, "partition 0", "it was cut off at offset 100", "unclean leader election"}
	wantStop(t, err, tells...)
	if len(shared.have) != 150 {
		t.Errorf("read %d records, 150 before the election", len(shared.have))
	}
	refuses(t, k, lost, tells...)
	k.OnOutOfRange = "earliest" // is no policy for that
	refuses(t, k, lost, tells...)

	resumed := open(t, k, position)
	if err := ahead.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	o.awaitInSync()
	o.finish()
	resumed.readTo(o.ends())
	all := o.expected()
	compare(t, resumed.have, all[100:])
	compare(t, shared.have[:100], all[:100])
}

// createOn makes the topic with one partition on some brokers, the first of
// which leads it.
func (o *topic) createOn(brokers ...int32) {
	o.t.Helper()
	assignment := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	assignment.Replicas = brokers
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = o.name, -1, -1
	topic.ReplicaAssignment = append(topic.ReplicaAssignment, assignment)
	request := kmsg.NewPtrCreateTopicsRequest()
	request.Topics = append(request.Topics, topic)
	request.TimeoutMillis = int32(patience.Milliseconds())
	response, err := request.RequestWith(testContext(o.t), client(o.t, o.cluster))
	if err == nil {
		err = kerr.ErrorForCode(response.Topics[0].ErrorCode)
	}
	if err != nil {
		o.t.Fatalf("create topic %s: %v", o.name, err)
	}
	o.partitions = 1
}
