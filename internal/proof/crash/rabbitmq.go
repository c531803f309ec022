// SPDX-License-Identifier: Apache-2.0

//go:build linux

package crash

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rabbitmqcluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// rabbitMQ is a node, with a publisher that publishes each message until the
// node has confirmed it.
type rabbitMQ struct {
	node   *rabbitmqcluster.Node
	ids    bool // every second message has an id
	stop   context.CancelFunc
	others sync.WaitGroup

	streams []string // that the node must serve after a restart

	mu        sync.Mutex
	grown     chan struct{}
	waiting   []rabbitMessage
	made      int
	sent      map[string]int    // how often values were sent
	confirmed map[string]string // values that the node has, and where
}

type rabbitMessage struct{ to, value, id string }

// startRabbitMQ starts a node. With ids, messages are for queues.
func startRabbitMQ(ctx context.Context, ids bool) (*rabbitMQ, error) {
	node, err := rabbitmqcluster.Start(ctx, rabbitmqcluster.Options{})
	if err != nil {
		return nil, err
	}
	r := &rabbitMQ{node: node, ids: ids, grown: make(chan struct{}), sent: map[string]int{}, confirmed: map[string]string{}}
	connect := r.byStream
	if ids {
		connect = r.byAMQP
	}
	ctx, r.stop = context.WithCancel(ctx)
	r.others.Go(func() { r.publish(ctx, connect) })
	return r, nil
}

func (r *rabbitMQ) configure(v *settings.Settings) {
	v.Source = "rabbitmq"
	v.RabbitMQ.Username, v.RabbitMQ.Password = rabbitmqcluster.User, rabbitmqcluster.Password
}

// secrets implements withSecrets.
func (*rabbitMQ) secrets() map[string]string {
	return map[string]string{"SPOUT_RABBITMQ_USERNAME": rabbitmqcluster.User, "SPOUT_RABBITMQ_PASSWORD": rabbitmqcluster.Password}
}

func (r *rabbitMQ) signal(s syscall.Signal) error { return r.node.Signal(s) }

func (r *rabbitMQ) restart(ctx context.Context) error {
	r.node.Shutdown()
	return r.node.RestartWith(ctx, r.streams...)
}

func (r *rabbitMQ) kill(ctx context.Context) error {
	r.node.Kill()
	return r.node.RestartWith(ctx, r.streams...)
}

// make has n messages published, to one of some queues or streams each.
func (r *rabbitMQ) make(random *rand.Rand, n int, to []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range n {
		r.made++
		m := rabbitMessage{to: to[random.IntN(len(to))], value: fmt.Sprintf(`{"n":%d,"fill":%q}`, r.made, strings.Repeat("x", random.IntN(200)))}
		if r.ids && r.made%2 == 0 {
			m.id = fmt.Sprint(r.made)
		}
		r.waiting = append(r.waiting, m)
	}
	close(r.grown)
	r.grown = make(chan struct{})
}

// sender publishes messages, and returns how many of them the node has.
type sender func(ctx context.Context, messages []rabbitMessage) (taken int, err error)

// publish publishes what waits until ctx ends.
func (r *rabbitMQ) publish(ctx context.Context, connect func(context.Context) (send sender, disconnect func(), err error)) {
	for ctx.Err() == nil {
		send, disconnect, err := connect(ctx)
		for err == nil {
			r.mu.Lock()
			grown, some := r.grown, slices.Clone(r.waiting[:min(len(r.waiting), 100)])
			for _, m := range some {
				r.sent[m.value]++
			}
			r.mu.Unlock()
			if len(some) == 0 {
				select {
				case <-grown:
				case <-ctx.Done():
					err = ctx.Err()
				}
				continue
			}
			var taken int
			taken, err = send(ctx, some)
			r.mu.Lock()
			for _, m := range some[:taken] {
				r.confirmed[m.value] = m.to
			}
			r.waiting = r.waiting[taken:]
			r.mu.Unlock()
		}
		disconnect()
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// byAMQP publishes by AMQP 0.9.1.
func (r *rabbitMQ) byAMQP(ctx context.Context) (sender, func(), error) {
	c, err := r.node.Dial()
	if err != nil {
		return nil, func() {}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.CloseDeadline(time.Now()) })
	disconnect := func() { stop(); _ = c.CloseDeadline(time.Now().Add(time.Second)) }
	channel, err := c.Channel()
	if err == nil {
		err = channel.Confirm(false)
	}
	return func(ctx context.Context, messages []rabbitMessage) (int, error) {
		var confirmations []*amqp.DeferredConfirmation
		for _, m := range messages {
			one, err := channel.PublishWithDeferredConfirmWithContext(ctx, "", m.to, false, false, amqp.Publishing{Body: []byte(m.value), MessageId: m.id, DeliveryMode: amqp.Persistent})
			if err != nil {
				return 0, err
			}
			confirmations = append(confirmations, one)
		}
		for i, one := range confirmations {
			wait, cancel := context.WithTimeout(ctx, 20*time.Second)
			ok, err := one.WaitContext(wait)
			cancel()
			if err != nil || !ok {
				return i, fmt.Errorf("not confirmed: %w", err)
			}
		}
		return len(messages), nil
	}, disconnect, err
}

// byStream publishes by the stream protocol: a node that starts confirms by
// AMQP 0.9.1 what no stream gets.
func (r *rabbitMQ) byStream(ctx context.Context) (sender, func(), error) {
	publishers := map[string]*rabbitmqcluster.Publisher{}
	disconnect := func() {
		for _, p := range publishers {
			p.Close()
		}
	}
	return func(ctx context.Context, messages []rabbitMessage) (int, error) {
		for i, m := range messages {
			p := publishers[m.to]
			if p == nil {
				var err error
				if p, err = r.node.Publisher(m.to); err != nil {
					return i, err
				}
				publishers[m.to] = p
			}
			end := context.AfterFunc(ctx, p.Close)
			err := p.Publish(rabbitmqcluster.Message([]byte(m.value)))
			end()
			if err != nil {
				return i, err
			}
		}
		return len(messages), nil
	}, disconnect, ctx.Err()
}

// settled says whether the node has all messages.
func (r *rabbitMQ) settled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.confirmed) == r.made
}

