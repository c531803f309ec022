// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/kafka"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// table is what is known of the cluster, and who takes care of which partition.
type table struct {
	mu        sync.Mutex
	clusterID string
	topics    map[string]*topic
	byID      map[[16]byte]*topic
	brokers   map[int32]*broker
	failure   error          // why reading ended
	refresh   bool           // metadata are wanted before their time
	positions []sentPosition // that are not acknowledged yet, oldest first
	room      room           // for what the metadata tell that are being applied

	indices     int32   // of partitions that were given, so far
	freeIndices []int32 // those of them that are to be given again
}

// takeIndex returns an index for a partition that is new.
func (t *table) takeIndex() (index int32) {
	if last := len(t.freeIndices) - 1; last >= 0 {
		index, t.freeIndices = t.freeIndices[last], t.freeIndices[:last]
		return index
	}
	t.indices++
	return t.indices - 1
}

func (t *table) init() {
	t.topics = map[string]*topic{}
	t.byID = map[[16]byte]*topic{}
	t.brokers = map[int32]*broker{}
}

// topic is the topic that bears a name now.
type topic struct {
	name       string
	id         [16]byte // zero if the brokers do not tell
	generation int
	known      bool                 // the position that Open was given has it
	kept       string               // with that id, "" if it tells none
	partitions map[int32]*partition // of this shard
	found      bool                 // the metadata have told its partitions
	former     []*partition         // of a topic that was deleted, with data that are still being decoded
	missing    bool                 // the cluster has no such topic now
}

// state says who takes care of a partition, and what for.
type state uint8

const (
	// stateStart: the supervisor finds out where it begins.
	stateStart state = iota
	// stateCheck: the supervisor finds out who leads it and whether it can be
	// read on from where it is.
	stateCheck
	// stateAnnounce: the supervisor hands out a chunk that tells where it goes on.
	stateAnnounce
	// stateFetch: its leader's fetch loop reads it.
	stateFetch
)

// partition is one partition of a topic of one generation. All is guarded by
// the table's lock, but for the atomics, mark and marked, and what never
// changes: topic, stream and index.
type partition struct {
	// With thousands of partitions, most of what they cost is to get them from
	// memory, 64 bytes at a time: what a chunk touches when it is made comes
	// first, then what an answer does besides, then what the consumer does.
	stream   source.Stream
	index    int32 // see source.Chunk
	run      int32 // raised when data that were fetched are not to be decoded
	pending  int32 // responses with data of it that are not decoded yet
	waiting  int32 // bytes that it is behind, about; 0 if it is not known to be
	failures int16 // errors in a row, as far as they are counted
	begun    bool  // it was settled where it begins, so the position may have it
	passed   bool  // what it has apart says up to where records were read
	leader   int32 // -1 for none
	replica  int32 // follower that the leader has sent us to, -1 for none
	state    state
	former   bool // of a topic that was deleted, see topic.former
	endKnown bool // highWatermark is what a broker said
	damaged  int8 // damaged batches in a row

	next          int64   // offset to fetch next
	claimed       int64   // offset that is being fetched
	claimedBy     *broker // and from where
	pendingOn     *broker // where data are pending
	topic         *topic
	nextEpoch     int32 // leader epoch of the last record before next, -1 if unknown
	leaderEpoch   int32 // -1 if the brokers do not tell
	highWatermark atomic.Int64
	durableNext   int64 // offset after what is durable, if that is less than what was consumed

	consumed      atomic.Int64 // offset after what the consumer consumed
	consumedSoFar progress
	durableSoFar  progress
	mark          mark // in the position, of the consumer alone

	oldest       int64     // timestamp of the first record that was consumed, in ms
	marked       bool      // mark is there; of the consumer alone, too
	replicaUntil time.Time // when the leader is asked again
	leaderUntil  time.Time // no follower before that: one has failed

	startTime  int64 // for stateStart: a time in ms, or startEarliest or startLatest
	given      bool  // next is what SPOUT_KAFKA_START_OFFSETS says, and was not seen to be in the log yet
	checkRange bool  // for stateCheck: see whether next lies in the log
	beyond     int8  // times in a row that next was seen beyond the end of the log
	gap        *source.Gap
	apart      *apart

	retryAt     time.Time
	failure     error     // the last, if failures is not 0
	failedSince time.Time // the first
	caughtUp    time.Time // when everything was durable last
}

const (
	startEarliest = positions.StartEarliest
	startLatest   = positions.StartLatest
)

