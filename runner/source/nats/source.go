// SPDX-License-Identifier: Apache-2.0

// Package nats reads a stream of NATS JetStream, or some subjects of one.
//
// A stream whose messages stay is read by sequence, with a consumer that
// acknowledges nothing and that is made again from the next message on whenever
// one could have been lost on the way: the position alone makes it exactly once.
//
// Work queues, and streams with the interest policy, delete what consumers have
// acknowledged. They are read by sequence all the same: each session begins with
// a consumer of its own, which delivers what is not acknowledged, in order. What
// comes again is recognised by its sequence, and acknowledged at once if it is
// committed.
//
// The supervisor, one goroutine, makes consumers and asks for messages, a
// callback of the NATS client takes them, and Next hands them out:
//
//	settle ──► consumer ──► pull ◄──► receive ──► chunks ──► Next
//	  ▲  is it the stream     │ a gap, a heartbeat that is missed,
//	  └──  that was read?  ◄──┘ a lost connection, a deleted consumer
package nats

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/nats"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Source is a [source.Source] of a JetStream stream.
type Source struct {
	config    settings.NATS
	log       hclog.Logger
	complain  complaints
	options   []client.Option
	invalid   error       // what is wrong with config
	tls       *tls.Config // nil for none
	exposed   atomic.Bool // the connection that is being made leads to another machine
	jwt       atomic.Pointer[string]
	most      int // bytes of messages that may be held
	pullBytes int // most bytes to ask for at once
	pullMsgs  int // most messages, as each takes some memory besides
	perChunk  int // records
	times     times

	position positions.Position // of the consumer; no lock, see source.Source
	opened   bool
	running  context.Context // ends with Close
	cancel   context.CancelFunc
	group    sync.WaitGroup
	wake     chan struct{} // tells Next to look at the queue
	acks     chan struct{} // tells the acknowledger to look at what is to be acknowledged
	conn     *client.Conn
	js       jetstream.JetStream

	mu       sync.Mutex
	link     context.Context // ends when the connection is lost
	unlink   context.CancelFunc
	settled  bool               // next is known
	next     positions.Position // of the next message to receive
	began    uint64             // what the position said when it was opened: messages before are committed
	durable  positions.Position // acknowledged
	queue    []*chunk           // received
	spare    []*chunk           // to be used again
	held     int                // bytes of the queue, and of chunks that were not released
	session  *session           // nil if there is none
	rewound  int                // how often messages were taken back
	pending  []delivery         // given out and not acknowledged, by sequence
	ackNow   []string           // reply subjects
	failure  error              // why reading has ended
	counters counters

	inbox      atomic.Pointer[string] // to which messages of the stream come
	serverName string                 // of the last server that was dialed by its name, for its certificate
}

var (
	_ source.Source   = (*Source)(nil)
	_ source.Checker  = (*Source)(nil)
	_ source.Releaser = (*Source)(nil)
	_ source.Observed = (*Source)(nil)
)

// times are what tests shorten.
type times struct {
	heartbeat time.Duration // in which the server is heard of while messages are asked for
	expires   time.Duration // of a request for messages
	patience  time.Duration // for a server that seems to be behind
	request   time.Duration // for an answer
}

var usualTimes = times{heartbeat: 5 * time.Second, expires: 30 * time.Second, patience: 10 * time.Second, request: 5 * time.Second}

// Make is a [source.New].
func Make(s settings.Settings, o source.Options) (source.Source, error) {
	return New(s.NATS, o.Memory, o.Log), nil
}

// Memory that is taken besides the bytes of a message, and the smallest
// message that requests are made for.
const (
	besideMessage = 256
	smallMessage  = 1024
	leastPull     = 64 << 10
)

// New returns a source that reads as config says and that keeps what it
// received and what the caller did not release yet under memory. What is wrong
// with config is an error of Open.
func New(config settings.NATS, memory settings.Bytes, log hclog.Logger) *Source {
	s := &Source{
		config:   config,
		log:      log,
		complain: complaints{log: log},
		most:     int(max(memory, 4*leastPull)),
		perChunk: chunkRecords,
		times:    usualTimes,
		cancel:   func() {},
		unlink:   func() {},
		wake:     make(chan struct{}, 1),
		acks:     make(chan struct{}, 1),
	}
	s.config.Subjects = slices.Sorted(slices.Values(config.Subjects))
	s.pullBytes = max(min(int(config.FetchMaxBytes), s.most/4), leastPull)
	s.pullMsgs = s.pullBytes / smallMessage
	s.options, s.invalid = s.connectOptions()
	return s
}

