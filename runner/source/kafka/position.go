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
// epoch of the last record before it, -1 if that is not known. If no record was
// read right before that offset, since what lies there was passed over, the two
// numbers of the place up to which records were read follow: [1200,-1,1100,5].
// There, the offset of a partition of which no record was ever read is -1 if it
// began where the settings say, and -2 if at its log's beginning. The topic id is
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
	read  *readTo // nil if it is this place
}

// readTo is the place up to which records were read, of a partition that has
// passed over what follows there. It is never changed.
type readTo struct {
	next  int64 // startEarliest or startLatest if nothing was read
	epoch int32
}

// UnmarshalJSON reads [next, epoch] or [next, epoch, read next, read epoch].
func (m *mark) UnmarshalJSON(raw []byte) error {
	var numbers []int64
	if err := json.Unmarshal(raw, &numbers); err != nil {
		return err
	}
	if len(numbers) != 2 && len(numbers) != 4 {
		return fmt.Errorf("%d numbers are no offset and leader epoch", len(numbers))
	}
	m.next, m.epoch = numbers[0], int32(numbers[1])
	if m.next < 0 || m.epoch < -1 || numbers[1] != int64(m.epoch) {
		return fmt.Errorf("[%d,%d] is no offset and leader epoch", numbers[0], numbers[1])
	}
	if len(numbers) == 4 {
		m.read = &readTo{next: numbers[2], epoch: int32(numbers[3])}
		if m.read.next < startEarliest || m.read.next > m.next || m.read.epoch < -1 || numbers[3] != int64(m.read.epoch) {
			return fmt.Errorf("[%d,%d] is no offset up to which records were read before offset %d, and leader epoch", numbers[2], numbers[3], m.next)
		}
	}
	return nil
}

// after returns the mark that follows m if what lies between is passed over.
func (m mark) after(next int64, epoch int32) mark {
	read := m.read
	if read == nil {
		read = &readTo{m.next, m.epoch}
	}
	if next == 0 || read.next >= next { // no log ends before that
		return mark{next: next, epoch: epoch}
	}
	return mark{next: next, epoch: epoch, read: read}
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
			if m.read != nil {
				out = append(out, ',')
				out = strconv.AppendInt(out, m.read.next, 10)
				out = append(out, ',')
				out = strconv.AppendInt(out, int64(m.read.epoch), 10)
			}
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
