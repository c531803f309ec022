// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/hashicorp/go-hclog"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rabbitmqcluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/rabbitmq"
)

// rabbitStreams is how many streams the records of a round are in.
const rabbitStreams = 2

// rabbitSupply is a node with streams.
type rabbitSupply struct {
	node    *rabbitmqcluster.Node
	names   []string
	records int
}

func (r *rabbitSupply) configure(s *settings.Settings) {
	s.Source = "rabbitmq"
	s.RabbitMQ.Addresses, s.RabbitMQ.Streams = []string{r.node.Stream()}, r.names
	s.RabbitMQ.Username, s.RabbitMQ.Password = rabbitmqcluster.User, rabbitmqcluster.Password
}

func (*rabbitSupply) secrets() map[string]string {
	return map[string]string{"SPOUT_RABBITMQ_USERNAME": rabbitmqcluster.User, "SPOUT_RABBITMQ_PASSWORD": rabbitmqcluster.Password}
}

func (r *rabbitSupply) close() error {
	r.node.Stop()
	return nil
}

func supplyStreams(ctx context.Context, name string, size, count int) (supply, error) {
	node, err := rabbitmqcluster.Start(ctx, rabbitmqcluster.Options{})
	if err != nil {
		return nil, err
	}
	r := &rabbitSupply{node: node, records: count}
	for i := range rabbitStreams {
		stream := fmt.Sprintf("%s-%d", name, i)
		r.names = append(r.names, stream)
		if err := errors.Join(node.Queue("stream", stream, nil), r.publish(stream, size, (count+i)/rabbitStreams)); err != nil {
			node.Stop()
			return nil, err
		}
	}
	return r, nil
}

func (r *rabbitSupply) publish(stream string, size, count int) error {
	p, err := r.node.Publisher(stream)
	if err != nil {
		return err
	}
	defer p.Close()
	random, value := rand.New(rand.NewPCG(rand.Uint64(), 0)), make([]byte, size)
	for left := count; left > 0; {
		messages := make([][]byte, min(left, 50_000))
		for i := range messages {
			fill(random, value)
			messages[i] = rabbitmqcluster.Message(value)
		}
		if err := p.Publish(messages...); err != nil {
			return err
		}
		left -= len(messages)
	}
	return nil
}

// consume reads with the runner's own source, which takes less time than other
// clients take.
func (r *rabbitSupply) consume(ctx context.Context) (bytes int, err error) {
	s := settings.Default()
	r.configure(&s)
	src, err := rabbitmq.Make(s, source.Options{Memory: ingest.SourceShare(s), Log: hclog.NewNullLogger()})
	if err != nil {
		return 0, err
	}
	defer src.Close() //nolint:errcheck // a measurement
	if err := src.Open(ctx, nil); err != nil {
		return 0, err
	}
	for left := r.records; left > 0; {
		chunk, err := src.Next(ctx)
		if err != nil {
			return 0, err
		}
		for i := range chunk.Records {
			bytes += len(chunk.Records[i].Value)
		}
		left -= len(chunk.Records)
		src.Consume(chunk, len(chunk.Records))
		chunk.Release()
	}
	return bytes, nil
}

// queueSupply is a node with a classic queue, and another one with the same
// messages, since a queue forgets what was read.
type queueSupply struct {
	rabbitSupply
	queue, again string
}

func supplyQueue(ctx context.Context, name string, size, count int) (supply, error) {
	node, err := rabbitmqcluster.Start(ctx, rabbitmqcluster.Options{})
	if err != nil {
		return nil, err
	}
	q := &queueSupply{rabbitSupply{node: node, records: count}, name, name + "-again"}
	err = errors.Join(node.Queue("classic", q.queue, nil), node.Queue("classic", q.again, nil))
	if err == nil {
		err = q.publish(ctx, size)
	}
	if err != nil {
		node.Stop()
		return nil, err
	}
	return q, nil
}

// publish publishes to both queues, through an exchange.
func (q *queueSupply) publish(ctx context.Context, size int) error {
	c, err := q.node.Dial()
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // all is confirmed
	channel, err := c.Channel()
	if err != nil {
		return err
	}
	if err := errors.Join(channel.ExchangeDeclare(q.queue, "fanout", true, false, false, false, nil), channel.QueueBind(q.queue, "", q.queue, false, nil),
		channel.QueueBind(q.again, "", q.queue, false, nil), channel.Confirm(false)); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(rand.Uint64(), 0))
	for left := q.records; left > 0; {
		var last *amqp.DeferredConfirmation
		for range min(left, 5_000) {
			value := make([]byte, size)
			fill(random, value)
			m := amqp.Publishing{Body: value, MessageId: fmt.Sprint(left), DeliveryMode: amqp.Persistent}
			if last, err = channel.PublishWithDeferredConfirmWithContext(ctx, q.queue, "", true, false, m); err != nil {
				return err
			}
			left--
		}
		if !last.Wait() {
			return fmt.Errorf("the node has refused messages")
		}
	}
	return nil
}

func (q *queueSupply) configure(s *settings.Settings) {
	q.rabbitSupply.configure(s)
	s.RabbitMQ.Addresses, s.RabbitMQ.Streams, s.RabbitMQ.Queues, s.RabbitMQ.Prefetch = []string{q.node.AMQP()}, nil, []string{q.queue}, 25_000
	s.Batch.MaxRecords = 0
}

// consume reads with the client library that the runner reads with, and
// acknowledges now and then.
func (q *queueSupply) consume(context.Context) (bytes int, err error) {
	c, err := q.node.Dial()
	if err != nil {
		return 0, err
	}
	defer c.Close() //nolint:errcheck // a measurement
	channel, err := c.Channel()
	if err != nil {
		return 0, err
	}
	if err := channel.Qos(25_000, 0, false); err != nil {
		return 0, err
	}
	arriving, err := channel.Consume(q.again, "", false, false, false, false, nil)
	if err != nil {
		return 0, err
	}
	n := 0
	for d := range arriving {
		bytes += len(d.Body)
		if n++; n%5_000 == 0 || n == q.records {
			if err := d.Ack(true); err != nil {
				return 0, err
			}
		}
		if n == q.records {
			return bytes, nil
		}
	}
	return 0, fmt.Errorf("the node has ended the consumer after %d messages", n)
}