// begin is where p begins if nothing was read of it, without the time.
func (p *partition) begin() int64 { return min(p.startTime, startLatest) }

// apart is what few partitions have.
type apart struct {
	read     *readTo // if it was passed on since
	formerID string  // the id that the topic had, if the partition is former
}

// place returns where p is to be read.
func (p *partition) place() mark {
	m := mark{Next: p.next, Epoch: p.nextEpoch}
	if p.passed {
		m.Read = p.apart.read
	}
	return m
}

// setPlace sets where p is to be read.
func (p *partition) setPlace(m mark) {
	p.next, p.nextEpoch, p.passed = m.Next, m.Epoch, m.Read != nil
	if p.passed {
		if p.apart == nil {
			p.apart = &apart{}
		}
		p.apart.read = m.Read
	}
}

// pass moves p on over what no record is read of.
func (p *partition) pass(next int64, epoch int32) { p.setPlace(p.place().After(next, epoch)) }

// reader is the broker that p is fetched from, -1 for none.
func (p *partition) reader() int32 {
	if p.replica >= 0 && p.leader >= 0 {
		return p.replica
	}
	return p.leader
}

// chunk makes a chunk of p.
func (p *partition) chunk(release func()) *source.Chunk {
	chunk := source.NewChunk(p.stream, release)
	chunk.Index, chunk.Origin = int(p.index), p
	return chunk
}

// settled says whether it is known where p is to be read.
func (p *partition) settled() bool { return p.state != stateStart && p.state != stateCheck }

// mayFetch says whether b may fetch p: it is read from b, and no other broker's data
// are still to be decoded, or they could overtake.
func (p *partition) mayFetch(b *broker) bool {
	return p.state == stateFetch && p.reader() == b.id && (p.pending == 0 || p.pendingOn == b)
}

// drained says whether all that was fetched of p, and of the topic that bore
// its name before, was handed out.
func (p *partition) drained() bool {
	for _, former := range p.topic.former {
		if former.pending > 0 {
			return false
		}
	}
	return p.pending == 0
}

// fault notes that reading p failed, and when to see to it again.
func (p *partition) fault(err error) {
	if p.failures == 0 {
		p.failedSince = time.Now()
	}
	p.failures = min(p.failures, math.MaxInt16-1) + 1
	p.failure = err
	p.retryAt = time.Now().Add(delayAfter(int(p.failures), err))
	p.waiting = 0
	if p.state == stateFetch {
		p.state = stateCheck
	}
}

// identity returns the topic id that p's topic has or had.
func (t *table) identity(p *partition) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.former {
		return p.apart.formerID
	}
	return topicID(p.topic.id)
}

// consumed notes what the consumer consumed of p, and the offset after it.
func (t *table) consumed(p *partition, next int64, records []source.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.consumed.Store(next)
	p.took(records)
}

// each calls visit with every partition.
func (t *table) each(visit func(*partition)) {
	for _, topic := range t.topics {
		for _, p := range topic.partitions {
			visit(p)
		}
	}
}

// counters count what a source did since it was made.
type counters struct {
	fetches, bytes, batches, skipped, reconnects, damaged, moves atomic.Int64
}

// Stats says what a source did since it was made.
type Stats struct {
	Fetches    int64 // fetch responses
	Bytes      int64 // of fetch responses
	Batches    int64 // record batches that were decoded
	Skipped    int64 // record batches that were left out: control batches and aborted transactions
	Reconnects int64 // connections to brokers that failed or were lost while fetching
	Damaged    int64 // record batches whose checksum or form was wrong
	Memory     int64 // bytes held now
	MemoryPeak int64 // most bytes that were held
}

// Stats may be called at any time.
func (s *Source) Stats() Stats {
	used, peak := s.memory.usage()
	c := &s.counters
	return Stats{Fetches: c.fetches.Load(), Bytes: c.bytes.Load(), Batches: c.batches.Load(), Skipped: c.skipped.Load(),
		Reconnects: c.reconnects.Load(), Damaged: c.damaged.Load(), Memory: used, MemoryPeak: peak}
}

// Lag returns for each partition how many offsets lie between what was
// consumed and the end of the log as last seen. Offsets of control batches,
// aborted and compacted records count. It may be called at any time.
func (s *Source) Lag() map[source.Stream]int64 {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	lag := map[source.Stream]int64{}
	s.table.each(func(p *partition) {
		if p.state != stateStart {
			lag[p.stream] = max(p.highWatermark.Load()-p.consumed.Load(), 0)
		}
	})
	return lag
}
