// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	client "github.com/nats-io/nats.go"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// chunk is a [source.Chunk] with what it is made of.
type chunk struct {
	source.Chunk
	created  time.Time // of the stream
	arena    []byte    // keys and headers
	lastKey  []byte
	lastName string // of lastKey
	jump     uint64 // the first sequence that is missing in it, 0 for none
	jumpAt   int    // how many records come before
	sealed   bool   // nothing more comes into it
	consumed int    // records; of the consumer alone
}

// Chunks end at one of these, so that what is received and what is written go
// on in turns.
const (
	chunkBytes   = 1 << 20
	chunkRecords = 4096
)

// errRewound says that messages have to be received again.
var errRewound = errors.New("the stream may have lost messages")

// take returns the first chunk of the queue, nil if there is none.
func (s *Source) take(ctx context.Context) (*source.Chunk, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil, s.failure
	}
	c := s.queue[0]
	c.sealed = true
	if c.jump > 0 {
		s.mu.Unlock()
		first, err := s.first(ctx, c)
		s.mu.Lock()
		if err != nil {
			return nil, err
		}
		if first > c.jump {
			s.rewind(c)
			return nil, nil
		}
		c.jump = 0
	}
	s.queue = s.queue[1:]
	return &c.Chunk, nil
}

// first asks for the sequence with which the stream begins, until it is told. A
// message that was passed over was either in the middle of the stream and not
// there, or it was at its beginning and is gone.
func (s *Source) first(ctx context.Context, c *chunk) (uint64, error) {
	for failures := 1; ; failures++ {
		info, _, err := s.info(ctx)
		err = s.quoted(err)
		switch {
		case err == nil && !info.Created.Equal(c.created):
			return 0, nil // what was read of the one before counts, and the session ends by itself
		case err == nil:
			return begins(info.State), nil
		case ctx.Err() != nil:
			return 0, ctx.Err()
		}
		s.mu.Lock()
		failure := s.failure
		s.mu.Unlock()
		if failure != nil {
			return 0, failure
		}
		s.complain.trouble(ctx, "first", err, "cannot ask where the stream begins; trying again", "stream", s.config.Stream)
		if err := sleep(ctx, delayAfter(failures)); err != nil {
			return 0, err
		}
	}
}

// rewind takes back what was received from the jump of the queue's first chunk
// on: the next session finds that messages are gone, and does what the policy
// says. It is called with the lock.
func (s *Source) rewind(c *chunk) {
	for _, other := range s.queue[1:] {
		s.held -= other.Bytes
	}
	s.queue = s.queue[:1]
	s.next.Created, s.next.Generation, s.next.Next = c.created, c.Stream.Generation, c.jump
	c.Records, c.Next, c.jump = c.Records[:c.jumpAt], int64(c.jump), 0
	if len(c.Records) == 0 && c.Gap == nil {
		s.held -= c.Bytes
		s.queue = s.queue[:0]
	}
	s.rewound++
	if s.session != nil {
		s.session.end(errRewound)
	}
	kick(s.wake)
}

// building returns the chunk that is being filled. It is called with the lock.
func (s *Source) building() *chunk {
	if n := len(s.queue); n > 0 {
		if last := s.queue[n-1]; !last.sealed && last.Bytes < chunkBytes && len(last.Records) < s.perChunk {
			return last
		}
		s.queue[n-1].sealed = true
	}
	return s.append()
}

// append puts a new chunk into the queue. It is called with the lock.
func (s *Source) append() *chunk {
	var c *chunk
	if n := len(s.spare); n > 0 {
		c, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		c = &chunk{}
	}
	records := c.Records[:0]
	*c = chunk{created: s.next.Created, arena: c.arena[:0]}
	c.Init(source.Stream{Name: s.config.Stream, Generation: s.next.Generation}, func() { s.release(c) })
	c.Records, c.Origin, c.Next = records, c, int64(s.next.Next)
	s.queue = append(s.queue, c)
	kick(s.wake)
	return c
}

// maxSpare is how many chunks are kept to be used again.
const maxSpare = 16

// release gives back what a chunk holds.
func (s *Source) release(c *chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held -= c.Bytes
	if len(s.spare) < maxSpare {
		clear(c.Records)
		s.spare = append(s.spare, c)
	}
	s.refill()
}

// announce tells in a chunk without records that reading continues elsewhere.
// It is called with the lock.
func (s *Source) announce(lost *source.Gap) {
	if n := len(s.queue); n > 0 {
		s.queue[n-1].sealed = true
	}
	c := s.append()
	c.Gap, c.sealed = lost, true
}

