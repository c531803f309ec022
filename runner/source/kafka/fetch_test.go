// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"testing"
	"unsafe"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
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

// TestEnough: of partitions that are known to be far behind, only those are
// asked for that fill an answer, in turn; all others are, each time.
func TestEnough(t *testing.T) {
	t.Parallel()
	const n, quiet = 30, 7
	k := settings.Default().Kafka
	k.FetchMaxBytes = 8 << 20
	s := New(k, 256<<20, hclog.NewNullLogger())
	b := newBroker(s, 1, "")
	b.conn = &conn{versions: map[int16][2]int16{kmsg.Fetch.Int16(): {4, 12}}}
	topic := s.newTopic("t")
	for number := range int32(n) {
		p := s.newPartition(topic, number)
		p.state, p.leader = stateFetch, b.id
		topic.partitions[number] = p
		b.led = append(b.led, p)
	}
	var rounds [][]int32
	for range 6 {
		if !b.takeTurn() {
			t.Fatal("no turn")
		}
		if err := b.fillRequest(); err != nil {
			t.Fatal(err)
		}
		var asked []int32
		for _, f := range b.request.Topics[0].Partitions {
			asked = append(asked, f.Partition)
			p := topic.partitions[f.Partition]
			if f.Partition == quiet { // it has nothing
				p.expect(&fetched{highWatermark: p.next}, &part{from: p.next})
				continue
			}
			p.next += 1000
			p.expect(&fetched{highWatermark: p.next + 5000}, &part{from: p.next - 1000, records: make([]byte, 1<<20)})
		}
		if waits := b.request.MaxWaitMillis > 0; waits != (len(asked) == n) {
			t.Errorf("%v are asked for; waits %t", asked, waits)
		}
		b.rotate()
		rounds = append(rounds, asked)
	}
	if len(rounds[0]) != n {
		t.Errorf("nothing is known, and %v are asked for", rounds[0])
	}
	times := map[int32]int{}
	for _, asked := range rounds[1:] {
		if len(asked) != 9 || asked[0] != quiet {
			t.Errorf("%v are asked for", asked)
		}
		for _, number := range asked {
			times[number]++
		}
	}
	for number := range int32(n) {
		if at := times[number]; number == quiet && at != 5 || number != quiet && at != 1 && at != 2 {
			t.Errorf("partition %d was asked for %d times", number, at)
		}
	}
	for _, want := range []int{9, 17} { // no answer comes: what was asked for counts no more
		if b.takeTurn(); b.asking != want {
			t.Errorf("%d are asked for, want %d", b.asking, want)
		}
	}
}
