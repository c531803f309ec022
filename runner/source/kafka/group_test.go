// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupOffset returns a group's offset of a partition, -1 if it has none.
func groupOffset(t *testing.T, cl *kgo.Client, group, topic string, partition int32) int64 {
	t.Helper()
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group = group
	asked := kmsg.NewOffsetFetchRequestTopic()
	asked.Topic, asked.Partitions = topic, []int32{partition}
	request.Topics = append(request.Topics, asked)
	answer, err := request.RequestWith(testContext(t), cl)
	if err != nil {
		t.Fatal(err)
	}
	for _, topics := range answer.Topics {
		return topics.Partitions[0].Offset
	}
	for _, groups := range answer.Groups {
		for _, topics := range groups.Topics {
			return topics.Partitions[0].Offset
		}
	}
	return -1
}

// awaitOffset waits until a group's offset of a partition is what it should be.
func awaitOffset(t *testing.T, cl *kgo.Client, group, topic string, partition int32, want int64) {
	t.Helper()
	ctx := testContext(t)
	for {
		have := groupOffset(t, cl, group, topic, partition)
		if have == want {
			return
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			t.Fatalf("the offset of %s/%d is %d, want %d", topic, partition, have, want)
		}
	}
}

// TestPositionIsPublished shows the durable position, and no other, as offsets
// of a group; beginning with the one that the source was opened at.
func TestPositionIsPublished(t *testing.T) {
	t.Parallel()
	c := startCluster(t, kfake.NumBrokers(3))
	createTopic(t, c, "t", 2)
	cl := client(t, c)
	for p := range int32(2) {
		produce(t, cl, numbered("t", p, 0, 10)...)
	}
	k := config(c, "t")
	k.GroupID = "spout"
	s, _ := open(t, k, nil)
	read(t, s, 20)
	position := s.Position()
	produce(t, cl, numbered("t", 0, 10, 5)...)
	s.Acknowledge(context.Background(), position)
	read(t, s, 5)
	awaitOffset(t, cl, "spout", "t", 0, 10)
	awaitOffset(t, cl, "spout", "t", 1, 10)
	s.Acknowledge(context.Background(), s.Position())
	awaitOffset(t, cl, "spout", "t", 0, 15)

	// It is never read: an offset that somebody sets is not gone on from.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wrong := kmsg.NewPtrOffsetCommitRequest()
	wrong.Group, wrong.Generation = "spout", -1
	topic, partition := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	topic.Topic, topic.TopicID, partition.Offset = "t", c.TopicInfo("t").TopicID, 3
	topic.Partitions = append(topic.Partitions, partition)
	wrong.Topics = append(wrong.Topics, topic)
	if _, err := wrong.RequestWith(testContext(t), cl); err != nil {
		t.Fatal(err)
	}
	awaitOffset(t, cl, "spout", "t", 0, 3)
	s, _ = open(t, k, s.Position())
	awaitOffset(t, cl, "spout", "t", 0, 15)
	produce(t, cl, numbered("t", 0, 15, 5)...)
	wantValues(t, read(t, s, 5), 15, 5)
}

// TestPublishingIsNoMatter: reading goes on when the brokers refuse the
// offsets, and the log says once what to do.
func TestPublishingIsNoMatter(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		key  kmsg.Key
		err  *kerr.Error
		text string
	}{
		{kmsg.OffsetCommit, kerr.GroupAuthorizationFailed, "give the user the operation Read on this group"},
		{kmsg.FindCoordinator, kerr.GroupAuthorizationFailed, "unset SPOUT_KAFKA_GROUP_ID"},
		{kmsg.OffsetCommit, kerr.TopicAuthorizationFailed, "on the topics"},
		{kmsg.OffsetCommit, kerr.UnknownMemberID, "other consumers are members of this group"},
		{kmsg.OffsetCommit, kerr.NotCoordinator, "it is tried again"},
	} {
		t.Run(fault.key.Name()+" "+fault.err.Message, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, kfake.NumBrokers(2))
			createTopic(t, c, "t", 1)
			cl := client(t, c)
			produce(t, cl, numbered("t", 0, 0, 5)...)
			refused := c.Fault(kfake.Fault{Keys: []kmsg.Key{fault.key}, Err: fault.err, Count: -1})
			k := config(c, "t")
			k.GroupID = "spout"
			s, l := open(t, k, nil)
			read(t, s, 5)
			s.Acknowledge(context.Background(), s.Position())
			l.Await(t, fault.text)
			produce(t, cl, numbered("t", 0, 5, 5)...)
			wantValues(t, read(t, s, 5), 5, 5)
			s.Acknowledge(context.Background(), s.Position())
			if n := strings.Count(l.String(), "cannot publish the position"); n != 1 {
				t.Errorf("it was logged %d times:\n%s", n, l)
			}
			refused.Remove()
			if !isDenied(fault.err) { // those are tried again later
				awaitOffset(t, cl, "spout", "t", 0, 10)
				l.Await(t, "is published as offsets of a consumer group again")
			}
		})
	}
}

// TestGroupOfOthersIsLeftAlone publishes nothing into a group with members.
func TestGroupOfOthersIsLeftAlone(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 1)
	cl := client(t, c)
	produce(t, cl, numbered("t", 0, 0, 5)...)
	member := client(t, c, kgo.ConsumerGroup("others"), kgo.ConsumeTopics("t"), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err := member.PollFetches(testContext(t)).Err(); err != nil {
		t.Fatal(err)
	}
	k := config(c, "t")
	k.GroupID = "others"
	s, l := open(t, k, nil)
	read(t, s, 5)
	s.Acknowledge(context.Background(), s.Position())
	l.Await(t, "other consumers are members of this group")
	if offset := groupOffset(t, cl, "others", "t", 0); offset != -1 {
		t.Errorf("the offset %d was published", offset)
	}
}
