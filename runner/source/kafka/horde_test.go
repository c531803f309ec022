// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/binary"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// startHorde starts n impostors that are the brokers of one cluster, with one
// partition of topic t each. Metadata are answered; the rest is for answer.
func startHorde(t *testing.T, n int, answer func(to net.Conn, r kafkatest.Request)) string {
	t.Helper()
	topic := kmsg.MetadataResponseTopic{Topic: kmsg.StringPtr("t"), TopicID: [16]byte{1}}
	m := &kmsg.MetadataResponse{Version: 12, ClusterID: kmsg.StringPtr("c")}
	var metadata []byte
	handle := func(to net.Conn, r kafkatest.Request) {
		body := metadata
		switch r.Key {
		case kmsg.ApiVersions.Int16():
			body = versionsOf(0, 0)
		case kmsg.Metadata.Int16():
		default:
			answer(to, r)
			return
		}
		kafkatest.Answer(to, r.Correlation, len(body), body)
	}
	var addresses []string
	for i := range int32(n) {
		addresses = append(addresses, startImpostor(t, handle))
		_, port, _ := net.SplitHostPort(addresses[i])
		number, _ := strconv.Atoi(port)
		m.Brokers = append(m.Brokers, kmsg.MetadataResponseBroker{NodeID: i, Host: "127.0.0.1", Port: int32(number)})
		topic.Partitions = append(topic.Partitions, kmsg.MetadataResponseTopicPartition{Partition: i, Leader: i, LeaderEpoch: -1})
	}
	m.Topics = []kmsg.MetadataResponseTopic{topic}
	metadata = append([]byte{0}, m.AppendTo(nil)...)
	return addresses[0]
}

// TestAnswersOfManyBrokers has each broker of many answer with 8 MiB when it is
// asked for an offset.
func TestAnswersOfManyBrokers(t *testing.T) {
	t.Parallel()
	if rsstest.Child(t) {
		s := hostileSource(t, nil)
		ctx := testContext(t)
		if err := s.refreshMetadata(ctx); err != nil {
			t.Fatal(err)
		}
		if err := s.settle(ctx); err != nil {
			t.Fatal(err)
		}
		s.control.close()
		for number, p := range s.table.topics["t"].partitions {
			if p.failure == nil || !strings.Contains(p.failure.Error(), "bytes to ListOffsets is more than the") {
				t.Errorf("partition %d: %v", number, p.failure)
			}
		}
		return
	}
	const brokers = 40
	rsstest.Run(t, hostileLimits, "HOSTILE="+startHorde(t, brokers, func(to net.Conn, r kafkatest.Request) {
		head := binary.BigEndian.AppendUint32(nil, 8<<20)
		_, _ = to.Write(binary.BigEndian.AppendUint32(head, uint32(r.Correlation)))
		_, _ = to.Write(make([]byte, 7<<20)) // the rest never comes
	}))
}

// TestAnswersWaitForRoom reads answers of two brokers at once that have no room
// together.
func TestAnswersWaitForRoom(t *testing.T) {
	t.Parallel()
	const size = 5 << 20
	s, _ := newTestSource(t, config(startCluster(t), "t"))
	begun, finish := make(chan struct{}, 2), make(chan struct{})
	address := startImpostor(t, func(to net.Conn, r kafkatest.Request) {
		if r.Key == kmsg.ApiVersions.Int16() {
			body := versionsOf(0, 0)
			kafkatest.Answer(to, r.Correlation, len(body), body)
			return
		}
		body := make([]byte, size)
		head := binary.BigEndian.AppendUint32(nil, size+4)
		_, _ = to.Write(binary.BigEndian.AppendUint32(head, uint32(r.Correlation)))
		begun <- struct{}{}
		<-finish
		_, _ = to.Write(body)
	})
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			c, err := s.dialer.open(testContext(t), address)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if _, err := c.request(testContext(t), kmsg.NewPtrMetadataRequest()); err != nil {
				t.Error(err)
			}
		})
	}
	<-begun
	<-begun
	awaitObserved(t, s, "an answer has its room", func(o source.Observation) bool { return o.Memory >= size })
	close(finish)
	wait.Wait()
	if _, peak := s.memory.usage(); peak > maxControl {
		t.Errorf("%d bytes were taken at once, %d at most are allowed", peak, maxControl)
	}
}
