// SPDX-License-Identifier: Apache-2.0

//go:build linux

package rabbitmqcluster

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Arguments of queues and streams.
type Arguments = amqp.Table

// with opens a channel for a call.
func (n *Node) with(do func(*amqp.Channel) error) error {
	c, err := n.Dial()
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // nothing is lost with it
	channel, err := c.Channel()
	if err != nil {
		return err
	}
	return do(channel)
}

// Queue declares a durable queue of a type: classic, quorum or stream.
func (n *Node) Queue(kind, name string, arguments Arguments) error {
	all := Arguments{"x-queue-type": kind}
	for key, value := range arguments {
		all[key] = value
	}
	return n.with(func(c *amqp.Channel) error {
		_, err := c.QueueDeclare(name, true, false, false, false, all)
		return err
	})
}

// Delete deletes a queue or stream.
func (n *Node) Delete(name string) error {
	return n.with(func(c *amqp.Channel) error {
		_, err := c.QueueDelete(name, false, false, false)
		return err
	})
}

// SuperStream declares a super stream, as RabbitMQ's own tools do, and returns
// the names of its partitions.
func (n *Node) SuperStream(name string, partitions int) ([]string, error) {
	var names []string
	for i := range partitions {
		if err := n.Partition(name, i); err != nil {
			return nil, err
		}
		names = append(names, fmt.Sprintf("%s-%d", name, i))
	}
	return names, nil
}

// Partition adds a partition to a super stream, which is made if it is not there.
func (n *Node) Partition(super string, number int) error {
	name := fmt.Sprintf("%s-%d", super, number)
	if err := n.Queue("stream", name, nil); err != nil {
		return err
	}
	return n.with(func(c *amqp.Channel) error {
		if err := c.ExchangeDeclare(super, "direct", true, false, false, false, Arguments{"x-super-stream": true}); err != nil {
			return err
		}
		return c.QueueBind(name, fmt.Sprint(number), super, false, Arguments{"x-stream-partition-order": number})
	})
}
