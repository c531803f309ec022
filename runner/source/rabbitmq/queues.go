// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	amqp "github.com/rabbitmq/amqp091-go"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/rabbitmq"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/redelivery"
)

// Queues is a [source.Source] of queues.
type Queues struct {
	config  settings.RabbitMQ
	log     hclog.Logger
	dialer  *dialer
	invalid error // what is wrong with config
	memory  int64
	age     time.Duration // of ids in windows

	chunks chan *source.Chunk
	queues []*queue
	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup
	opened bool
	failed chan struct{} // closed when reading has ended
	acks   chan struct{} // tells that there is something to acknowledge

	mu      sync.Mutex
	link    *link // nil while there is none
	failure error
	others  positions.Position // queues that are no longer read
	sent    []sentOrdinals
	trouble source.Trouble
	totals  source.Totals
}

var (
	_ source.Source   = (*Queues)(nil)
	_ source.Observed = (*Queues)(nil)
)

func newQueues(all settings.Settings, o source.Options) *Queues {
	s := &Queues{config: all.RabbitMQ, log: o.Log, memory: int64(o.Memory) / 2, chunks: make(chan *source.Chunk, chunkQueue), cancel: func() {},
		failed: make(chan struct{}), acks: make(chan struct{}, 1),
		// An acknowledgement that a node has lost in a crash was sent shortly before.
		age: time.Minute + 2*all.Batch.MaxAge.Std()}
	s.dialer, s.invalid = newDialer(all.RabbitMQ)
	for _, name := range s.config.Queues {
		s.queues = append(s.queues, newQueue(s, name, len(s.queues)))
	}
	return s
}

// Traits implements [source.Source].
func (s *Queues) Traits() source.Traits {
	return source.Traits{Kind: source.Acknowledge, AckWithin: s.config.ConsumerTimeout.Std(), Window: s.config.Prefetch * len(s.config.Queues)}
}

// Open implements [source.Source].
func (s *Queues) Open(ctx context.Context, raw json.RawMessage) error {
	if s.invalid != nil {
		return &source.Stop{Err: s.invalid}
	}
	if s.opened {
		return errors.New("rabbitmq: opened twice")
	}
	s.opened = true
	if err := s.resume(raw); err != nil {
		return err
	}
	link, err := s.await(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.link = link
	s.mu.Unlock()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, q := range s.queues {
		s.group.Go(func() { s.fail(q.run(link)) })
	}
	s.group.Go(func() { s.fail(s.acknowledge()) })
	s.group.Go(func() { s.watch(link) })
	s.group.Go(func() { s.count(link) })
	return nil
}

// resume takes a position.
func (s *Queues) resume(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	position, err := positions.Parse(raw)
	switch {
	case err != nil:
		return stopf("the position in the output branch is not one of RabbitMQ: %w; use another output branch, or restore the one that this spout wrote", err)
	case position.Queues == nil:
		return stopf("the position in the output branch is of streams, and queues are read now; use another output branch for them")
	case position.VHost != s.config.VHost:
		return stopf("the position in the output branch is of the virtual host %q, and SPOUT_RABBITMQ_VHOST is %q; set it back, or use another output branch", position.VHost, s.config.VHost)
	}
	for _, q := range s.queues {
		if mark := position.Queues[q.name]; mark != nil {
			q.resume(mark)
			delete(position.Queues, q.name)
		}
	}
	s.others = *position
	return nil
}

// await connects, and waits for the nodes and for all queues.
func (s *Queues) await(ctx context.Context) (*link, error) {
	return waitFor(ctx, s.log, s.config.Password, s.note, func() (*link, error) { return s.connect(ctx) })
}

// connect tries the nodes one after the other, and begins to consume.
func (s *Queues) connect(ctx context.Context) (*link, error) {
	var failures []error
	for _, address := range s.config.Addresses {
		l, err := s.dialer.openQueue(ctx, address, s.memory)
		if err == nil {
			for _, q := range s.queues {
				if err = l.explained(q.consume(ctx, l)); err != nil {
					l.close()
					break
				}
			}
		}
		if err == nil {
			return l, nil
		}
		if source.IsStop(err) {
			return nil, err
		}
		failures = append(failures, fmt.Errorf("node %s: %w", address, err))
	}
	return nil, errors.Join(failures...)
}

// watch fails with what the node says when it ends the connection.
func (s *Queues) watch(l *link) {
	select {
	case err := <-l.closed:
		s.fail(lostLink(err))
	case <-s.ctx.Done():
	}
}

// countInterval is how often the messages of queues are counted.
const countInterval = 10 * time.Second

// count asks how many messages wait, for the lag. That a queue does not answer
// shows where messages are awaited.
func (s *Queues) count(l *link) {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(countInterval):
		}
		_ = l.within(s.ctx, "count messages", func() error {
			channel, err := l.amqp.Channel()
			if err != nil {
				return err
			}
			defer channel.Close() //nolint:errcheck // it has done its work
			for _, q := range s.queues {
				state, err := channel.QueueDeclarePassive(q.name, false, false, false, false, nil)
				if err != nil {
					return err
				}
				q.counted(state.Messages)
			}
			return nil
		})
	}
}

