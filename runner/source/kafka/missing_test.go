// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/logtest"
	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/kafka"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// openSoon opens a source that has less patience than usual.
func openSoon(t testing.TB, k settings.Kafka, position json.RawMessage) (*Source, *logtest.Log) {
	t.Helper()
	s, l := newTestSource(t, k)
	s.patience = 200 * time.Millisecond
	if err := s.Open(testContext(t), position); err != nil {
		t.Fatalf("open: %v\n%s", err, l)
	}
	return s, l
}

// twoTopics starts a cluster with 5 records in topic a and n in the last
// partition of topic b.
func twoTopics(t testing.TB, last int32, n int) (*kfake.Cluster, settings.Kafka) {
	t.Helper()
	c := startCluster(t, kfake.NumBrokers(2))
	createTopic(t, c, "a", 1)
	createTopic(t, c, "b", int(last)+1)
	cl := client(t, c)
	produce(t, cl, numbered("a", 0, 0, 5)...)
	produce(t, cl, numbered("b", last, 0, n)...)
	return c, config(c, "a", "b")
}

// positionAfter reads n records from the start and returns the position, with
// topic b in the generation 2.
func positionAfter(t testing.TB, k settings.Kafka, n int) json.RawMessage {
	t.Helper()
	s, _ := open(t, k, nil)
	read(t, s, n)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := positions.Parse(s.Position())
	if err != nil {
		t.Fatal(err)
	}
	p.Topics["b"].Generation = 2
	return p.Render()
}

// entry returns what a position says of a topic.
func entry(t testing.TB, position json.RawMessage, topic string) string {
	t.Helper()
	var p struct {
		Topics map[string]json.RawMessage `json:"topics"`
	}
	if err := json.Unmarshal(position, &p); err != nil {
		t.Fatal(err)
	}
	return string(p.Topics[topic])
}

// TestMissingTopicHoldsNothingUp opens at a position while one of its topics is
// not to be seen. The others are read, and that one goes on where it was once
// it is back.
func TestMissingTopicHoldsNothingUp(t *testing.T) {
	t.Parallel()
	for _, fault := range []*kerr.Error{kerr.UnknownTopicOrPartition, kerr.TopicAuthorizationFailed, kerr.LeaderNotAvailable} {
		t.Run(fault.Message, func(t *testing.T) {
			t.Parallel()
			c, k := twoTopics(t, 0, 10)
			k.Start = "earliest"
			position := positionAfter(t, k, 15)
			k.Start = "latest" // of topics that are new
			addPartitions(t, client(t, c), "b", 2)
			cl := client(t, c)
			produce(t, cl, numbered("a", 0, 5, 5)...)
			produce(t, cl, numbered("b", 0, 10, 5)...)
			produce(t, cl, numbered("b", 1, 50, 5)...)
			hidden := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "b", Err: fault, Count: -1})
			s, l := openSoon(t, k, position)
			wantValues(t, read(t, s, 5), 5, 5)
			if have, want := entry(t, s.Position(), "b"), entry(t, position, "b"); have != want {
				t.Errorf("the position of b is %s while it is missing, it was %s", have, want)
			}
			if !strings.Contains(l.String(), "continuing without") {
				t.Errorf("the log does not tell that a topic is missing:\n%s", l)
			}
			hidden.Remove()
			for stream, records := range byStream(read(t, s, 10)) {
				from := map[int32]int{0: 10, 1: 50}[stream.Partition]
				wantValues(t, records, from, 5)
				if stream.Name != "b" || stream.Generation != 2 {
					t.Errorf("the stream is %+v", stream)
				}
			}
			if have := s.position.Topics["b"]; have.Generation != 2 || have.Partitions[0].Next != 15 || have.Partitions[1].Next != 5 {
				t.Errorf("the position is %s", s.Position())
			}
		})
	}
}

