// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/json"
	"net"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// forge has the only broker of a cluster answer to requests for metadata with
// what was changed, while forging is set, and tell of that.
func forge(t *testing.T, c *kfake.Cluster, forging *atomic.Bool, change func(*kmsg.MetadataResponseTopic)) (told <-chan struct{}) {
	t.Helper()
	forged := make(chan struct{}, 1)
	info := c.TopicInfo("t")
	host, text, err := net.SplitHostPort(c.ListenAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	c.ControlKey(kmsg.Metadata.Int16(), func(k kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !forging.Load() {
			return nil, nil, false
		}
		response := k.ResponseKind().(*kmsg.MetadataResponse)
		response.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 0, Host: host, Port: int32(port)}}
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic, topic.TopicID = kmsg.StringPtr("t"), info.TopicID
		topic.Partitions = []kmsg.MetadataResponseTopicPartition{kmsg.NewMetadataResponseTopicPartition()}
		change(&topic)
		response.Topics = append(response.Topics, topic)
		select {
		case forged <- struct{}{}:
		default:
		}
		return response, nil, true
	})
	return forged
}

// TestForgedEpoch: a leader epoch that no broker has does not keep a partition
// from being read once the brokers tell the truth again.
func TestForgedEpoch(t *testing.T) {
	t.Parallel()
	c := startCluster(t, kfake.NumBrokers(1))
	createTopic(t, c, "t", 1)
	cl := client(t, c)
	produce(t, cl, numbered("t", 0, 0, 5)...)
	var forging atomic.Bool
	told := forge(t, c, &forging, func(topic *kmsg.MetadataResponseTopic) { topic.Partitions[0].LeaderEpoch = 1 << 30 })
	s, _ := open(t, config(c, "t"), nil)
	wantValues(t, read(t, s, 5), 0, 5)
	forging.Store(true)
	s.wantMetadata()
	<-told
	forging.Store(false)
	produce(t, cl, numbered("t", 0, 5, 5)...)
	wantValues(t, read(t, s, 5), 5, 5)
}

// TestPhantomPartition: a partition that metadata have told of, and no longer
// tell of, is not waited for when a source is opened.
func TestPhantomPartition(t *testing.T) {
	t.Parallel()
	c := startCluster(t, kfake.NumBrokers(1))
	createTopic(t, c, "t", 1)
	cl := client(t, c)
	produce(t, cl, numbered("t", 0, 0, 5)...)
	var forging atomic.Bool
	forging.Store(true)
	told := forge(t, c, &forging, func(topic *kmsg.MetadataResponseTopic) {
		phantom := kmsg.NewMetadataResponseTopicPartition()
		phantom.Partition = 7
		topic.Partitions = append(topic.Partitions, phantom)
		forging.Store(false) // from now on
	})
	s, _ := open(t, config(c, "t"), nil)
	wantValues(t, read(t, s, 5), 0, 5)
	<-told
	if len(s.position.Topics["t"].Partitions) != 1 {
		t.Errorf("the position is %s", s.Position())
	}
}

// TestForgedEpochInAPosition: a leader epoch that a batch has claimed, and no
// broker knows, is no reason to stop or to wait when a source is opened again.
func TestForgedEpochInAPosition(t *testing.T) {
	t.Parallel()
	c := startCluster(t, kfake.NumBrokers(1))
	createTopic(t, c, "t", 1)
	produce(t, client(t, c), numbered("t", 0, 0, 10)...)
	s, _ := open(t, config(c, "t"), json.RawMessage(`{"topics":{"t":{"partitions":{"0":[5,2147483646]}}}}`))
	wantValues(t, read(t, s, 5), 5, 5)
	if m := s.position.Topics["t"].Partitions[0]; m.Next != 10 || m.Epoch != 0 {
		t.Errorf("the position is %s", s.Position())
	}
}