func (r *rabbitMQ) close() error {
	r.stop()
	r.others.Wait()
	r.node.Stop()
	return nil
}

// streamSide is a super stream. What it holds in truth is read back by
// AMQP 0.9.1, which the runner does not speak to streams.
type streamSide struct {
	*rabbitMQ
	partitions []string
	produced   *audit.Produced
	seen       map[string]bool
}

func startStreams(ctx context.Context, _ *spout, _ string) (side, error) {
	r, err := startRabbitMQ(ctx, false)
	if err != nil {
		return nil, err
	}
	s := &streamSide{rabbitMQ: r, produced: audit.NewProduced(audit.OffsetsOf("rabbitmq")), seen: map[string]bool{}}
	if s.partitions, err = r.node.SuperStream("records", 3); err != nil {
		_ = r.close()
		return nil, err
	}
	r.streams = s.partitions
	following, cancel := context.WithCancel(ctx)
	stop := r.stop
	r.stop = func() { stop(); cancel() }
	for _, name := range s.partitions {
		r.others.Go(func() { s.follow(following, name) })
	}
	return s, nil
}

func (s *streamSide) configure(v *settings.Settings) {
	s.rabbitMQ.configure(v)
	v.RabbitMQ.Addresses, v.RabbitMQ.SuperStreams = []string{s.node.Stream()}, []string{"records"}
}

func (s *streamSide) produce(_ context.Context, random *rand.Rand, n int) {
	s.make(random, n, s.partitions)
}

// follow reads a stream until ctx ends.
func (s *streamSide) follow(ctx context.Context, name string) {
	next := int64(0)
	for ctx.Err() == nil {
		_ = s.following(ctx, name, &next) // it is tried again
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *streamSide) following(ctx context.Context, name string, next *int64) error {
	c, err := s.node.Dial()
	if err != nil {
		return err
	}
	defer c.CloseDeadline(time.Now().Add(time.Second)) //nolint:errcheck // only read
	defer context.AfterFunc(ctx, func() { _ = c.CloseDeadline(time.Now()) })()
	channel, err := c.Channel()
	if err != nil {
		return err
	}
	if err := channel.Qos(500, 0, false); err != nil {
		return err
	}
	arriving, err := channel.Consume(name, "", false, false, false, false, amqp.Table{"x-stream-offset": *next})
	if err != nil {
		return err
	}
	for {
		var d amqp.Delivery
		var open bool
		select {
		case d, open = <-arriving:
		case <-time.After(3 * time.Second): // a node that has just started may have forgotten the consumer
		}
		if !open {
			return nil
		}
		offset, ok := d.Headers["x-stream-offset"].(int64)
		if !ok {
			return fmt.Errorf("a message of stream %s has no offset", name)
		}
		if offset >= *next {
			*next = offset + 1
			s.produced.Add(source.Stream{Name: name}, offset, string(d.Body))
			s.mu.Lock()
			s.seen[string(d.Body)] = true
			s.mu.Unlock()
		}
		if err := d.Ack(false); err != nil {
			return err
		}
	}
}

func (s *streamSide) settle(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		if !s.settled() {
			return false, nil
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for value := range s.confirmed {
			if !s.seen[value] {
				return false, nil
			}
		}
		return true, nil
	})
}