func lostLink(err *amqp.Error) error {
	if err == nil {
		return errors.New("the connection to RabbitMQ has ended; what was not acknowledged comes again")
	}
	return fmt.Errorf("the connection to RabbitMQ has ended: %s; what was not acknowledged comes again", err.Reason)
}

// Next implements [source.Source]. After a channel or the connection was lost
// it returns an error: what was given out and is in no commit comes again.
func (s *Queues) Next(ctx context.Context) (*source.Chunk, error) {
	select {
	case <-s.failed:
		return nil, s.reason()
	default:
	}
	select {
	case chunk := <-s.chunks:
		c := chunk.Origin.(*queueChunk)
		c.queue.hand(c)
		return chunk, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.failed:
		return nil, s.reason()
	}
}

func (s *Queues) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// Consume implements [source.Source].
func (s *Queues) Consume(chunk *source.Chunk, n int) {
	c := chunk.Origin.(*queueChunk)
	c.queue.consumed(c, n)
}

// sentOrdinals is a position that was given out, with what it stands for.
type sentOrdinals struct {
	raw  json.RawMessage
	upTo []ordinals // of the queues
}

// ordinals are how far a queue is in a position.
type ordinals struct {
	next  int64
	added uint64 // of the window
}

// Position implements [source.Source].
func (s *Queues) Position() json.RawMessage {
	p := positions.Position{VHost: s.config.VHost, Queues: map[string]*positions.Queue{}}
	for name, mark := range s.others.Queues {
		p.Queues[name] = mark
	}
	upTo := make([]ordinals, len(s.queues))
	for i, q := range s.queues {
		p.Queues[q.name], upTo[i] = q.mark()
	}
	raw := p.Render()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sent) == maxSent { // there are never as many commits on their way
		s.sent = append(s.sent[:0], s.sent[1:]...)
	}
	s.sent = append(s.sent, sentOrdinals{raw, upTo})
	return raw
}

// Acknowledge implements [source.Source].
func (s *Queues) Acknowledge(_ context.Context, position json.RawMessage) {
	s.mu.Lock()
	at := slices.IndexFunc(s.sent, func(p sentOrdinals) bool { return bytes.Equal(p.raw, position) })
	if at < 0 {
		s.mu.Unlock()
		return
	}
	upTo := s.sent[at].upTo
	s.sent = append(s.sent[:0], s.sent[at+1:]...)
	s.mu.Unlock()
	for i, q := range s.queues {
		q.durable(upTo[i])
	}
	s.kick()
}

// kick has acknowledgements sent.
func (s *Queues) kick() {
	select {
	case s.acks <- struct{}{}:
	default:
	}
}

// acknowledge sends acknowledgements until the source is closed.
func (s *Queues) acknowledge() error {
	for {
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-s.acks:
		}
		for _, q := range s.queues {
			if err := q.acknowledge(); err != nil {
				return fmt.Errorf("acknowledge messages of queue %s: %w", q.name, err)
			}
		}
	}
}

// Close implements [source.Source].
func (s *Queues) Close() error {
	s.cancel()
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	if l == nil {
		return nil
	}
	l.close() // ends all that waits for it
	s.group.Wait()
	for {
		select {
		case chunk := <-s.chunks:
			chunk.Release()
		default:
			return nil
		}
	}
}

// fail ends reading.
func (s *Queues) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil || s.failure != nil {
		return
	}
	err = source.Quoted(s.link.explained(err), s.config.Password)
	if s.ctx.Err() == nil {
		s.totals.Reconnects++
	}
	s.failure = err
	close(s.failed)
	s.cancel()
}

// note keeps what is in the way, nil if nothing is.
func (s *Queues) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.trouble = source.Trouble{}
		return
	}
	if s.trouble.Since.IsZero() {
		s.trouble.Since = time.Now()
	}
	s.trouble.Text = strings.ReplaceAll(err.Error(), "\n", "; ")
}

// limits are those of the window of one queue.
func (s *Queues) limits() redelivery.Limits {
	return redelivery.Limits{Count: min(2*s.config.Prefetch, redelivery.MaxCount/max(len(s.config.Queues), 1)), Age: s.age}
}

// Observe implements [source.Observed].
func (s *Queues) Observe() source.Observation {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := source.Observation{Totals: s.totals}
	if s.link != nil {
		seen.Memory, seen.Totals.FetchedBytes, _ = s.link.conn.stats()
	}
	if !s.trouble.Since.IsZero() {
		seen.Troubles = append(seen.Troubles, s.trouble)
		seen.Unreadable = len(s.queues)
	}
	for _, q := range s.queues {
		records, fetches := q.lag()
		seen.Lags = append(seen.Lags, source.Lag{Stream: source.Stream{Name: q.name}, Records: records, Age: -1})
		seen.Totals.Fetches += fetches
	}
	slices.SortFunc(seen.Lags, func(a, b source.Lag) int { return a.Stream.Compare(b.Stream) })
	return seen
}
