// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
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
			byName := &wire.Fetched{TopicName: []byte(p.topic.name), Partition: p.stream.Partition}
			byID := &wire.Fetched{TopicID: p.topic.id, Partition: p.stream.Partition}
			if b.asked(at, byName) != p || b.asked(at, byID) != p {
				t.Errorf("at %d: not %+v", at, p.stream)
			}
		}
		for _, unknown := range []*wire.Fetched{{TopicName: []byte("c")}, {TopicName: []byte("a"), Partition: 7}, {TopicID: [16]byte{3}}} {
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

// far is more than any test reads of a partition.
const far = 1 << 62

// model is a broker that answers fetch requests as Kafka's do: in the order of
// the request, up to its MaxBytes, and with batches that are cut off there.
type model struct {
	t      *testing.T
	s      *Source
	b      *broker
	batch  []byte // of 100 records
	end    map[*partition]int64
	got    map[*partition]int // bytes
	asked  []*partition       // by the last request
	answer int                // bytes
}

func newModel(t *testing.T) *model {
	k := settings.Default().Kafka
	k.FetchMaxWait = settings.Duration(5 * time.Second)
	s := New(k, 256<<20, hclog.NewNullLogger())
	m := &model{t: t, s: s, b: newBroker(s, 1, ""), batch: handmade{records: simpleRecords(100, 640)}.bytes(t),
		end: map[*partition]int64{}, got: map[*partition]int{}}
	s.table.brokers[1] = m.b
	m.b.conn = &conn{versions: map[int16][2]int16{kmsg.Fetch.Int16(): {4, 12}}}
	return m
}

// add adds a topic, if there is none of that name, and partitions to it.
func (m *model) add(name string, n int, end int64) (added []*partition) {
	topic := m.s.table.topics[name]
	if topic == nil {
		topic = m.s.newTopic(name)
	}
	for range n {
		p := m.s.newPartition(topic, int32(len(topic.partitions)))
		p.state, p.leader = stateFetch, m.b.id
		topic.partitions[p.stream.Partition] = p
		m.end[p] = end
		added = append(added, p)
	}
	m.s.assign()
	return added
}

// round lets the broker's loop ask once, and answers.
func (m *model) round() {
	b := m.b
	if !b.takeTurn() {
		m.t.Fatal("no turn")
	}
	if err := b.fillRequest(); err != nil {
		m.t.Fatal(err)
	}
	m.asked, m.answer = nil, 0
	answer := kmsg.NewPtrFetchResponse()
	answer.Version = b.request.Version
	for _, topic := range b.request.Topics {
		given := kmsg.NewFetchResponseTopic()
		given.Topic = topic.Topic
		for _, asked := range topic.Partitions {
			p := m.s.table.topics[topic.Topic].partitions[asked.Partition]
			m.asked = append(m.asked, p)
			f := kmsg.NewFetchResponseTopicPartition()
			f.Partition, f.HighWatermark, f.LastStableOffset = asked.Partition, far, m.end[p]
			room := min(int(b.request.MaxBytes)-m.answer, int(asked.PartitionMaxBytes))
			for offset := asked.FetchOffset; offset < m.end[p] && len(f.RecordBatches) < room; offset += 100 {
				at := len(f.RecordBatches)
				f.RecordBatches = append(f.RecordBatches, m.batch...)
				binary.BigEndian.PutUint64(f.RecordBatches[at:], uint64(offset))
			}
			f.RecordBatches = f.RecordBatches[:min(len(f.RecordBatches), max(room, 0))]
			m.got[p] += len(f.RecordBatches)
			m.answer += len(f.RecordBatches)
			given.Partitions = append(given.Partitions, f)
		}
		answer.Topics = append(answer.Topics, given)
	}
	var err error
	if b.parsed, err = wire.ParseFetch(b.parsed[:0], answer.AppendTo(nil), wire.Expected{Version: answer.Version, Parts: b.asking}); err != nil {
		m.t.Fatal(err)
	}
	for _, part := range b.accept(nil) {
		part.p.pending--
	}
}

// TestEnough: of partitions that are far behind, only those are asked for that
// fill an answer, in turn, and with little waiting; of all others, each time.
func TestEnough(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	behind := m.add("t", 40, far)
	quiet := m.add("t", 1, 0)[0]
	for i, want := range []int{41, 41, 33, 25, 17, 9, 9, 9} {
		m.round()
		if len(m.asked) != want || !slices.Contains(m.asked, quiet) {
			t.Errorf("round %d: %d are asked for, want %d", i, len(m.asked), want)
		}
		if wait := m.b.request.MaxWaitMillis; wait != 500 && want < 41 || wait != 5000 && want == 41 {
			t.Errorf("round %d: waits %d ms", i, wait)
		}
		if full := int(m.b.request.MaxBytes); m.answer != full {
			t.Errorf("round %d: %d bytes of %d", i, m.answer, full)
		}
	}
	for range 2 * 40 / 8 {
		m.round()
	}
	for _, p := range behind { // 18 rounds, of 8 MiB
		if got := m.got[p] >> 20; got != 3 && got != 4 {
			t.Errorf("partition %d has got %d bytes", p.stream.Partition, m.got[p])
		}
	}
	for _, p := range behind { // and now no more comes
		m.end[p] = p.next
	}
	for range 6 {
		m.round()
	}
	if len(m.asked) != 41 || m.b.request.MaxWaitMillis != 5000 {
		t.Errorf("at the end, %d are asked for", len(m.asked))
	}
}

// TestExpect: what is left of a partition counts as much as what has come of
// it, offset for offset.
func TestExpect(t *testing.T) {
	t.Parallel()
	p := &partition{next: 3000}
	got := &part{from: 1000, records: make([]byte, 4000)}
	for end, want := range map[int64]int32{3000: 0, 2000: 0, 3500: 1000, far: maxFetchBytes} {
		if p.expect(end, got); p.waiting != want {
			t.Errorf("up to %d, %d bytes are expected, want %d", end, p.waiting, want)
		}
	}
}

// TestReadable: uncommitted records count for those who read them.
func TestReadable(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		isolation        string
		lastStable, want int64
	}{{"read_committed", 5, 5}, {"read_committed", -1, 9}, {"read_committed", 11, 9}, {"read_uncommitted", 5, 9}} {
		s := &Source{config: settings.Kafka{Isolation: test.isolation}}
		if got := s.readable(&wire.Fetched{HighWatermark: 9, LastStable: test.lastStable}); got != test.want {
			t.Errorf("%+v: %d", test, got)
		}
	}
}

