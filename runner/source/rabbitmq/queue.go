// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/rabbitmq"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/redelivery"
)

// queue is one queue that is read, by a channel of its own.
//
// Messages are numbered as they come. In a session, a message comes twice only
// if its publisher has sent it twice: when the channel is lost, the session ends.
type queue struct {
	source    *Queues
	name      string
	index     int
	channel   *amqp.Channel
	arriving  <-chan amqp.Delivery
	cancelled chan string
	closed    chan *amqp.Error
	scratch   []byte
	usual     int // messages in the last chunk

	mu      sync.Mutex
	next    int64 // number of the next message that is given out
	used    int64 // number of the next message that is consumed
	handed  int   // messages that Next has given out of what is in no position yet
	end     int64 // number of the next message that Next gives out
	window  *redelivery.Window
	fresh   bool                   // the window's ids have the time of this session
	hits    map[redelivery.ID]bool // of messages without an id that have come again in this session
	out     []outstanding          // what was given out and is not acknowledged, in order
	due     uint64                 // tag up to which all is to be acknowledged, 0 for none
	known   []uint64               // tags of messages that are in commits already
	ready   int64                  // messages in the queue, -1 if that is not known
	fetches int64
}

// outstanding is a delivery that waits for a commit.
type outstanding struct {
	ordinal int64
	tag     uint64
}

func newQueue(s *Queues, name string, index int) *queue {
	q := &queue{source: s, name: name, index: index, hits: map[redelivery.ID]bool{}, ready: -1}
	q.window = redelivery.New(s.limits())
	return q
}

func (q *queue) resume(mark *positions.Queue) {
	q.next, q.used, q.end = mark.Next, mark.Next, mark.Next
	q.window = redelivery.Restore(q.source.limits(), mark.Window)
}

// consume opens the channel and begins to consume.
func (q *queue) consume(ctx context.Context, l *link) error {
	return l.within(ctx, "consume from queue "+q.name, func() (err error) {
		if q.channel, err = l.amqp.Channel(); err != nil {
			return err
		}
		q.cancelled = q.channel.NotifyCancel(make(chan string, 1))
		q.closed = q.channel.NotifyClose(make(chan *amqp.Error, 1))
		state, err := q.channel.QueueDeclarePassive(q.name, false, false, false, false, nil)
		if err != nil {
			return err
		}
		q.ready = int64(state.Messages)
		if err := q.channel.Qos(q.source.config.Prefetch, 0, false); err != nil {
			return err
		}
		q.arriving, err = q.channel.Consume(q.name, "", false, false, false, false, nil)
		return err
	})
}

// most is how many messages a chunk has at most.
const most = 512

// run makes chunks of what comes until that ends.
func (q *queue) run(l *link) error {
	for {
		var d amqp.Delivery
		var ok bool
		select {
		case <-q.source.ctx.Done():
			return nil
		case d, ok = <-q.arriving:
		}
		if !ok {
			return q.ended()
		}
		c := q.newChunk(l)
		for ok {
			if err := q.take(c, &d); err != nil {
				c.free()
				return err
			}
			if c.taken == min(most, q.half()) {
				break
			}
			select {
			case d, ok = <-q.arriving:
				continue
			default:
			}
			break
		}
		if len(c.acks) > 0 {
			q.mu.Lock()
			q.known = append(q.known, c.acks...)
			q.mu.Unlock()
			q.source.kick()
		}
		if len(c.chunk.Records) == 0 && c.chunk.Redelivered == 0 {
			c.free()
			continue
		}
		c.chunk.Next, q.usual = q.next, max(1, c.taken)
		select {
		case q.source.chunks <- c.chunk:
		case <-q.source.ctx.Done():
			c.free()
			return nil
		}
	}
}

// ended says why no more messages come. The client sends the reason before it
// closes the channel of deliveries, and closes that of cancels after an exception.
func (q *queue) ended() error {
	select {
	case <-q.source.ctx.Done():
		return nil
	case _, ok := <-q.cancelled:
		if ok {
			return fmt.Errorf("queue %s: the node has cancelled the consumer, since the queue was deleted or its leader has moved", q.name)
		}
	default:
	}
	select {
	case err := <-q.closed:
		if err != nil {
			return fmt.Errorf("queue %s: the node has closed the channel: %s; what was not acknowledged comes again", q.name, err.Reason)
		}
	case <-q.source.ctx.Done():
		return nil
	case <-time.After(time.Second):
	}
	return lostLink(nil)
}

// queueChunk is a chunk of messages, with what they refer to.
type queueChunk struct {
	queue *queue
	link  *link
	chunk *source.Chunk
	taken int   // deliveries
	bytes int64 // of the link's memory
	ids   []redelivery.ID
	used  int      // of ids, that were consumed
	acks  []uint64 // tags of what is in commits already

	at      int64  // when it came, in milliseconds
	room    []byte // of keys and headers
	details []source.Detail
}

func (q *queue) newChunk(l *link) *queueChunk {
	c := &queueChunk{queue: q, link: l, at: time.Now().UnixMilli()}
	c.chunk = source.NewChunk(source.Stream{Name: q.name}, c.free)
	c.chunk.Records, c.ids = make([]source.Record, 0, q.usual), make([]redelivery.ID, 0, q.usual)
	c.chunk.Origin, c.chunk.Index = c, q.index
	c.chunk.Deadline = time.Now().Add(q.source.config.ConsumerTimeout.Std())
	return c
}

func (c *queueChunk) free() { c.link.conn.release(c.bytes) }

