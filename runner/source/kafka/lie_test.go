// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const farOffset = 5e18

// lies are what brokers may say that moves a position to where no log is.
var lies = map[string]struct {
	key    kmsg.Key
	answer func(*testing.T, kmsg.Request, *kfake.Cluster) kmsg.Response
	read   int // records that are read before
}{
	"where to begin":             {key: kmsg.ListOffsets, answer: farStart},
	"where a log begins by now":  {key: kmsg.ListOffsets, answer: farStart, read: 5},
	"that a log has empty parts": {key: kmsg.Fetch, answer: farBatch, read: 5},
}

func farStart(_ *testing.T, k kmsg.Request, _ *kfake.Cluster) kmsg.Response {
	response := k.ResponseKind().(*kmsg.ListOffsetsResponse)
	partition := kmsg.NewListOffsetsResponseTopicPartition()
	partition.Offset = farOffset
	response.Topics = []kmsg.ListOffsetsResponseTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsResponseTopicPartition{partition}}}
	return response
}

func farBatch(t *testing.T, k kmsg.Request, c *kfake.Cluster) kmsg.Response {
	response := k.ResponseKind().(*kmsg.FetchResponse)
	topic := kmsg.NewFetchResponseTopic()
	topic.Topic, topic.TopicID = "t", c.TopicInfo("t").TopicID
	partition := kmsg.NewFetchResponseTopicPartition()
	partition.HighWatermark, partition.LastStableOffset = farOffset, farOffset
	partition.RecordBatches = handmade{base: farOffset - 1, producer: -1}.bytes(t)
	topic.Partitions = append(topic.Partitions, partition)
	response.Topics = append(response.Topics, topic)
	return response
}

// TestLieOnce has brokers say that there is nothing before a far offset, and
// then the truth. No record was read behind where the log ends, so reading goes
// back if the policy lets it: nothing is lost, and no offset is used twice.
func TestLieOnce(t *testing.T) {
	t.Parallel()
	for name, lie := range lies {
		for _, policy := range []string{"stop", "earliest", "latest"} {
			for _, again := range []string{"opened again", "running"} {
				if policy == "stop" && lie.read > 0 && lie.key == kmsg.ListOffsets {
					continue // it stops at once
				}
				t.Run(fmt.Sprint(name, " ", policy, " ", again), func(t *testing.T) {
					t.Parallel()
					c := startCluster(t, kfake.NumBrokers(1))
					createTopic(t, c, "t", 1)
					produce(t, client(t, c), numbered("t", 0, 0, 10)...)
					k := config(c, "t")
					k.OnOutOfRange = policy
					var position json.RawMessage
					if lie.read > 0 {
						position = json.RawMessage(fmt.Sprintf(`{"topics":{"t":{"partitions":{"0":[%d,0]}}}}`, lie.read))
						if lie.key == kmsg.ListOffsets { // what is asked for is gone then
							position = json.RawMessage(fmt.Sprintf(`{"topics":{"t":{"partitions":{"0":[%d,-1]}}}}`, lie.read))
						}
					}
					var honest atomic.Bool
					c.ControlKey(int16(lie.key), func(k kmsg.Request) (kmsg.Response, error, bool) {
						c.KeepControl()
						if honest.Load() {
							return nil, nil, false
						}
						return lie.answer(t, k, c), nil, true
					})
					s, l := open(t, k, position)
					for s.position.Topics["t"].Partitions[0].Next < farOffset {
						next(t, s)
					}
					honest.Store(true)
					texts := []string{"topic t partition 0", "[0,10)", "SPOUT_KAFKA_ON_OUT_OF_RANGE=earliest or latest"}
					if again == "opened again" {
						position = s.Position()
						s.Close()
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
					wantValues(t, read(t, s, 10-lie.read), lie.read, 10-lie.read)
					l.Await(t, "going back to")
					if m := s.position.Topics["t"].Partitions[0]; m.Next != 10 || m.Read != nil {
						t.Errorf("the position is %s", s.Position())
					}
				})
			}
		}
	}
}
