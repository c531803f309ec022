// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// leastPartitionBytes is the least that is asked of one partition, however
// many there are.
const leastPartitionBytes = 1 << 20

// partialWait is the most that a broker may wait for records where others have
// some that are not asked for. Without any wait, brokers that have tiered storage
// but not KIP-1018 would give nothing that lies there.
const partialWait = 500 * time.Millisecond

// broker fetches the partitions that one broker leads. The loop asks for more
// as soon as it knows up to where an answer goes; decoding follows behind.
type broker struct {
	s       *Source
	id      int32
	address string             // guarded by the table's lock
	led     []*partition       // the same
	started bool               // the same
	leave   context.CancelFunc // of started ones: ends the fetch loop

	wake      chan struct{}
	responses chan *response
	reconnect atomic.Bool // the connection gave damaged data

	// Of the fetch loop.
	conn    *conn
	turn    []*partition // what may be fetched, in an order that is fair
	asking  int          // how many of turn are asked for
	spare   []*partition // for takeTurn and rotate
	request *kmsg.FetchRequest
	parsed  []wire.Fetched
}

// response is a fetch response with the parts of it that are to be decoded. It
// is pooled with its parts.
type response struct {
	buffer *buffer
	parts  []part
	beside int64 // bytes of the budget that the parts take beside the buffer
}

var responsePool = sync.Pool{New: func() any { return new(response) }}

// release gives the response back, and what it holds of its buffer.
func (r *response) release() {
	if r.buffer != nil {
		if r.beside > 0 {
			r.buffer.memory.adjust(-r.beside)
		}
		r.buffer.release()
	}
	clear(r.parts)
	r.buffer, r.parts, r.beside = nil, r.parts[:0], 0
	responsePool.Put(r)
}

// part is what a response has of one partition.
type part struct {
	p       *partition
	stream  source.Stream // the partition's, and its index: they are at hand here
	index   int
	run     int32
	void    bool  // run has changed, or the rest of it cannot be decoded
	from    int64 // records below are not wanted
	records []byte
	aborted wire.Aborted
	count   int // records, as the heads of the batches say

	sound   int   // bytes of records whose checksums were compared
	unsound error // what is wrong with the batch that follows
}

func newBroker(s *Source, id int32, address string) *broker {
	return &broker{s: s, id: id, address: address, wake: make(chan struct{}, 1), responses: make(chan *response, 1)}
}

// start starts the broker's goroutines once. They end with the source, or once
// the broker is forgotten. The table is locked.
func (b *broker) start() {
	if b.started {
		return
	}
	b.started = true
	var ctx context.Context
	ctx, b.leave = context.WithCancel(b.s.fetching)
	b.s.group.Go(func() error {
		defer close(b.responses)
		defer b.s.troubles.over(b.name())
		err := b.fetchLoop(ctx)
		b.forget()
		return err
	})
	b.s.group.Go(func() error { return b.decodeLoop(b.s.running) })
}

func (b *broker) wakeUp() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *broker) fetchLoop(ctx context.Context) error {
	defer b.disconnect()
	for failures := 0; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !b.takeTurn() {
			b.s.troubles.over(b.name())
			select {
			case <-b.wake:
			case <-ctx.Done():
			}
			continue
		}
		if err := b.s.memory.awaitRoom(ctx); err != nil {
			return err
		}
		err := b.fetch(ctx)
		if err == nil {
			if failures > 0 {
				b.s.troubles.over(b.name())
			}
			failures = 0
			continue
		}
		b.disconnect()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failures++
		b.s.leaveReplicas(b)
		b.s.counters.reconnects.Add(1)
		if failures > 1 || !isHangup(err) { // brokers end connections now and then
			b.s.troubles.note(b.name(), "cannot fetch from Kafka's broker %d: %v", b.id, err)
			b.s.complain.trouble(ctx, "broker "+b.address, err, "cannot fetch from broker; trying again", "broker", b.id)
		}
		b.s.wantMetadata()
		if err := sleep(ctx, delayAfter(failures, err)); err != nil {
			return err
		}
	}
}

func (b *broker) name() string { return "broker " + strconv.Itoa(int(b.id)) }

func (b *broker) disconnect() {
	if b.conn != nil {
		b.conn.Close()
		b.conn = nil
	}
}

// takeTurn collects the partitions to fetch now, those first that have
// just come, as nothing is known of them, then those that got nothing for the
// longest time.
func (b *broker) takeTurn() bool {
	t := &b.s.table
	t.mu.Lock()
	defer t.mu.Unlock()
	keep := b.turn[:0]
	for _, p := range b.turn {
		if p.claimedBy == b && p.mayFetch(b) {
			keep = append(keep, p)
			p.claimed = -1
		} else if p.claimedBy == b {
			p.claimedBy = nil
		}
	}
	came := b.spare[:0]
	for _, p := range b.led {
		if p.claimedBy != b && p.mayFetch(b) {
			p.claimedBy = b
			came = append(came, p)
		}
	}
	b.turn, b.spare = slices.Insert(keep, 0, came...), came
	for _, p := range b.turn {
		p.claimed = p.next
	}
	if len(b.turn) == 0 {
		b.forget()
		return false
	}
	b.asking = b.enough()
	return true
}

// forget gives back what was needed to ask for many partitions: metadata can
// give all of them to one broker after the other.
func (b *broker) forget() {
	b.turn, b.spare, b.parsed, b.request = nil, nil, nil, nil // partitions may still point here
	if b.conn != nil && cap(b.conn.out) > maxGreeting {
		b.conn.out = nil
	}
}

