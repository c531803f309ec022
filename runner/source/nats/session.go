// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// session is the life of a consumer. It ends when a message may have been lost
// on the way, and another one begins after the last that was received.
type session struct {
	stream   jetstream.Stream
	consumer string
	temporal bool     // the consumer ends with the session
	retired  []string // consumers to delete
	retireAt uint64   // once this is the next message to acknowledge
	sub      *client.Subscription
	inbox    string
	ended    chan error // why, once

	// With the lock of the source.
	over      bool
	heard     bool   // of the server since the last look
	delivered uint64 // sequence of the consumer
	wantMsgs  int    // asked for and not received
	wantBytes int
	requests  int
	asked     int // bytes of the last request
	least     int // a message needs a request for so many bytes
}

// end has the supervisor begin another session. It is called with the lock.
func (ss *session) end(err error) {
	if !ss.over {
		ss.over = true
		ss.ended <- err
	}
}

// unusedConsumer is after how long the server deletes a consumer of which
// nobody asks for messages, as of a runner that was killed. One whose runner
// waits for storage is made again.
const unusedConsumer = 5 * time.Minute

// unusedQueueConsumer is the same for work queues, where messages stay without
// a consumer.
const unusedQueueConsumer = time.Hour

func consumerName() string { return "spout-" + nuid.Next() }

// unusedWithin is that, or less if the stream sets a limit to it.
func unusedWithin(d time.Duration, stream jetstream.Stream) time.Duration {
	if most := stream.CachedInfo().Config.ConsumerLimits.InactiveThreshold; most > 0 {
		return min(d, most)
	}
	return d
}

// consumerConfig is what all consumers have.
func (s *Source) consumerConfig() jetstream.ConsumerConfig {
	config := jetstream.ConsumerConfig{
		Description:   "made by spout-runner",
		AckPolicy:     jetstream.AckNonePolicy,
		Replicas:      1,
		MemoryStorage: true,
	}
	if s.config.Acknowledges() {
		config.AckPolicy, config.AckWait, config.MaxAckPending, config.MaxDeliver = jetstream.AckExplicitPolicy, s.config.AckWait.Std(), s.config.MaxAckPending, -1
		config.Replicas, config.MemoryStorage = 0, false // as the stream
	}
	switch len(s.config.Subjects) {
	case 0:
	case 1:
		config.FilterSubject = s.config.Subjects[0]
	default:
		config.FilterSubjects = s.config.Subjects
	}
	return config
}

