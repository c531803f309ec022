// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// position says which records of a cluster were consumed. Its JSON is, on one
// line and with sorted topics and partitions,
//
//	{"cluster":"<cluster id>","shard":"2/8","pattern":"ord.*","topics":{"orders":{"id":"<topic id>","generation":1,
//	 "partitions":{"0":[1200,5],"1":[1180,5]}}}}
//
// where a partition has the offset of the next record to read and the leader
// epoch of the last record before it, -1 if that is not known. The topic id is
// written as Kafka's own tools do. Left out are: cluster and id if the brokers
// do not tell them, shard if all partitions are read, pattern if topics are
// named one by one, and generation while the topic is the one that was read
// first (it counts how often the topic was deleted and made again).
//
// Topics that are no longer read stay in the position, so that a topic which
// is taken out of the settings and put in again is read on where it was left.
type position struct {
	Cluster string                    `json:"cluster"`
	Shard   string                    `json:"shard"`
	Pattern string                    `json:"pattern"`
	Topics  map[string]*topicPosition `json:"topics"`
}

type topicPosition struct {
	ID         string          `json:"id"`
	Generation int             `json:"generation"`
	Partitions map[int32]*mark `json:"partitions"`
}

// mark is a place in a partition.
type mark struct {
	next  int64
	epoch int32
}

// UnmarshalJSON reads [next, epoch].
func (m *mark) UnmarshalJSON(raw []byte) error {
	var pair [2]int64
	if err := json.Unmarshal(raw, &pair); err != nil {
		return err
	}
	m.next, m.epoch = pair[0], int32(pair[1])
	if m.next < 0 || pair[1] < -1 || pair[1] != int64(m.epoch) {
		return fmt.Errorf("[%d,%d] is no offset and leader epoch", pair[0], pair[1])
	}
	return nil
}

func newPosition() *position { return &position{Topics: map[string]*topicPosition{}} }

func parsePosition(raw json.RawMessage) (*position, error) {
	p := &position{}
	if err := json.Unmarshal(raw, p); err != nil {
		return nil, err
	}
	if p.Topics == nil {
		return nil, fmt.Errorf("it names no topics")
	}
	for name, t := range p.Topics {
		if t == nil {
			return nil, fmt.Errorf("topic %s is null", name)
		}
		if t.Partitions == nil {
			t.Partitions = map[int32]*mark{}
		}
		for partition, m := range t.Partitions {
			if m == nil {
				return nil, fmt.Errorf("partition %d of topic %s is null", partition, name)
			}
		}
	}
	return p, nil
}

func (p *position) render() json.RawMessage {
	out := []byte{'{'}
	if p.Cluster != "" {
		out = append(out, `"cluster":`...)
		out = append(out, quote(p.Cluster)...)
		out = append(out, ',')
	}
	if p.Shard != "" {
		out = append(out, `"shard":`...)
		out = append(out, quote(p.Shard)...)
		out = append(out, ',')
	}
	if p.Pattern != "" {
		out = append(out, `"pattern":`...)
		out = append(out, quote(p.Pattern)...)
		out = append(out, ',')
	}
	out = append(out, `"topics":{`...)
	for i, name := range slices.Sorted(maps.Keys(p.Topics)) {
		if i > 0 {
			out = append(out, ',')
		}
		t := p.Topics[name]
		out = append(out, quote(name)...)
		out = append(out, ":{"...)
		if t.ID != "" {
			out = append(out, `"id":`...)
			out = append(out, quote(t.ID)...)
			out = append(out, ',')
		}
		if t.Generation != 0 {
			out = append(out, `"generation":`...)
			out = strconv.AppendInt(out, int64(t.Generation), 10)
			out = append(out, ',')
		}
		out = append(out, `"partitions":{`...)
		for j, partition := range slices.Sorted(maps.Keys(t.Partitions)) {
			if j > 0 {
				out = append(out, ',')
			}
			m := t.Partitions[partition]
			out = append(out, '"')
			out = strconv.AppendInt(out, int64(partition), 10)
			out = append(out, `":[`...)
			out = strconv.AppendInt(out, m.next, 10)
			out = append(out, ',')
			out = strconv.AppendInt(out, int64(m.epoch), 10)
			out = append(out, ']')
		}
		out = append(out, "}}"...)
	}
	return append(out, "}}"...)
}

func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always renders
	}
	return b
}

// topicID renders a topic's id as Kafka's tools do, "" if there is none.
func topicID(id [16]byte) string {
	if id == ([16]byte{}) {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(id[:])
}
