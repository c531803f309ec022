// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// selector answers fetches as a broker with a rack-aware replica selector:
// the leader of partition t/0 sends those that name the rack to a follower.
type selector struct {
	c        *kfake.Cluster
	follower int32
	names    int32 // the broker that the leader sends to, if it is not the follower

	mu      sync.Mutex
	served  map[int32]int // fetches of the partition by broker
	refusal *kerr.Error   // what the follower answers
}

func (r *selector) serve(rack string) {
	r.served = map[int32]int{}
	r.c.SetFollowers("t", 0, []int32{r.follower})
	r.c.ControlKey(kmsg.Fetch.Int16(), func(k kmsg.Request) (kmsg.Response, error, bool) {
		r.c.KeepControl()
		request := k.(*kmsg.FetchRequest)
		node := r.c.CurrentNode()
		r.mu.Lock()
		defer r.mu.Unlock()
		sent := func(code int16, replica int32) (kmsg.Response, error, bool) {
			response := request.ResponseKind().(*kmsg.FetchResponse)
			for _, t := range request.Topics {
				topic := kmsg.NewFetchResponseTopic()
				topic.Topic, topic.TopicID = t.Topic, t.TopicID
				for _, p := range t.Partitions {
					partition := kmsg.NewFetchResponseTopicPartition()
					partition.Partition, partition.ErrorCode, partition.PreferredReadReplica, partition.RecordBatches = p.Partition, code, replica, []byte{}
					topic.Partitions = append(topic.Partitions, partition)
				}
				response.Topics = append(response.Topics, topic)
			}
			return response, nil, true
		}
		switch {
		case node != r.follower && request.Rack == rack:
			if r.names != 0 {
				return sent(0, r.names)
			}
			return sent(0, r.follower)
		case node == r.follower && r.refusal != nil:
			return sent(r.refusal.Code, -1)
		}
		r.served[node]++
		return nil, nil, false
	})
}

func (r *selector) count(node int32) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.served[node]
}

// TestRack reads from the follower, goes back to the leader when the follower
// refuses, cannot be reached or is not in the rack, and misses nothing.
func TestRack(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		rack     string
		refusal  *kerr.Error
		names    int32
		down     bool
		follower bool // it is read from
	}{
		{name: "in the rack", rack: "a", follower: true},
		{name: "in another", rack: "b"},
		{name: "no rack"},
		{name: "out of range", rack: "a", refusal: kerr.OffsetOutOfRange},
		{name: "not in sync", rack: "a", refusal: kerr.NotLeaderForPartition},
		{name: "not known yet", rack: "a", names: 99},
		{name: "cannot be reached", rack: "a", down: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, kfake.NumBrokers(2))
			createTopic(t, c, "t", 1)
			cl := client(t, c)
			produce(t, cl, numbered("t", 0, 0, 10)...)
			leader := c.LeaderFor("t", 0)
			r := &selector{c: c, follower: 1 - leader, refusal: test.refusal, names: test.names}
			r.serve("a")
			k := config(c, "t")
			k.Rack = test.rack
			var opts []Option
			if test.down {
				address := c.ListenAddrs()[r.follower]
				opts = append(opts, WithDial(func(ctx context.Context, network, to string) (net.Conn, error) {
					if to == address {
						return nil, fmt.Errorf("no way to %s", to)
					}
					return (&net.Dialer{}).DialContext(ctx, network, to)
				}))
			}
			s, _ := open(t, k, nil, opts...)
			wantValues(t, read(t, s, 10), 0, 10)
			produce(t, cl, numbered("t", 0, 10, 5)...)
			wantValues(t, read(t, s, 5), 10, 5)
			if ledFrom, followed := r.count(leader), r.count(r.follower); (ledFrom > 0) == test.follower || (followed > 0) != test.follower {
				t.Errorf("%d fetches from the leader, %d from the follower", ledFrom, followed)
			}
		})
	}
}

// TestRackAndLeaders: when the leader moves, the new one is asked, and its
// answer is followed.
func TestRackAndLeaders(t *testing.T) {
	t.Parallel()
	c := startCluster(t, kfake.NumBrokers(3))
	createTopic(t, c, "t", 1)
	cl := client(t, c)
	produce(t, cl, numbered("t", 0, 0, 10)...)
	leader := c.LeaderFor("t", 0)
	r := &selector{c: c, follower: (leader + 1) % 3}
	r.serve("a")
	k := config(c, "t")
	k.Rack = "a"
	s, _ := open(t, k, nil)
	wantValues(t, read(t, s, 10), 0, 10)
	if err := c.MoveTopicPartition("t", 0, (leader+2)%3); err != nil {
		t.Fatal(err)
	}
	c.SetFollowers("t", 0, []int32{r.follower})
	produce(t, client(t, c), numbered("t", 0, 10, 5)...)
	wantValues(t, read(t, s, 5), 10, 5)
}