// begin makes a consumer of what is to be read next, and asks for messages.
func (s *Source) begin(ctx context.Context) (*session, error) {
	s.counters.forget()
	stream, err := s.settle(ctx)
	if err != nil {
		return nil, err
	}
	ss := &session{stream: stream, ended: make(chan error, 1), inbox: s.conn.NewInbox(), heard: true}
	s.mu.Lock()
	next, rewound := s.next.Next, s.rewound
	s.mu.Unlock()
	if err := s.makeConsumer(ctx, ss, next); err != nil {
		return nil, s.explained(err)
	}
	s.mu.Lock()
	s.session = ss
	if s.rewound != rewound { // the consumer begins too late
		ss.end(errRewound)
	}
	s.mu.Unlock()
	inbox := ss.inbox + ".*"
	s.inbox.Store(&inbox)
	if ss.sub, err = s.conn.Subscribe(inbox, func(m *client.Msg) { s.receive(ss, m) }); err == nil {
		err = ss.sub.SetPendingLimits(-1, 2*s.most) // what is asked for is less, unless the server does not mind
	}
	if err != nil {
		s.finish(ss)
		return nil, fmt.Errorf("subscribe to %s: %w", ss.inbox, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.conn.IsConnected() { // the handler may have been called before there was a session
		ss.end(errors.New("the connection was lost"))
	}
	s.refill()
	return ss, nil
}

// makeConsumer makes the session's.
func (s *Source) makeConsumer(ctx context.Context, ss *session, next uint64) error {
	ctx, cancel := s.asking(ctx)
	defer cancel()
	config := s.consumerConfig()
	config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, next
	if s.config.Acknowledges() {
		return s.makeQueueConsumer(ctx, ss, config)
	}
	config.Name, config.InactiveThreshold = consumerName(), unusedWithin(unusedConsumer, ss.stream)
	consumer, err := ss.stream.CreateConsumer(ctx, config)
	if err != nil {
		return fmt.Errorf("make a consumer: %w", err)
	}
	s.counters.sawPending(consumer.CachedInfo().NumPending)
	ss.consumer, ss.temporal = config.Name, true
	return nil
}

// makeQueueConsumer makes a consumer in place of the one of the last session,
// so that it delivers what is not acknowledged in order. There is always one of
// the two that keeps what an interest stream has for this spout. In a work queue
// two cannot be, and messages stay without one.
func (s *Source) makeQueueConsumer(ctx context.Context, ss *session, config jetstream.ConsumerConfig) error {
	there, free := []string{}, []string{}
	created := map[string]time.Time{}
	from := s.durable.Next
	for _, name := range s.config.Consumers() {
		switch last, err := ss.stream.Consumer(ctx, name); {
		case err == nil:
			there = append(there, name)
			created[name] = last.CachedInfo().Created
			from = min(from, last.CachedInfo().AckFloor.Stream+1)
		case errors.Is(err, jetstream.ErrNotPullConsumer):
			there = append(there, name)
		case errors.Is(err, jetstream.ErrConsumerNotFound):
			free = append(free, name)
		default:
			return fmt.Errorf("ask for the consumer %s: %w", name, err)
		}
	}
	remove := func(names []string) error {
		for _, name := range names {
			if err := ss.stream.DeleteConsumer(ctx, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
				return fmt.Errorf("delete the consumer %s of the last session: %w", name, err)
			}
		}
		return nil
	}
	if s.config.Retention == settings.NATSWorkQueue {
		if err := remove(there); err != nil {
			return err
		}
		there, config.DeliverPolicy, config.OptStartSeq = nil, jetstream.DeliverAllPolicy, 0
		config.InactiveThreshold = unusedWithin(unusedQueueConsumer, ss.stream)
		if len(free) == 0 {
			free = []string{s.config.Consumers()[0]}
		}
	} else {
		// What the last one was not acknowledged comes again, and is acknowledged
		// at once if it is committed: not all servers delete what only a deleted
		// consumer has kept.
		config.OptStartSeq = max(from, 1)
		if len(free) == 0 { // the older one was not deleted yet, and has all that is needed
			slices.SortFunc(there, func(a, b string) int { return created[a].Compare(created[b]) })
			if err := remove(there[1:]); err != nil {
				return err
			}
			there, free = there[:1], there[1:]
		}
	}
	config.Name, config.Durable = free[0], free[0]
	consumer, err := ss.stream.CreateConsumer(ctx, config)
	if err != nil {
		return fmt.Errorf("make the consumer %s: %w", config.Name, err)
	}
	s.counters.sawPending(consumer.CachedInfo().NumPending)
	ss.consumer = config.Name
	if len(there) == 0 {
		return nil
	}
	info, err := ss.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("ask for the stream: %w", err)
	}
	ss.retired, ss.retireAt = there, info.State.LastSeq+1
	return nil
}

// retire deletes the consumer of the last session once all that it was kept for
// is acknowledged by way of the new one. A cluster that has just made that may
// otherwise delete messages which only the old one was known to want.
func (s *Source) retire(ss *session) error {
	s.mu.Lock()
	done := s.durable.Next >= ss.retireAt
	s.mu.Unlock()
	if !done {
		return nil
	}
	ctx, cancel := s.asking(s.running)
	defer cancel()
	for _, name := range ss.retired {
		if err := ss.stream.DeleteConsumer(ctx, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return fmt.Errorf("delete the consumer %s of the last session: %w", name, s.explained(err))
		}
	}
	ss.retired = nil
	return nil
}

// finish ends a session.
func (s *Source) finish(ss *session) {
	s.mu.Lock()
	ss.over = true
	if s.session == ss {
		s.session = nil
	}
	s.mu.Unlock()
	if ss.sub != nil {
		ss.sub.Unsubscribe() //nolint:errcheck // what comes is passed over
	}
	if ss.temporal && s.conn.IsConnected() {
		ctx, cancel := context.WithTimeout(context.Background(), closing)
		defer cancel()
		ss.stream.DeleteConsumer(ctx, ss.consumer) //nolint:errcheck // it ends by itself, too
	}
}

// supervise has one session after the other.
func (s *Source) supervise(ss *session) {
	for {
		err := s.quoted(s.attend(ss))
		s.finish(ss)
		if s.running.Err() != nil {
			return
		}
		s.log.Debug("the session has ended", "stream", s.config.Stream, "error", err)
		if !errors.Is(err, errRewound) {
			s.counters.note("reading the stream %s was interrupted: %v", s.config.Stream, err)
		}
		if ss, err = s.prepare(s.running); err != nil {
			if s.running.Err() == nil {
				s.fail(err)
			}
			return
		}
	}
}

// attend looks after a session until it ends.
func (s *Source) attend(ss *session) error {
	ticker := time.NewTicker(s.times.heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-s.running.Done():
			return s.running.Err()
		case err := <-ss.ended:
			return err
		case <-ticker.C:
		}
		if !s.alive(ss) {
			return fmt.Errorf("nothing was heard of the server for %s", 2*s.times.heartbeat)
		}
		if err := s.look(ss); err != nil {
			return err
		}
	}
}