// Traits implements [source.Source].
func (s *Source) Traits() source.Traits {
	if !s.config.Acknowledges() {
		return source.Traits{Kind: source.Replay}
	}
	return source.Traits{Kind: source.Acknowledge, Window: s.config.MaxAckPending}
}

// Open implements [source.Source].
func (s *Source) Open(ctx context.Context, raw json.RawMessage) error {
	if s.invalid != nil {
		return &source.Stop{Err: s.invalid}
	}
	if s.opened {
		return errors.New("nats: opened twice")
	}
	s.opened = true
	if raw != nil {
		if err := s.restore(raw); err != nil {
			return err
		}
	}
	s.running, s.cancel = context.WithCancel(context.Background())
	defer context.AfterFunc(ctx, s.cancel)() // until it is open
	session, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	s.group.Go(func() { s.supervise(session) })
	if s.config.Acknowledges() {
		s.group.Go(s.acknowledger)
	}
	return nil
}

// restore takes the position of an earlier source.
func (s *Source) restore(raw json.RawMessage) error {
	p, err := positions.Parse(raw)
	if err != nil {
		return stopf("the position in the output branch is not one of a NATS source: %w; use another output branch, or restore the one that this spout wrote", err)
	}
	if p.Stream != s.config.Stream {
		return stopf("the output branch has what was read of the stream %s, and SPOUT_NATS_STREAM is %s: use another output branch or another spout for another stream", p.Stream, s.config.Stream)
	}
	if s.config.Acknowledges() && !covers(p.Subjects, s.config.Subjects) {
		return stopf("SPOUT_NATS_SUBJECTS has subjects that were not read before (%s before, %s now), and what the stream still has of them could not be told from what is committed; "+
			"set the subjects back, and read the others with another spout", subjectsText(p.Subjects), subjectsText(s.config.Subjects))
	}
	s.position = *p
	s.position.Subjects = s.config.Subjects
	s.next, s.durable, s.settled, s.began = s.position, s.position, true, p.Next
	return nil
}

// Next implements [source.Source].
func (s *Source) Next(ctx context.Context) (*source.Chunk, error) {
	for {
		chunk, err := s.take(ctx)
		if chunk != nil || err != nil {
			return chunk, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.wake:
		}
	}
}

// Consume implements [source.Source].
func (s *Source) Consume(c *source.Chunk, n int) {
	next := uint64(c.Next)
	if n < len(c.Records) {
		if n == 0 {
			return
		}
		next = uint64(c.Records[n-1].Offset) + 1
	}
	of := c.Origin.(*chunk)
	s.position.Created, s.position.Generation, s.position.Next = of.created, c.Stream.Generation, next
	s.counters.took(c.Records[:n], of)
}

// Position implements [source.Source].
func (s *Source) Position() json.RawMessage {
	s.counters.gave(s.position)
	return s.position.Render()
}

// Acknowledge implements [source.Source].
func (s *Source) Acknowledge(_ context.Context, raw json.RawMessage) {
	p, err := positions.Parse(raw)
	if err != nil {
		return // it is none that Position gave out
	}
	s.counters.durable(*p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.config.Acknowledges() || p.Generation != s.next.Generation {
		return // of a stream that is no more
	}
	s.durable = *p
	n := 0
	for ; n < len(s.pending) && s.pending[n].sequence < p.Next; n++ {
		s.ackNow = append(s.ackNow, s.pending[n].reply)
	}
	s.pending = slices.Delete(s.pending, 0, n)
	kick(s.acks)
}

// Close implements [source.Source]. Chunks that Next returned stay valid until
// they are released. What was not acknowledged stays at the server: the next
// consumer delivers it.
func (s *Source) Close() error {
	s.cancel()
	s.group.Wait()
	if s.conn != nil {
		s.conn.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlink()
	return nil
}

// fail ends reading; Next returns err after what was read before.
func (s *Source) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
	kick(s.wake)
}

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
