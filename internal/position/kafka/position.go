// SPDX-License-Identifier: Apache-2.0

// Package kafka is the one parser of the positions of a Kafka source.
package kafka

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/view"
)

// Position says which records of a cluster were consumed. Its JSON is, on one
// line and with sorted topics and partitions,
//
//	{"cluster":"<cluster id>","shard":"2/8","pattern":"ord.*","topics":{"orders":{"id":"<topic id>","generation":1,
//	 "partitions":{"0":[1200,5],"1":[1180,5]}}}}
//
// where a partition has the offset of the next record to read and the leader
// epoch of the last record before it, -1 if that is not known. If no record was
// read right before that offset, since what lies there was passed over, the two
// numbers of the place up to which records were read follow: [1200,-1,1100,5].
// There, the offset of a partition of which no record was ever read is
// [StartLatest] if it began where the settings say, and [StartEarliest] if at its
// log's beginning. The topic id is
// written as Kafka's own tools do. Left out are: cluster and id if the brokers
// do not tell them, shard if all partitions are read, pattern if topics are
// named one by one, and generation while the topic is the one that was read
// first (it counts how often the topic was deleted and made again).
//
// Topics that are no longer read stay in the position, so that a topic which
// is taken out of the settings and put in again is read on where it was left.
type Position struct {
	Cluster string            `json:"cluster"`
	Shard   string            `json:"shard"`
	Pattern string            `json:"pattern"`
	Topics  map[string]*Topic `json:"topics"`
}

// Topic is what was consumed of a topic.
type Topic struct {
	ID         string          `json:"id"`
	Generation int             `json:"generation"`
	Partitions map[int32]*Mark `json:"partitions"`
}

// Offsets up to which a partition was read of which nothing was read. They are
// those by which Kafka's ListOffsets asks for a log's end and beginning.
const (
	StartLatest   = -1
	StartEarliest = -2
)

// Mark is a place in a partition.
type Mark struct {
	Next  int64
	Epoch int32
	Read  *ReadTo // nil if it is this place
}

// ReadTo is the place up to which records were read, of a partition that has
// passed over what follows there. It is never changed.
type ReadTo struct {
	Next  int64 // StartEarliest or StartLatest if nothing was read
	Epoch int32
}

// UnmarshalJSON reads [next, epoch] or [next, epoch, read next, read epoch].
func (m *Mark) UnmarshalJSON(raw []byte) error {
	var numbers []int64
	if err := json.Unmarshal(raw, &numbers); err != nil {
		return err
	}
	if len(numbers) != 2 && len(numbers) != 4 {
		return fmt.Errorf("%.40s is not an offset and leader epoch", raw)
	}
	m.Next, m.Epoch = numbers[0], int32(numbers[1])
	if m.Next < 0 || m.Epoch < -1 || numbers[1] != int64(m.Epoch) {
		return fmt.Errorf("[%d,%d] is not an offset and leader epoch", numbers[0], numbers[1])
	}
	if len(numbers) == 4 {
		m.Read = &ReadTo{Next: numbers[2], Epoch: int32(numbers[3])}
		if m.Read.Next < StartEarliest || m.Read.Next > m.Next || m.Read.Epoch < -1 || numbers[3] != int64(m.Read.Epoch) {
			return fmt.Errorf("[%d,%d] is not an offset up to which records were read before offset %d, and leader epoch", numbers[2], numbers[3], m.Next)
		}
	}
	return nil
}

// After returns the mark that follows m if what lies between is passed over.
func (m Mark) After(next int64, epoch int32) Mark {
	read := m.Read
	if read == nil {
		read = &ReadTo{m.Next, m.Epoch}
	}
	if next == 0 || read.Next >= next { // no log ends before that
		return Mark{Next: next, Epoch: epoch}
	}
	return Mark{Next: next, Epoch: epoch, Read: read}
}

// New returns the position before anything was read.
func New() *Position { return &Position{Topics: map[string]*Topic{}} }

// Parse reads a position.
func Parse(raw json.RawMessage) (*Position, error) {
	p := &Position{}
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
			t.Partitions = map[int32]*Mark{}
		}
		for partition, m := range t.Partitions {
			if m == nil {
				return nil, fmt.Errorf("partition %d of topic %s is null", partition, name)
			}
		}
	}
	return p, nil
}

// Render writes the position.
func (p *Position) Render() json.RawMessage {
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
			out = strconv.AppendInt(out, m.Next, 10)
			out = append(out, ',')
			out = strconv.AppendInt(out, int64(m.Epoch), 10)
			if m.Read != nil {
				out = append(out, ',')
				out = strconv.AppendInt(out, m.Read.Next, 10)
				out = append(out, ',')
				out = strconv.AppendInt(out, int64(m.Read.Epoch), 10)
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

// View reads a position and returns what is the same in all sources'.
func View(raw json.RawMessage) (view.View, error) {
	p, err := Parse(raw)
	if err != nil {
		return view.View{}, err
	}
	v := view.View{Identity: p.Cluster, Part: p.Shard}
	for name, t := range p.Topics {
		for partition, m := range t.Partitions {
			v.Marks = append(v.Marks, view.Mark{Stream: name, Partition: partition, Generation: t.Generation, Next: m.Next})
		}
	}
	return v, nil
}