// receive takes a message of a session.
func (s *Source) receive(ss *session, m *client.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ss.over || s.session != ss {
		return
	}
	ss.heard = true
	at, ok := parseReply(m.Reply)
	if !ok {
		s.control(ss, m)
		return
	}
	size := m.Size()
	if ss.wantMsgs, ss.wantBytes = max(ss.wantMsgs-1, 0), max(ss.wantBytes-size, 0); ss.wantMsgs == 0 {
		ss.wantBytes = 0
	}
	if at.delivered != ss.delivered+1 {
		ss.end(fmt.Errorf("messages %d to %d of the consumer %s were lost on the way", ss.delivered+1, at.delivered-1, ss.consumer))
		return
	}
	if s.held > s.most+chunkBytes {
		ss.end(errors.New("the server sends more than it was asked for"))
		return
	}
	ss.delivered, ss.least = at.delivered, 0
	s.counters.received(size, at)
	if at.sequence < s.next.Next {
		s.again(at.sequence, m.Reply)
	} else {
		s.add(at, m, size+besideMessage)
	}
	s.refill()
}

// add puts a message into a chunk. It is called with the lock.
func (s *Source) add(at place, m *client.Msg, size int) {
	c := s.building()
	if at.sequence > s.next.Next && c.jump == 0 && !s.config.Acknowledges() {
		c.jump, c.jumpAt = s.next.Next, len(c.Records)
	}
	value := m.Data
	if value == nil {
		value = []byte{}
	}
	c.Records = append(c.Records, source.Record{
		Offset: int64(at.sequence), Timestamp: at.time / int64(time.Millisecond),
		Key: c.key(m.Subject), Value: value, Headers: c.headers(m.Header),
	})
	s.next.Next = at.sequence + 1
	c.Next = int64(s.next.Next)
	c.Bytes += size
	s.held += size
	if s.config.Acknowledges() {
		if s.pending = append(s.pending, delivery{at.sequence, m.Reply}); len(s.pending) > 3*s.config.MaxAckPending { // what an earlier session had, too
			s.session.end(errors.New("the server gives out more than it may without acknowledgement"))
		}
		if len(s.pending) >= s.config.MaxAckPending {
			c.Full, c.sealed = true, true
		}
	}
	if len(c.Records) == 1 {
		kick(s.wake)
	}
}

// pull is a request for messages.
type pull struct {
	Batch     int           `json:"batch"`
	MaxBytes  int           `json:"max_bytes"`
	Expires   time.Duration `json:"expires"`
	Heartbeat time.Duration `json:"idle_heartbeat"`
}

// refill asks for messages if there is room for them, and most of those that
// were asked for have come. It is called with the lock.
func (s *Source) refill() {
	ss := s.session
	if ss == nil || ss.over || ss.sub == nil || ss.wantMsgs > s.pullMsgs/2 && ss.wantBytes > s.pullBytes/2 {
		return
	}
	room := s.most - s.held - ss.wantBytes - ss.wantMsgs*besideMessage
	size := min(s.pullBytes-ss.wantBytes, room)
	if ss.least > 0 { // it comes alone
		if size = room; ss.wantMsgs > 0 || size < ss.least && s.held > 0 {
			return
		}
	}
	if size < leastPull && (s.held > 0 || ss.wantMsgs > 0) {
		return // until something was released
	}
	p := pull{Batch: max(size/smallMessage, 1), MaxBytes: size, Expires: s.times.expires, Heartbeat: s.times.heartbeat / 2}
	ss.requests++
	subject := s.prefix() + "CONSUMER.MSG.NEXT." + s.config.Stream + "." + ss.consumer
	if err := s.conn.PublishRequest(subject, ss.inbox+"."+strconv.Itoa(ss.requests), p.render()); err != nil {
		ss.end(fmt.Errorf("ask for messages: %w", err))
		return
	}
	s.counters.requests.Add(1)
	ss.asked = size
	ss.wantMsgs += p.Batch
	ss.wantBytes += size
}

// control takes what is no message: the end of a request, or a sign of life. It
// is called with the lock.
func (s *Source) control(ss *session, m *client.Msg) {
	status, text := m.Header.Get("Status"), m.Header.Get("Description")
	switch {
	case status == "100": // a heartbeat
		return
	case status == "404", status == "408", status == "409" && (text == "Batch Completed" || text == "Message Size Exceeds MaxBytes"):
		msgs, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
		bytes, bad := strconv.Atoi(m.Header.Get("Nats-Pending-Bytes"))
		if err != nil || bad != nil {
			msgs, bytes = ss.wantMsgs, ss.wantBytes // there are no others
		}
		if ss.wantMsgs, ss.wantBytes = max(ss.wantMsgs-msgs, 0), max(ss.wantBytes-bytes, 0); ss.wantMsgs == 0 {
			ss.wantBytes = 0
		}
		if text == "Message Size Exceeds MaxBytes" {
			if bytes >= s.most-leastPull {
				s.tooLarge(ss, bytes)
				return
			}
			if bytes >= ss.asked/2 {
				ss.least = 2 * bytes
			}
		}
		s.refill()
	default:
		ss.end(fmt.Errorf("the server ends the request for messages: %s %s", status, text))
	}
}

// tooLarge ends reading at a message that does not fit in memory.
func (s *Source) tooLarge(ss *session, bytes int) {
	err := stopf("the message after sequence %d of the stream %s has more than %d bytes, which do not fit in memory; raise SPOUT_MEMORY_BUDGET, of which messages may take a quarter", s.next.Next-1, s.config.Stream, bytes)
	s.failure = err
	ss.end(err)
	s.cancel()
	kick(s.wake)
}
