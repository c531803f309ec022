// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/kafka"
)

func TestStarts(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 3)
	cl := client(t, c)
	begin := time.UnixMilli(1_700_000_000_000)
	for p := range int32(2) { // partition 2 stays empty
		for i, r := range numbered("t", p, 0, 10) {
			r.Partition, r.Timestamp = p, begin.Add(time.Duration(i)*time.Minute)
			produce(t, cl, r)
		}
	}
	if err := c.DeleteRecords("t", 1, 4); err != nil {
		t.Fatal(err)
	}
	for start, want := range map[string]string{
		"earliest":             `"partitions":{"0":[0,-1],"1":[4,-1,-2,-1],"2":[0,-1]}`,
		"latest":               `"partitions":{"0":[10,-1,-1,-1],"1":[10,-1,-1,-1],"2":[0,-1]}`,
		"2023-11-14T22:18:20Z": `"partitions":{"0":[5,-1,-1,-1],"1":[5,-1,-1,-1],"2":[0,-1]}`,
		"2033-11-14T22:18:20Z": `"partitions":{"0":[10,-1,-1,-1],"1":[10,-1,-1,-1],"2":[0,-1]}`,
	} {
		t.Run(start, func(t *testing.T) {
			k := config(c, "t")
			k.Start = start
			s, _ := open(t, k, nil)
			if position := string(s.Position()); !strings.Contains(position, want) {
				t.Errorf("the position is %s, want %s", position, want)
			}
		})
	}
}

func TestNewPartitionsAndTopics(t *testing.T) {
	t.Parallel()
	c := startCluster(t, kfake.NumBrokers(2))
	createTopic(t, c, "t", 1)
	cl := client(t, c)
	produce(t, cl, numbered("t", 0, 0, 3)...)
	k := config(c, "t")
	k.Start = "latest"
	s, _ := open(t, k, nil)
	addPartitions(t, cl, "t", 3)
	produce(t, client(t, c), numbered("t", 2, 0, 5)...)
	wantValues(t, read(t, s, 5), 0, 5)
	position := s.Position()
	s.Close()

	// A partition that the position lacks is read from its beginning, a topic
	// that it lacks from the configured start.
	addPartitions(t, cl, "t", 4)
	createTopic(t, c, "u", 1)
	cl = client(t, c)
	produce(t, cl, numbered("t", 3, 0, 2)...)
	produce(t, cl, numbered("u", 0, 0, 2)...)
	k.Topics = []string{"t", "u"}
	s, _ = open(t, k, position)
	produce(t, cl, numbered("u", 0, 2, 2)...)
	all := byStream(readToEnd(t, c, s, "t", "u"))
	if len(all) != 2 {
		t.Fatal(all)
	}
	for stream, records := range all {
		if stream.Name == "t" {
			wantValues(t, records, 0, 2)
		} else {
			wantValues(t, records, 2, 2)
		}
	}
}

func TestTopicsThatAreNoLongerReadStayInThePosition(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 1)
	produce(t, client(t, c), numbered("t", 0, 0, 1)...)
	s, _ := open(t, config(c, "t"), json.RawMessage(`{"topics":{"gone":{"id":"x","generation":3,"partitions":{"0":[5,1]}}}}`))
	read(t, s, 1)
	if position := string(s.Position()); !strings.Contains(position, `"gone":{"id":"x","generation":3,"partitions":{"0":[5,1]}}`) {
		t.Errorf("the position is %s", position)
	}
}

