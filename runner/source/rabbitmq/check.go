// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/rabbitmq"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/rabbitmq/wire"
)

var (
	_ source.Checker = (*Streams)(nil)
	_ source.Checker = (*Queues)(nil)
)

// findings are what a check has found.
type findings []source.Finding

func (f *findings) ok(format string, args ...any) {
	*f = append(*f, source.Finding{OK: true, Text: fmt.Sprintf(format, args...)})
}

func (f *findings) missing(format string, args ...any) {
	*f = append(*f, source.Finding{Text: strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")})
}

// node is a line about a node that was reached.
func (f *findings) node(config settings.RabbitMQ, address, version string) {
	security := "no TLS"
	if config.TLS.Enabled {
		security = "TLS"
	}
	if version == "" {
		version = "of an unknown version"
	}
	f.ok("node %s: connected (%s, %s), RabbitMQ %s", address, security, config.Mechanism, version)
}

// why says how to fix why a node cannot be used.
func why(err error) string {
	var refused *amqp.Error
	switch {
	case wire.CodeOf(err) == wire.AuthenticationError, errors.Is(err, amqp.ErrCredentials), errors.As(err, &refused) && refused.Code == amqp.AccessRefused:
		return "correct the user name and the password in the Kubernetes secret, or make the user: rabbitmqctl add_user"
	case wire.CodeOf(err) == wire.LoopbackOnly:
		return "make another user than guest, which may log in from the node's own machine only"
	case wire.CodeOf(err) == wire.VHostRefused, errors.Is(err, amqp.ErrVhost), errors.As(err, &refused) && refused.Code == amqp.NotAllowed:
		return "correct SPOUT_RABBITMQ_VHOST, or allow the user to use it: rabbitmqctl set_permissions"
	case errors.Is(err, amqp.ErrSASL):
		return "enable the mechanism at the node, or set SPOUT_RABBITMQ_MECHANISM"
	}
	return "check the address, its port, TLS and the network"
}

// Check implements [source.Checker].
func (s *Streams) Check(ctx context.Context, position json.RawMessage) []source.Finding {
	var f findings
	if s.invalid != nil {
		f.missing("%v", s.invalid)
		return f
	}
	s.position = &positions.Position{VHost: s.config.VHost, Streams: map[string]*positions.Stream{}}
	if position != nil {
		if err := s.resume(position); err != nil {
			f.missing("%v", err)
			return f
		}
	}
	var c *wire.Conn
	for _, address := range s.config.Addresses {
		node, err := s.dialer.openStream(ctx, address, s.memory)
		if err != nil {
			f.missing("%v; %s", err, why(err))
			continue
		}
		defer node.Close()
		defer context.AfterFunc(ctx, node.Close)()
		f.node(s.config, address, node.Properties["version"])
		c = node
	}
	if c == nil {
		return f
	}
	names := slices.Clone(s.config.Streams)
	for _, super := range s.config.SuperStreams {
		partitions, err := c.Partitions(super)
		switch {
		case err != nil && wire.CodeOf(err) != wire.NoStream:
			f.missing("%v", err)
			continue
		case len(partitions) == 0:
			f.missing("super stream %s does not exist, or has no partitions; make it (rabbitmq-streams add_super_stream), or correct SPOUT_RABBITMQ_SUPER_STREAMS", super)
			continue
		}
		f.ok("super stream %s: %d partitions", super, len(partitions))
		for _, name := range partitions {
			if !settings.IsQueueName(name) {
				f.missing("partition %q of super stream %s: names must have 1 to 249 bytes of UTF-8, and no control characters; name it otherwise", name, super)
			} else if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	found, err := c.Metadata(names...)
	if err != nil {
		f.missing("%v", err)
		return f
	}
	// An empty stream takes a while to say that it is empty.
	each, room := make([]findings, len(names)), make(chan struct{}, checkedAtOnce)
	var group sync.WaitGroup
	for i, name := range names {
		room <- struct{}{}
		group.Go(func() {
			s.checkStream(ctx, &each[i], name, found[name])
			<-room
		})
	}
	group.Wait()
	return append(f, slices.Concat(each...)...)
}

// checkedAtOnce is how many streams are looked at at once, each by a connection
// of its own.
const checkedAtOnce = 32

// checkStream looks at one stream as reading would.
func (s *Streams) checkStream(ctx context.Context, f *findings, name string, at wire.Stream) {
	switch {
	case at.Code == wire.NoStream:
		f.missing("stream %s does not exist in the virtual host %s, or is a queue of another type; make it as a queue of the type stream, correct SPOUT_RABBITMQ_STREAMS, or name queues in SPOUT_RABBITMQ_QUEUES", name, s.config.VHost)
		return
	case at.Code != wire.OK || at.Leader == "":
		f.missing("%v; wait until most of its nodes are there", unavailable(name, at))
		return
	}
	c, err := s.leader(ctx, name)
	if err != nil {
		f.missing("%v; the node that leads a stream must be reachable at the address that it advertises (advertised_host and advertised_port in its configuration, under stream)", err)
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()
	end, err := endAt(c, name)
	if err == nil {
		var first int64
		if first, err = firstAt(c, name, end); err == nil {
			s.compare(f, name, at.Leader, first, end)
			return
		}
	}
	if wire.CodeOf(err) == wire.AccessRefused {
		f.missing("stream %s: this user may not read it; allow it: rabbitmqctl set_permissions, with a third pattern that matches", name)
		return
	}
	f.missing("stream %s: %v", name, err)
}

// compare says whether reading can go on between the ends of a stream.
func (s *Streams) compare(f *findings, name, leader string, first, end int64) {
	where := "reading begins at " + s.config.Start
	mark := s.position.Streams[name]
	if mark != nil && mark.Begin == "" {
		where = fmt.Sprintf("reading continues at offset %d", mark.Next)
		switch {
		case mark.Next > end:
			f.missing("stream %s ends at offset %d, and messages up to %d are in the output branch: it was made again, or restored from an older backup; bring it back, or set SPOUT_RABBITMQ_ON_RESET=restart", name, end, mark.Next-1)
			return
		case first > mark.Next && s.config.OnGap != "skip":
			f.missing("stream %s begins at offset %d, and messages from %d on were not read: its retention has dropped them; set SPOUT_RABBITMQ_ON_GAP=skip, and keep messages longer", name, first, mark.Next)
			return
		}
	}
	f.ok("stream %s: led by %s, offsets %d to %d; %s", name, leader, first, end-1, where)
}

// firstAt asks the leader of a stream, whose end is known, for its beginning.
func firstAt(c *wire.Conn, name string, end int64) (int64, error) {
	if end == 0 {
		return 0, nil
	}
	const third = 2
	if err := c.Subscribe(third, name, wire.First, 1); err != nil {
		return 0, err
	}
	for {
		chunk, err := c.Receive(func(uint8, wire.Head) ([]byte, error) { return nil, nil })
		switch {
		case errors.Is(err, wire.ErrUnsubscribed):
		case err != nil:
			return 0, err
		case chunk.ID == third:
			return chunk.Head.First, nil
		}
	}
}

// Check implements [source.Checker].
func (s *Queues) Check(ctx context.Context, position json.RawMessage) []source.Finding {
	var f findings
	if s.invalid != nil {
		f.missing("%v", s.invalid)
		return f
	}
	if err := s.resume(position); err != nil {
		f.missing("%v", err)
		return f
	}
	reached := ""
	for _, address := range s.config.Addresses {
		l, err := s.dialer.openQueue(ctx, address, s.memory)
		if err != nil {
			f.missing("node %s: %v; %s", address, err, why(err))
			continue
		}
		version, _ := l.amqp.Properties["version"].(string)
		f.node(s.config, address, version)
		l.close()
		reached = address
	}
	if reached == "" {
		return f
	}
	for _, q := range s.queues {
		s.checkQueue(ctx, &f, reached, q)
	}
	f.ok("at most %d messages of each queue are out, and batches end at half of them; they are committed within half of %s, which must not be more than consumer_timeout at the nodes", s.config.Prefetch, s.config.ConsumerTimeout)
	return f
}

// checkQueue looks at one queue, over a connection of its own: nodes end the
// whole connection at some refusals.
func (s *Queues) checkQueue(ctx context.Context, f *findings, address string, q *queue) {
	l, err := s.dialer.openQueue(ctx, address, s.memory)
	if err != nil {
		f.missing("node %s: %v; %s", address, err, why(err))
		return
	}
	defer l.close()
	var state amqp.Queue
	err = l.within(ctx, "look at queue "+q.name, func() error {
		channel, err := l.amqp.Channel()
		if err == nil {
			state, err = channel.QueueDeclarePassive(q.name, false, false, false, false, nil)
		}
		return err
	})
	var refused *amqp.Error
	switch {
	case errors.As(err, &refused) && refused.Code == amqp.NotFound:
		f.missing("queue %s does not exist in the virtual host %s; make it, or correct SPOUT_RABBITMQ_QUEUES", q.name, s.config.VHost)
		return
	case errors.As(err, &refused) && refused.Code == amqp.ResourceLocked:
		f.missing("queue %s is exclusive to another connection; make it without exclusive", q.name)
		return
	case err != nil:
		f.missing("%v", err)
		return
	}
	kind, err := typeOf(ctx, l, q.name)
	switch {
	case errors.As(err, &refused) && refused.Code == amqp.AccessRefused:
		f.missing("queue %s: this user may not read it; allow it: rabbitmqctl set_permissions, with a third pattern that matches", q.name)
		return
	case err != nil:
		f.missing("%v", err)
		return
	case kind == "stream":
		f.missing("queue %s is a stream; name it in SPOUT_RABBITMQ_STREAMS, with the port of the stream protocol in SPOUT_RABBITMQ_ADDRESSES", q.name)
		return
	}
	f.ok("queue %s: %s, %d messages wait; the next one is number %d", q.name, kind, state.Messages, q.next)
	if state.Consumers > 0 {
		f.ok("queue %s has %d consumers already: others than this spout take a part of the messages", q.name, state.Consumers)
	}
}

// typeOf finds out what kind of queue it is, and whether it may be read, by
// asking to consume it in a way that no queue allows: rights are looked at
// first, no consumer is made, and no message is touched.
func typeOf(ctx context.Context, l *link, name string) (string, error) {
	err := l.within(ctx, "look at the rights to queue "+name, func() error {
		channel, err := l.amqp.Channel()
		if err == nil {
			_, err = channel.Consume(name, "", false, false, false, false, amqp.Table{"x-stream-offset": "none"})
		}
		return err
	})
	var refused *amqp.Error
	if !errors.As(err, &refused) {
		if err == nil {
			err = fmt.Errorf("the node lets consumers of queue %s have any argument", name)
		}
		return "", err
	}
	switch {
	case refused.Code == amqp.InternalError, strings.Contains(refused.Reason, "stream_queue"):
		return "stream", nil
	case refused.Code != amqp.PreconditionFailed:
		return "", err
	case strings.Contains(refused.Reason, "quorum"):
		return "quorum", nil
	case strings.Contains(refused.Reason, "classic"):
		return "classic", nil
	}
	return "of an unknown type", nil
}
