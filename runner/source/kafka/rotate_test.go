// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// TestBrokersThatAreNoMore has each answer of metadata name brokers that are
// new, and lead the partitions. Those of before are forgotten.
func TestBrokersThatAreNoMore(t *testing.T) {
	t.Parallel()
	const brokers, rounds = 20, 12
	var mu sync.Mutex
	var port int32
	round, done := int32(0), make(chan struct{})
	answer := func(to net.Conn, r kafkatest.Request) {
		var body []byte
		switch r.Key {
		case kmsg.ApiVersions.Int16():
			body = versionsOf(0, 0)
		case kmsg.Metadata.Int16():
			mu.Lock()
			if round++; round == rounds {
				close(done)
			}
			m := &kmsg.MetadataResponse{Version: 12, ClusterID: kmsg.StringPtr("c")}
			topic := kmsg.MetadataResponseTopic{Topic: kmsg.StringPtr("t"), TopicID: [16]byte{1}}
			for i := range int32(brokers) {
				id := max(min(round, rounds)-3, 0)*brokers + i // the same while the source is opened
				m.Brokers = append(m.Brokers, kmsg.MetadataResponseBroker{NodeID: id, Host: "127.0.0.1", Port: port})
				topic.Partitions = append(topic.Partitions, kmsg.MetadataResponseTopicPartition{Partition: i, Leader: id, LeaderEpoch: -1})
			}
			mu.Unlock()
			m.Topics = []kmsg.MetadataResponseTopic{topic}
			body = append([]byte{0}, m.AppendTo(nil)...)
		case kmsg.ListOffsets.Int16():
			m := &kmsg.ListOffsetsResponse{Version: r.Version}
			topic := kmsg.ListOffsetsResponseTopic{Topic: "t"}
			for i := range int32(brokers) {
				topic.Partitions = append(topic.Partitions, kmsg.ListOffsetsResponseTopicPartition{Partition: i})
			}
			m.Topics = append(m.Topics, topic)
			body = append([]byte{0}, m.AppendTo(nil)...)
		default:
			_ = to.Close()
			return
		}
		kafkatest.Answer(to, r.Correlation, len(body), body)
	}
	mu.Lock()
	address := startImpostor(t, answer)
	_, text, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(text)
	port = int32(number)
	mu.Unlock()
	k := config(startCluster(t), "t")
	k.Brokers = []string{address}
	s, _ := open(t, k, nil)
	seen := map[*broker]bool{} // by whether the fetch loop has ended
	for began, over := time.Now(), false; ; time.Sleep(time.Millisecond) {
		select {
		case <-done:
			over = true
		default:
		}
		s.table.mu.Lock()
		known, running := len(s.table.brokers), 0
		for _, b := range s.table.brokers {
			if _, known := seen[b]; !known {
				seen[b] = false
			}
		}
		for b := range seen {
			select {
			case _, more := <-b.responses:
				seen[b] = !more
			default:
				if b.started {
					running++
				}
			}
		}
		s.table.mu.Unlock()
		if over && len(seen) > 2*brokers && known <= brokers && running <= brokers {
			return
		}
		if time.Since(began) > patience {
			t.Fatalf("%d brokers and %d fetch loops of %d that were seen, %d of each are enough", known, running, len(seen), brokers)
		}
	}
}

// TestTopicsThatAreNoMore has each answer of metadata name topics that are new.
// Those of before are forgotten; if reading them was begun, they count against
// what there may be in all.
func TestTopicsThatAreNoMore(t *testing.T) {
	t.Parallel()
	const topics, partitions = 20, 1000
	k := config(startCluster(t))
	k.Pattern = ".*"
	s, l := newTestSource(t, k)
	answers := 0
	apply := func() {
		t.Helper()
		answers++
		m := &wire.Metadata{}
		m.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 1, Host: "h", Port: 1}}
		for i := range topics {
			name := fmt.Sprintf("%s%d-%d", strings.Repeat("x", 200), answers, i)
			topic := wire.TopicMetadata{Topic: &name, TopicID: [16]byte{byte(answers), byte(i)}}
			for number := range int32(partitions) {
				topic.Partitions = append(topic.Partitions, wire.PartitionMetadata{Partition: number, Leader: 1, LeaderEpoch: -1})
			}
			m.Topics = append(m.Topics, topic)
		}
		if err := s.applyMetadata(m); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		apply()
	}
	if n, ids := len(s.table.topics), len(s.table.byID); n != topics || ids != topics || s.table.indices != 2*topics*partitions {
		t.Errorf("%d topics, %d ids and %d indices are kept after 3 answers", n, ids, s.table.indices)
	}
	begin := func() {
		s.table.each(func(p *partition) { p.begun = true })
	}
	begin()
	for range 7 {
		apply()
		begin()
	}
	kept := 0
	s.table.each(func(*partition) { kept++ })
	if n, most := len(s.table.topics), maxPosition/(topicPositionBytes+200); n+kept > maxPartitions || n > most {
		t.Errorf("%d topics and %d partitions are kept", n, kept)
	}
	l.Await(t, "more topics and partitions than one spout reads")
	if troubles := s.Observe().Troubles; len(troubles) != 1 || !strings.Contains(troubles[0].Text, "more topics") {
		t.Errorf("the troubles are %v", troubles)
	}
}