// TestTopicsTakeTurns: that a partition of a topic has nothing does not put its
// topic before all others.
func TestTopicsTakeTurns(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	all := append(m.add("a", 15, far), m.add("b", 15, far)...)
	m.add("a", 1, 0)
	for range 30 {
		m.round()
	}
	for _, p := range all {
		if got := m.got[p] >> 20; got != 7 && got != 8 {
			t.Errorf("%+v has got %d bytes", p.stream, m.got[p])
		}
	}
}

// TestPartitionsThatComeAreAskedAtOnce: however far the others are behind, new
// partitions and those that had failed are not kept waiting for a whole turn.
func TestPartitionsThatComeAreAskedAtOnce(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	failed := m.add("t", 100, far)[50]
	for range 30 {
		m.round()
	}
	failed.fault(kerr.NotLeaderForPartition)
	m.round()
	failed.state = stateFetch
	added := m.add("t", 1, 5)[0]
	m.round()
	if failed.failures > 0 || !added.endKnown {
		t.Errorf("%d failures; the end is known: %t", failed.failures, added.endKnown)
	}
}

// TestThereAndBack: a partition that comes back to a broker before that has
// noticed that it had gone is asked for once.
func TestThereAndBack(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	p := m.add("t", 3, far)[1]
	m.round()
	other := newBroker(m.s, 2, "")
	m.s.table.brokers[2] = other
	p.leader = 2
	m.s.assign()
	other.takeTurn()
	p.leader = 1
	m.s.assign()
	m.round()
	if n := len(m.asked); n != 3 {
		t.Errorf("%d are asked for", n)
	}
}