func addPartitions(t testing.TB, cl *kgo.Client, topic string, count int32) {
	t.Helper()
	request := kmsg.NewPtrCreatePartitionsRequest()
	rt := kmsg.NewCreatePartitionsRequestTopic()
	rt.Topic, rt.Count = topic, count
	request.Topics = append(request.Topics, rt)
	answer, err := request.RequestWith(testContext(t), cl)
	if err == nil {
		err = codeError(answer.Topics[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestOutOfRange deletes records that were not read yet, while the source is
// closed and while it is open.
func TestOutOfRange(t *testing.T) {
	t.Parallel()
	for _, running := range []bool{false, true} {
		for _, policy := range []string{"stop", "earliest", "latest"} {
			name := policy + " when opened"
			if running {
				name = policy + " while reading"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := startCluster(t)
				createTopic(t, c, "t", 1)
				cl := client(t, c)
				produce(t, cl, numbered("t", 0, 0, 10)...)
				k := config(c, "t")
				k.OnOutOfRange = policy
				n := newNetwork()
				s, l := open(t, k, nil, WithDial(n.dial))
				read(t, s, 10)
				position := s.Position()
				if running {
					n.cut(true)
					l.Await(t, "cannot fetch")
				} else {
					s.Close()
				}
				for i := range 10 {
					produce(t, cl, numbered("t", 0, 10+i, 1)...)
				}
				if err := c.DeleteRecords("t", 0, 15); err != nil {
					t.Fatal(err)
				}
				texts := []string{"topic t partition 0", "offset 10", "[15,20)", "SPOUT_KAFKA_ON_OUT_OF_RANGE"}
				if running {
					n.cut(false)
				} else {
					var err error
					s, l, err = tryOpen(t, k, position)
					if policy == "stop" {
						checkStop(t, err, texts...)
						return
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if policy == "stop" {
					wantStop(t, s, texts...)
					return
				}
				records, chunk := next(t, s)
				wantNext := map[string]int64{"earliest": 15, "latest": 20}[policy]
				if chunk.Gap == nil || chunk.Gap.From != 10 || chunk.Gap.To != wantNext || chunk.Next != wantNext || len(records) != 0 {
					t.Fatalf("no chunk that tells the gap, but %+v", chunk)
				}
				produce(t, cl, numbered("t", 0, 20, 5)...)
				wantValues(t, read(t, s, int(25-wantNext)), int(wantNext), int(25-wantNext))
				if !strings.Contains(l.String(), "records are gone") {
					t.Errorf("the log does not tell the gap:\n%s", l)
				}
			})
		}
	}
}

// TestTruncation lets the log say that it was cut off below what was read.
// Whatever the policy, offsets must not be used a second time.
func TestTruncation(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"stop", "earliest", "latest"} {
		for _, logStart := range []int64{0, 8} { // below the cut, and between it and what was read
			t.Run(fmt.Sprint(policy, " log start ", logStart), func(t *testing.T) {
				t.Parallel()
				c := startCluster(t, kfake.NumBrokers(2))
				createTopic(t, c, "t", 1)
				cl := client(t, c)
				produce(t, cl, numbered("t", 0, 0, 10)...)
				k := config(c, "t")
				k.OnOutOfRange = policy
				s, _ := open(t, k, nil)
				read(t, s, 10)
				if err := c.DeleteRecords("t", 0, logStart); err != nil {
					t.Fatal(err)
				}
				answerEpochEnd(c, 7)
				if err := c.MoveTopicPartition("t", 0, 1-c.LeaderFor("t", 0)); err != nil {
					t.Fatal(err)
				}
				position := string(s.Position())
				wantStop(t, s, "topic t partition 0", "cut off at offset 7", "unclean leader election", "up to 9 were read", fmt.Sprintf("[%d,10)", logStart),
					"used again", "whatever SPOUT_KAFKA_ON_OUT_OF_RANGE", "restore", "another output branch or spout")
				if after := string(s.Position()); after != position {
					t.Errorf("the position became %s, it was %s", after, position)
				}
			})
		}
	}
}

// TestDivergedAndDeleted lets the log say that it was cut off, but all that
// could be compared has been deleted since: the log begins where reading goes on.
func TestDivergedAndDeleted(t *testing.T) {
	t.Parallel()
	c := startCluster(t, kfake.NumBrokers(2))
	createTopic(t, c, "t", 1)
	produce(t, client(t, c), numbered("t", 0, 0, 10)...)
	s, _ := open(t, config(c, "t"), nil)
	read(t, s, 10)
	if err := c.DeleteRecords("t", 0, 10); err != nil {
		t.Fatal(err)
	}
	answerEpochEnd(c, 7)
	if err := c.MoveTopicPartition("t", 0, 1-c.LeaderFor("t", 0)); err != nil {
		t.Fatal(err)
	}
	produce(t, client(t, c), numbered("t", 0, 10, 5)...)
	wantValues(t, read(t, s, 5), 10, 5)
}

// answerEpochEnd makes the brokers say once that epochs of topic t end at offset.
func answerEpochEnd(c *kfake.Cluster, offset int64) {
	c.ControlKey(kmsg.OffsetForLeaderEpoch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
		rt.Topic = "t"
		rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
		rp.LeaderEpoch, rp.EndOffset = 0, offset
		rt.Partitions = append(rt.Partitions, rp)
		resp.Topics = append(resp.Topics, rt)
		return resp, nil, true
	})
}

func TestPositionBeyondTheEndStops(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"stop", "earliest", "latest"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t)
			createTopic(t, c, "t", 1)
			produce(t, client(t, c), numbered("t", 0, 0, 10)...)
			k := config(c, "t")
			k.OnOutOfRange = policy
			_, _, err := tryOpen(t, k, json.RawMessage(`{"topics":{"t":{"partitions":{"0":[50,-1]}}}}`))
			checkStop(t, err, "topic t partition 0", "up to 49 were read", "[0,10)", "used again", "whatever SPOUT_KAFKA_ON_OUT_OF_RANGE", "restore", "another output branch or spout")
		})
	}
}