func (s *streamSide) known() int64 { return s.produced.Count() }

func (s *streamSide) reached(d spoutcommit.Description) (bool, error) {
	return s.produced.Reached(d.Position)
}

func (s *streamSide) audit(ctx context.Context, branch *pachyderm.Branch) (*audit.Report, error) {
	report, err := audit.Branch(ctx, branch, settings.LayoutOf("rabbitmq", settings.RabbitMQStream), s.produced)
	if err == nil && report.Records != s.produced.Count() {
		report.Problems = append(report.Problems, fmt.Sprintf("the streams have %d records, %d are in the commits", s.produced.Count(), report.Records))
	}
	return report, err
}

// queueSide are a classic and a quorum queue.
type queueSide struct {
	*rabbitMQ
	say func(format string, args ...any)
}

var rabbitQueues = []string{"classic", "quorum"}

func startQueues(ctx context.Context, s *spout, _ string) (side, error) {
	r, err := startRabbitMQ(ctx, true)
	if err != nil {
		return nil, err
	}
	for _, kind := range rabbitQueues {
		if err := r.node.Queue(kind, kind, nil); err != nil {
			_ = r.close()
			return nil, err
		}
	}
	return &queueSide{r, s.say}, nil
}

func (s *queueSide) configure(v *settings.Settings) {
	s.rabbitMQ.configure(v)
	v.RabbitMQ.Addresses, v.RabbitMQ.Queues, v.RabbitMQ.Prefetch = []string{s.node.AMQP()}, rabbitQueues, 500
}

func (s *queueSide) produce(_ context.Context, random *rand.Rand, n int) {
	s.make(random, n, rabbitQueues)
}

func (s *queueSide) settle(ctx context.Context) error {
	return poll(ctx, func() (bool, error) { return s.settled(), nil })
}

func (s *queueSide) known() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.confirmed))
}

// reached goes by the numbers that messages got: one that was doubled would
// hide one that is missing until the audit, which waits for all.
func (s *queueSide) reached(d spoutcommit.Description) (bool, error) {
	offsets, err := audit.OffsetsOf("rabbitmq")(d.Position)
	sum := int64(0)
	for _, next := range offsets {
		sum += next
	}
	return sum >= s.known(), err
}

// audit checks each commit against the numbers that the runner gave to messages,
// and all messages against what was sent: each must be there, and no more often
// than it was sent. One with an id must be there once.
func (s *queueSide) audit(ctx context.Context, branch *pachyderm.Branch) (*audit.Report, error) {
	layout := settings.LayoutOf("rabbitmq", settings.RabbitMQQueue)
	var written *audit.Produced
	var count map[string]int
	waiting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := poll(waiting, func() (bool, error) {
		var err error
		written, count, err = s.read(ctx, branch, layout)
		if err != nil {
			return false, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for value := range s.confirmed {
			if count[value] == 0 {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil && waiting.Err() == nil {
		return nil, err
	}
	report, err := audit.Branch(ctx, branch, layout, written)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	again := 0
	for value := range s.confirmed {
		most := s.sent[value]
		if again += most - 1; isNamed(value) {
			most = 1
		}
		switch n := count[value]; {
		case n == 0:
			report.Lost++
		case n > most:
			report.Duplicated += int64(n - most)
		}
	}
	if unknown := len(slices.DeleteFunc(slices.Collect(maps.Keys(count)), func(v string) bool { return s.sent[v] > 0 })); unknown > 0 {
		report.Problems = append(report.Problems, fmt.Sprintf("%d messages are in the commits that nobody has sent", unknown))
	}
	s.say("%d messages were sent, %d times one once more", len(s.confirmed), again)
	return report, nil
}

// isNamed says whether a value was sent with an id: see make.
func isNamed(value string) bool {
	var n int
	_, err := fmt.Sscanf(value, `{"n":%d`, &n)
	return err == nil && n%2 == 0
}

// read reads all that the branch has.
func (s *queueSide) read(ctx context.Context, branch *pachyderm.Branch, layout settings.Layout) (*audit.Produced, map[string]int, error) {
	written, count := audit.NewProduced(audit.OffsetsOf("rabbitmq")), map[string]int{}
	head, err := branch.Head(ctx)
	if err != nil || head == nil {
		return nil, nil, fmt.Errorf("the branch has no head, or %w", err)
	}
	entries, err := audit.InCommit(ctx, branch, head.ID, layout)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		written.Add(e.Stream, e.Offset, e.Value)
		count[e.Value]++
	}
	return written, count, nil
}