// TestTopicRecreatedAfterOpen opens at a position while one of its topics does
// not exist, and makes another one of that name.
func TestTopicRecreatedAfterOpen(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"stop", "restart"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			c, k := twoTopics(t, 1, 5)
			k.OnTopicRecreated = policy
			position := positionAfter(t, k, 10)
			if err := c.DeleteTopic("b"); err != nil {
				t.Fatal(err)
			}
			produce(t, client(t, c), numbered("a", 0, 5, 5)...)
			s, _ := openSoon(t, k, position)
			wantValues(t, read(t, s, 5), 5, 5)
			createTopic(t, c, "b", 3)
			cl := client(t, c)
			produce(t, cl, numbered("b", 1, 100, 20)...)
			if policy == "stop" {
				wantStop(t, s, "topic b was deleted and made again", "SPOUT_KAFKA_ON_TOPIC_RECREATED=restart")
				return
			}
			records := read(t, s, 20)
			wantValues(t, records, 100, 20)
			if records[0].Generation != 3 {
				t.Errorf("the stream is %+v, not of generation 3", records[0].Stream)
			}
			s.table.mu.Lock()
			if s.table.indices != 4 {
				t.Errorf("%d indices were given to at most 4 partitions at a time", s.table.indices)
			}
			s.table.mu.Unlock()
			if p := s.position.Topics["b"]; p.Generation != 3 || p.Partitions[1].Next != 20 || p.ID != topicID(c.TopicInfo("b").TopicID) {
				t.Errorf("the position is %s", s.Position())
			}
		})
	}
}

// TestPartitionWithoutStartHoldsNothingUp opens at a position while the leader
// of a new partition, or of a topic that was made again, tells no offsets.
func TestPartitionWithoutStartHoldsNothingUp(t *testing.T) {
	t.Parallel()
	for _, recreated := range []bool{false, true} {
		t.Run(map[bool]string{false: "new partition", true: "topic made again"}[recreated], func(t *testing.T) {
			t.Parallel()
			c, k := twoTopics(t, 0, 5)
			k.OnTopicRecreated = "restart"
			position := positionAfter(t, k, 10)
			k.Start = "latest" // of topics that are new
			generation, want := 2, entry(t, position, "b")
			if recreated {
				if err := c.DeleteTopic("b"); err != nil {
					t.Fatal(err)
				}
				createTopic(t, c, "b", 2)
				generation, want = 3, `{"id":"`+topicID(c.TopicInfo("b").TopicID)+`","generation":3,"partitions":{}}`
			} else {
				addPartitions(t, client(t, c), "b", 2)
			}
			cl := client(t, c)
			produce(t, cl, numbered("a", 0, 5, 5)...)
			produce(t, cl, numbered("b", 1, 20, 5)...)
			silent := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "b", Err: kerr.LeaderNotAvailable, Count: -1})
			s, _ := openSoon(t, k, position)
			wantValues(t, read(t, s, 5), 5, 5)
			if have := entry(t, s.Position(), "b"); have != want {
				t.Errorf("the position of b is %s, want %s", have, want)
			}
			silent.Remove()
			records := read(t, s, 5)
			wantValues(t, records, 20, 5)
			if records[0].Generation != generation {
				t.Errorf("the stream is %+v, not of generation %d", records[0].Stream, generation)
			}
		})
	}
}

// TestNewTopicIsWaitedFor opens at a position that lacks one of the topics.
func TestNewTopicIsWaitedFor(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "a", 1)
	createTopic(t, c, "b", 1)
	position := positionAfter(t, config(c, "a", "b"), 0)
	s, l := newTestSource(t, config(c, "a", "b", "u"))
	s.patience = 50 * time.Millisecond
	opened := make(chan error, 1)
	go func() { opened <- s.Open(testContext(t), position) }()
	l.Await(t, "topic does not exist; waiting for it")
	select {
	case err := <-opened:
		t.Fatalf("opened without the topic u, with the error %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	createTopic(t, c, "u", 1)
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	produce(t, client(t, c), numbered("u", 0, 0, 3)...)
	wantValues(t, read(t, s, 3), 0, 3)
}