// TestTopicRecreated deletes a topic and makes it again, while the source is
// closed and while it is open.
func TestTopicRecreated(t *testing.T) {
	t.Parallel()
	for _, running := range []bool{false, true} {
		for _, policy := range []string{"stop", "restart"} {
			name := policy + " when opened"
			if running {
				name = policy + " while reading"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := startCluster(t, kfake.NumBrokers(2))
				createTopic(t, c, "t", 2)
				produce(t, client(t, c), numbered("t", 1, 0, 10)...)
				k := config(c, "t")
				k.OnTopicRecreated = policy
				s, l := open(t, k, nil)
				read(t, s, 10)
				position := s.Position()
				if !running {
					s.Close()
				}
				if err := c.DeleteTopic("t"); err != nil {
					t.Fatal(err)
				}
				if running {
					l.Await(t, "topic was deleted; waiting")
				}
				createTopic(t, c, "t", 2)
				produce(t, client(t, c), numbered("t", 1, 100, 20)...)
				if !running {
					var err error
					s, _, err = tryOpen(t, k, position)
					if policy == "stop" {
						checkStop(t, err, "topic t was deleted and made again", "SPOUT_KAFKA_ON_TOPIC_RECREATED=restart")
						return
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if policy == "stop" {
					wantStop(t, s, "topic t was deleted and made again", "SPOUT_KAFKA_ON_TOPIC_RECREATED=restart")
					return
				}
				records := read(t, s, 20)
				wantValues(t, records, 100, 20)
				if records[0].Generation != 1 {
					t.Errorf("the stream is %+v, not of generation 1", records[0].Stream)
				}
				p := s.position.Topics["t"]
				if p.Generation != 1 || p.Partitions[1].Next != 20 || p.ID != topicID(c.TopicInfo("t").TopicID) {
					t.Errorf("the position is %s", s.Position())
				}
			})
		}
	}
}

func TestOtherClusterStops(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 1)
	_, _, err := tryOpen(t, config(c, "t"), json.RawMessage(`{"cluster":"another","topics":{"t":{"partitions":{"0":[0,-1]}}}}`))
	checkStop(t, err, "test-cluster", "another", "SPOUT_KAFKA_BROKERS")
}

func TestPositionsThatAreNoneStop(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 1)
	for _, position := range []string{`{}`, `[]`, `{"topics":{"t":null}}`, `{"topics":{"t":{"partitions":{"0":[-4,0]}}}}`, `{"topics":{"t":{"partitions":{"x":[4,0]}}}}`,
		`{"topics":{"t":{"partitions":{"0":null}}}}`, `{"topics":{"t":{"partitions":{"0":[4]}}}}`, `{"topics":{"t":{"partitions":{"0":[4,0,3]}}}}`,
		`{"topics":{"t":{"partitions":{"0":[4,0,5,0]}}}}`, `{"topics":{"t":{"partitions":{"0":[4,0,-3,0]}}}}`, `{"topics":{"t":{"partitions":{"0":[4,0,3,-2]}}}}`} {
		_, _, err := tryOpen(t, config(c, "t"), json.RawMessage(position))
		checkStop(t, err, "position")
	}
}

func TestPositionForm(t *testing.T) {
	t.Parallel()
	const text = `{"cluster":"c","shard":"2/8","pattern":"x|y","topics":{"a":{"partitions":{}},"b":{"id":"AAAAAAAAAAAAAAAAAAAAAQ","generation":2,"partitions":{"0":[5,-1],"2":[7,3,5,2],"10":[0,0],"11":[9,-1,-2,-1]}}}}`
	p, err := positions.Parse(json.RawMessage(text))
	if err != nil {
		t.Fatal(err)
	}
	if have := string(p.Render()); have != text {
		t.Errorf("rendered\n%s, want\n%s", have, text)
	}
}
