// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"testing"
	"unsafe"
)

// TestAskedInAnyOrder: an answer's parts find their partitions whether they
// come in the order of the request or not, by name or by id.
func TestAskedInAnyOrder(t *testing.T) {
	t.Parallel()
	s := &Source{}
	s.table.init()
	b := newBroker(s, 1, "")
	for name, id := range map[string]byte{"a": 1, "b": 2} {
		topic := s.newTopic(name)
		s.setTopicID(topic, [16]byte{id})
		for number := range int32(3) {
			topic.partitions[number] = s.newPartition(topic, number)
			b.turn = append(b.turn, topic.partitions[number])
		}
	}
	for at := range len(b.turn) + 1 {
		for _, p := range b.turn {
			byName := &fetched{topicName: []byte(p.topic.name), partition: p.stream.Partition}
			byID := &fetched{topicID: p.topic.id, partition: p.stream.Partition}
			if b.asked(at, byName) != p || b.asked(at, byID) != p {
				t.Errorf("at %d: not %+v", at, p.stream)
			}
		}
		for _, unknown := range []*fetched{{topicName: []byte("c")}, {topicName: []byte("a"), partition: 7}, {topicID: [16]byte{3}}} {
			if p := b.asked(at, unknown); p != nil {
				t.Errorf("at %d: %+v is taken for %+v", at, unknown, p.stream)
			}
		}
	}
}

// TestPartitionLiesInLines: what is touched together lies in 64 bytes of its
// own, and partitions begin where such a line does.
func TestPartitionLiesInLines(t *testing.T) {
	t.Parallel()
	var p partition
	for field, offset := range map[string]uintptr{"next": unsafe.Offsetof(p.next), "consumed": unsafe.Offsetof(p.consumed), "oldest": unsafe.Offsetof(p.oldest)} {
		if offset%64 != 0 {
			t.Errorf("%s lies at %d", field, offset)
		}
	}
	if size := unsafe.Sizeof(p); size <= 352 || size > 384 { // what memory is given in
		t.Errorf("a partition takes %d bytes", size)
	}
}