// enough returns how many of turn fill an answer, as far as is known. To ask
// for more while many are far behind is of no use: brokers answer up to a size,
// and from a few partitions much comes at a lower price than from many a little.
func (b *broker) enough() int {
	bytes, each := 0, b.most()
	for i, p := range b.turn {
		if bytes += min(int(p.waiting), each); bytes >= b.s.fetchBytes {
			return i + 1
		}
	}
	return len(b.turn)
}

// most returns how many bytes are asked of one partition at most.
func (b *broker) most() int {
	return min(max(b.s.fetchBytes/len(b.turn), leastPartitionBytes), b.s.fetchBytes)
}

// fetch makes one request and hands the answer on to be decoded.
func (b *broker) fetch(ctx context.Context) error {
	if b.reconnect.Swap(false) {
		b.disconnect()
	}
	if b.conn == nil {
		b.s.table.mu.Lock()
		address := b.address
		b.s.table.mu.Unlock()
		c, err := b.s.dialer.open(ctx, address)
		if err != nil {
			return err
		}
		b.conn = c
	}
	c := b.conn
	unhook := context.AfterFunc(ctx, func() { c.Close() })
	defer unhook()
	if err := c.renew(ctx); err != nil {
		return err
	}
	if err := b.fillRequest(); err != nil {
		return err
	}
	if err := c.send(b.request); err != nil {
		return err
	}
	size, err := c.readSize(b.s.fetchWait + requestTimeout)
	if err != nil {
		return err
	}
	most := b.s.maxAnswer()
	cut := size > most
	if cut {
		b.reconnect.Store(true) // the rest of it is not read
		size = most
	}
	held := bufferSize(size)
	if err := b.s.memory.acquireFetch(ctx, held); err != nil {
		return err
	}
	buffer := getBuffer(b.s.memory, size, held)
	defer buffer.release()
	if err := c.readBody(buffer.data); err != nil {
		return err
	}
	b.s.counters.fetches.Add(1)
	b.s.counters.bytes.Add(int64(size))
	body, err := c.stripHead(buffer.data, b.request.IsFlexible())
	if err != nil {
		return err
	}
	as := wire.Expected{Version: b.request.Version, Parts: b.asking, Cut: cut}
	b.parsed, err = wire.ParseFetch(b.parsed[:0], body, as)
	defer func() { clear(b.parsed) }() // the next answer may have fewer partitions, and these would keep this one
	if err != nil {
		return err
	}
	r := responsePool.Get().(*response)
	r.parts = b.accept(r.parts)
	if len(r.parts) == 0 {
		r.release()
		return nil
	}
	buffer.retain()
	r.buffer, r.beside = buffer, wire.AbortedSize(b.parsed)
	if r.beside > 0 {
		b.s.memory.adjust(r.beside)
	}
	select {
	case b.responses <- r:
		return nil
	case <-b.s.fetching.Done(): // and not ctx: its partitions were moved on
		r.release()
		return ctx.Err()
	}
}

// maxAnswer is the most bytes of an answer that are read. Brokers exceed what
// they are asked for by one batch; beside the records there is not much.
func (s *Source) maxAnswer() int { return s.fetchBytes + s.maxBatch + wire.HeadBytes + 1<<20 }

// fillRequest makes the request out of the partitions whose turn it is. Brokers
// give to them in the order of the request until the answer is full, so a topic
// comes in it again wherever it does in turn.
func (b *broker) fillRequest() error {
	if b.request == nil {
		b.request = kmsg.NewPtrFetchRequest()
	}
	r := b.request
	version, err := b.conn.version(r.Key())
	if err != nil {
		return err
	}
	version = min(version, b.s.fetchVersion)
	r.ReplicaID, r.SessionID, r.SessionEpoch = -1, 0, -1
	turn, each := b.turn[:b.asking], int32(b.most())
	wait := b.s.fetchWait
	if len(turn) < len(b.turn) {
		wait = min(wait, partialWait)
	}
	r.MaxWaitMillis = int32(wait.Milliseconds())
	r.MinBytes = 1
	r.MaxBytes = int32(b.s.fetchBytes)
	if b.s.config.Isolation == "read_committed" {
		r.IsolationLevel = 1
	}

	b.s.table.mu.Lock()
	defer b.s.table.mu.Unlock()
	r.Topics = r.Topics[:0]
	var last *topic
	for _, p := range turn {
		at := len(r.Topics) - 1
		if p.topic != last {
			at++
			last = p.topic
			if cap(r.Topics) > at {
				r.Topics = r.Topics[:at+1]
				r.Topics[at].Partitions = r.Topics[at].Partitions[:0]
			} else {
				r.Topics = append(r.Topics, kmsg.NewFetchRequestTopic())
			}
			r.Topics[at].Topic, r.Topics[at].TopicID = p.topic.name, p.topic.id
			if p.topic.id == [16]byte{} {
				version = min(version, 12) // from 13 on, topics go by id
			}
		}
		f := kmsg.NewFetchRequestTopicPartition()
		f.Partition, f.FetchOffset, f.CurrentLeaderEpoch, f.PartitionMaxBytes = p.stream.Partition, p.claimed, p.leaderEpoch, each
		r.Topics[at].Partitions = append(r.Topics[at].Partitions, f)
	}
	r.Rack = b.s.rackFor(turn)
	r.SetVersion(version)
	return nil
}