// alive says whether something was heard of the server since the last look, if
// it was asked for something.
func (s *Source) alive(ss *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ss.heard || ss.wantMsgs == 0 {
		ss.heard = false
		return true
	}
	return false
}

// look asks how long the stream is, and moves the position past messages that
// are none of ours, if there are no others before them.
func (s *Source) look(ss *session) error {
	info, _, err := s.info(s.running)
	if err != nil {
		return err
	}
	if len(ss.retired) > 0 {
		if err := s.retire(ss); err != nil {
			return err
		}
	}
	s.mu.Lock()
	behind := info.State.LastSeq >= s.next.Next && info.Created.Equal(s.next.Created)
	s.mu.Unlock()
	if !behind {
		return nil
	}
	ctx, cancel := s.asking(s.running)
	defer cancel()
	consumer, err := ss.stream.Consumer(ctx, ss.consumer)
	if err != nil {
		return fmt.Errorf("ask for the consumer: %w", s.explained(err))
	}
	is := consumer.CachedInfo()
	s.counters.sawPending(is.NumPending)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.config.Acknowledges() || ss.over || is.NumPending > 0 || is.Delivered.Consumer != ss.delivered || s.next.Next > info.State.LastSeq {
		return nil
	}
	// All that the consumer would deliver of the messages up to the end was
	// received.
	s.next.Next = info.State.LastSeq + 1
	s.announce(nil)
	return nil
}

// Release implements [source.Releaser]: it deletes the consumers.
func (s *Source) Release(ctx context.Context) error {
	if s.invalid != nil {
		return s.invalid
	}
	if !s.config.Acknowledges() {
		return nil // consumers end by themselves
	}
	if s.opened {
		return errors.New("nats: the source is in use")
	}
	s.opened = true
	s.running, s.cancel = context.WithCancel(ctx)
	if err := s.connect(); err != nil {
		return withRemedy(err)
	}
	for _, name := range s.config.Consumers() {
		ctx, cancel := s.asking(ctx)
		err := s.js.DeleteConsumer(ctx, s.config.Stream, name)
		cancel()
		if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("delete the consumer %s of the stream %s: %w; delete it by hand: nats consumer rm %s %s", name, s.config.Stream, withRemedy(s.explained(err)), s.config.Stream, name)
		}
	}
	return nil
}
