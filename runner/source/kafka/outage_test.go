// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

func TestFollowsLeaders(t *testing.T) {
	t.Parallel()
	c := startCluster(t, kfake.NumBrokers(3))
	createTopic(t, c, "t", 3)
	cl := client(t, c)
	s, _ := open(t, config(c, "t"), nil)
	var all []got
	for round := range 6 {
		for p := range int32(3) {
			produce(t, cl, numbered("t", p, round*10, 10)...)
		}
		all = append(all, readToEnd(t, c, s, "t")...)
		for p := range int32(3) {
			if err := c.MoveTopicPartition("t", p, (int32(round)+p)%3); err != nil {
				t.Fatal(err)
			}
		}
	}
	same(t, all, oracle(t, c, kgo.ReadCommitted(), 180, "t"))
	if position := string(s.Position()); !strings.Contains(position, `"0":[60,5]`) {
		t.Errorf("the position does not tell leader epoch 5: %s", position)
	}
}

func TestSurvivesOutages(t *testing.T) {
	t.Parallel()
	c := startCluster(t, kfake.NumBrokers(2))
	createTopic(t, c, "t", 4)
	cl := client(t, c)
	n := newNetwork()
	s, l := open(t, config(c, "t"), nil, WithDial(n.dial))
	var all []got
	for round := range 4 {
		for p := range int32(4) {
			produce(t, cl, numbered("t", p, round*10, 10)...)
		}
		all = append(all, readToEnd(t, c, s, "t")...)
		n.cut(round == 2)
		if round == 2 {
			l.Await(t, "cannot fetch from broker")
			n.cut(false)
		}
	}
	same(t, all, oracle(t, c, kgo.ReadCommitted(), 160, "t"))
}

// TestBrokersComeAndGo removes brokers, among them the only one that is
// configured, and adds others.
func TestBrokersComeAndGo(t *testing.T) {
	t.Parallel()
	c := startCluster(t, kfake.NumBrokers(3))
	createTopic(t, c, "t", 4)
	n := newNetwork()
	k := config(c, "t")
	k.Brokers = k.Brokers[:1]
	s, _ := open(t, k, nil, WithDial(n.dial))
	for round := range 3 {
		cl := client(t, c)
		for p := range int32(4) {
			produce(t, cl, numbered("t", p, round*10, 10)...)
		}
		for stream, records := range byStream(readToEnd(t, c, s, "t")) {
			t.Log(stream)
			wantValues(t, records, round*10, 10)
		}
		if _, _, err := c.AddNode(int32(3+round), 0); err != nil {
			t.Fatal(err)
		}
		if err := c.RemoveNode(int32(round)); err != nil {
			t.Fatal(err)
		}
		n.cut(false)
	}
}

func TestOpensWhenTheNetworkComesUp(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	n := newNetwork()
	n.cut(true)
	s, l := newTestSource(t, config(c, "t"), WithDial(n.dial))
	opened := make(chan error, 1)
	go func() { opened <- s.Open(testContext(t), nil) }()
	l.Await(t, "cannot reach Kafka")
	n.cut(false)
	l.Await(t, "topic does not exist; waiting for it")
	createTopic(t, c, "t", 1)
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	produce(t, client(t, c), numbered("t", 0, 0, 5)...)
	wantValues(t, read(t, s, 5), 0, 5)
}

// TestTriesAgain has brokers refuse fetches and questions for all kinds of
// passing reasons.
func TestTriesAgain(t *testing.T) {
	t.Parallel()
	for _, key := range []kmsg.Key{kmsg.Fetch, kmsg.ListOffsets, kmsg.OffsetForLeaderEpoch, kmsg.Metadata} {
		for _, err := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch,
			kerr.LeaderNotAvailable, kerr.UnknownServerError, kerr.TopicAuthorizationFailed, kerr.UnknownTopicOrPartition, kerr.KafkaStorageError, kerr.OffsetOutOfRange} {
			t.Run(key.Name()+" "+err.Message, func(t *testing.T) {
				t.Parallel()
				c := startCluster(t)
				createTopic(t, c, "t", 1)
				produce(t, client(t, c), numbered("t", 0, 0, 10)...)
				s, _ := open(t, config(c, "t"), nil)
				read(t, s, 10)
				position := s.Position()
				s.Close()
				produce(t, client(t, c), numbered("t", 0, 10, 10)...)
				fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: "t", Err: err, Count: 2})
				s, l := open(t, config(c, "t"), position)
				wantValues(t, read(t, s, 10), 10, 10)
				if fault.Hits() != 2 {
					t.Errorf("the fault was met %d times in place of 2", fault.Hits())
				}
				if err == kerr.TopicAuthorizationFailed && !strings.Contains(l.String(), "[ERROR]") {
					t.Errorf("nothing at level error in the log:\n%s", l)
				}
			})
		}
	}
}

func TestDamageIsFetchedAgain(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 2)
	cl := client(t, c)
	for p := range int32(2) {
		for i := range 5 {
			produce(t, cl, &kgo.Record{Topic: "t", Partition: p, Value: fmt.Appendf(nil, "value-%d-%d", p, i)})
		}
	}
	n := newNetwork()
	n.marker = []byte("value-1-3")
	n.damage.Store(2)
	s, _ := open(t, config(c, "t"), nil, WithDial(n.dial))
	same(t, readToEnd(t, c, s, "t"), oracle(t, c, kgo.ReadCommitted(), 10, "t"))
	if damaged := s.Stats().Damaged; damaged != 2 {
		t.Errorf("%d damaged batches were counted in place of 2", damaged)
	}
}

func TestDamageThatStaysStops(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 1)
	for i := range 5 {
		produce(t, client(t, c), &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "value-%d", i)})
	}
	n := newNetwork()
	n.marker = []byte("value-3")
	n.damage.Store(1 << 30)
	s, _ := open(t, config(c, "t"), nil, WithDial(n.dial))
	if before := read(t, s, 3); string(before[2].Value) != "value-2" {
		t.Fatal(before)
	}
	wantStop(t, s, "topic t partition 0", "offset 3", "checksum")
}

// wantStop reads up to the error that stops the source, which has to be a Stop
// that says all of the texts.
func wantStop(t testing.TB, s *Source, texts ...string) {
	t.Helper()
	for {
		chunk, err := s.Next(testContext(t))
		if err == nil {
			chunk.Release()
			continue
		}
		checkStop(t, err, texts...)
		return
	}
}

func checkStop(t testing.TB, err error, texts ...string) {
	t.Helper()
	if !source.IsStop(err) {
		t.Fatalf("the error is no Stop: %v", err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
}