// take puts a delivery into a chunk, unless it is known.
func (q *queue) take(c *queueChunk, d *amqp.Delivery) error {
	if _, ok := d.Headers["x-stream-offset"]; ok {
		return stopf("queue %s is a stream; name it in SPOUT_RABBITMQ_STREAMS, with the ports of the stream protocol in SPOUT_RABBITMQ_ADDRESSES", q.name)
	}
	c.taken++
	q.mu.Lock()
	defer q.mu.Unlock()
	if c.taken == 1 {
		q.fetches++
	}
	q.ready = max(q.ready-1, min(q.ready, 0)) // until they are counted again
	r, same := c.recordOf(d)
	around := max(int64(len(r.Headers.Raw))-usualProperties, 0)
	c.link.conn.took(around)
	c.bytes += sizeOf(len(d.Body)) + around
	id, state := q.recognise(d, &r, same)
	switch state {
	case redelivery.Durable:
		c.chunk.Redelivered++
		c.acks = append(c.acks, d.DeliveryTag)
		q.window.Touch(id, time.Now())
		return nil
	case redelivery.Waiting: // it is acknowledged with the first one
		c.chunk.Redelivered++
		q.out = append(q.out, outstanding{q.next - 1, d.DeliveryTag})
	default:
		q.window.Give(id)
		q.out = append(q.out, outstanding{q.next, d.DeliveryTag})
		r.Offset = q.next
		c.chunk.Records, c.chunk.Bytes = append(c.chunk.Records, r), int(c.bytes)
		c.ids = append(c.ids, id)
		q.next++
	}
	return nil
}

// half of what may be out is for the next batch, while one is committed.
func (q *queue) half() int { return q.source.config.Prefetch / 2 }

// hand notes that a chunk is given out, and asks for the end of the batch if
// half of what may be out is in it. The chunks that wait to be given out do not
// count: a batch may end before for another reason, and they are for the next.
func (q *queue) hand(c *queueChunk) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.handed, q.end = q.handed+c.taken-len(c.acks), c.chunk.Next
	c.chunk.Full = q.handed >= q.half()
}

// recognise returns the id of a message, and what is known of it.
//
// With a message id, it is that, the application's id and the body: an id that
// was given to different messages has none of them dropped. Without, only what
// the node says comes again is looked for, by its body and all its properties.
// Of messages that are equal in all that, one cannot tell which one it is: once
// there are several in the window, they have the second id, too, and none of
// them is dropped.
func (q *queue) recognise(d *amqp.Delivery, r *source.Record, same []byte) (redelivery.ID, redelivery.State) {
	named := d.MessageId != ""
	q.scratch = binary.AppendUvarint(q.scratch[:0], uint64(len(d.MessageId)))
	q.scratch = append(q.scratch, d.MessageId...)
	if named {
		q.scratch = binary.AppendUvarint(q.scratch, uint64(len(d.AppId)))
		q.scratch = append(q.scratch, d.AppId...)
	} else {
		q.scratch = binary.AppendUvarint(q.scratch, uint64(len(same)))
		q.scratch = append(q.scratch, same...)
		q.scratch = binary.AppendVarint(q.scratch, d.Timestamp.Unix())
		q.scratch = binary.AppendUvarint(q.scratch, uint64(len(r.Key)))
		q.scratch = append(q.scratch, r.Key...)
	}
	q.scratch = append(q.scratch, d.Body...)
	id := redelivery.Hash(q.name, q.scratch)
	state := q.window.State(id)
	switch {
	case named, state == redelivery.Unknown:
		return id, state
	case q.window.State(id+1) == redelivery.Unknown && d.Redelivered && state == redelivery.Durable && !q.hits[id]:
		q.hits[id] = true
		return id, state
	}
	return id + 1, redelivery.Unknown // another one that is equal
}

// consumed notes that the first n messages of a chunk are in the position.
func (q *queue) consumed(c *queueChunk, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if !q.fresh && n > 0 {
		// What was in the position may still come again, however old it is.
		q.fresh = true
		snapshot := q.window.Snapshot()
		for _, run := range snapshot.Runs {
			for _, id := range run.IDs {
				q.window.Touch(redelivery.ID(id), now)
			}
		}
	}
	for ; c.used < n; c.used++ {
		q.window.Add(c.ids[c.used], now)
	}
	if n > 0 {
		q.used = c.chunk.Records[n-1].Offset + 1
	}
}

// mark is the queue's part of the position.
func (q *queue) mark() (*positions.Queue, ordinals) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.handed = int(q.end - q.used) // the rest of a chunk
	return &positions.Queue{Next: q.used, Window: q.window.Snapshot()}, ordinals{q.used, q.window.Added()}
}

// durable notes that a position is, and what can be acknowledged with it.
func (q *queue) durable(to ordinals) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.window.Settle(to.added)
	n := 0
	for ; n < len(q.out) && q.out[n].ordinal < to.next; n++ {
		q.due = q.out[n].tag
	}
	q.out = append(q.out[:0], q.out[n:]...)
}

// acknowledge sends what is due.
func (q *queue) acknowledge() error {
	q.mu.Lock()
	due, known := q.due, q.known
	q.due, q.known = 0, nil
	q.mu.Unlock()
	for _, tag := range known {
		if err := q.channel.Ack(tag, false); err != nil {
			return err
		}
	}
	if due == 0 {
		return nil
	}
	return q.channel.Ack(due, true)
}

// counted notes how many messages wait.
func (q *queue) counted(messages int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ready = int64(messages)
}

// lag is how many messages are not acknowledged, as far as that is known, and
// how often some came.
func (q *queue) lag() (records, fetches int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ready < 0 {
		return -1, q.fetches
	}
	return q.ready + int64(len(q.out)), q.fetches
}
