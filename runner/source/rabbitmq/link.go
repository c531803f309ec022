// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"context"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// heartbeat is asked of nodes, so that one that is gone is noticed.
const heartbeat = 10 * time.Second

// largestFrame is how long frames may be, as nodes have it by default. Without
// it, a node could send headers and methods of any length.
const largestFrame = 128 << 10

// link is a connection by AMQP 0.9.1. The client library is known to wait for
// ever in some calls, so each is bounded: at the end of its time the connection
// is closed under it.
type link struct {
	conn   *throttle
	amqp   *amqp.Connection
	closed chan *amqp.Error
}

// openQueue logs in at a node by AMQP 0.9.1. memory is for the messages that
// come over the connection.
func (d *dialer) openQueue(ctx context.Context, address string, memory int64) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := d.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	l := &link{conn: newThrottle(conn, memory)}
	config := amqp.Config{Vhost: d.config.VHost, Heartbeat: heartbeat, Locale: "en_US", FrameSize: largestFrame,
		SASL:       []amqp.Authentication{&amqp.PlainAuth{Username: d.config.Username, Password: d.config.Password}},
		Properties: amqp.Table{"product": "spout-runner", "platform": "Go", "connection_name": connectionName}}
	if d.config.Mechanism == "external" {
		config.SASL = []amqp.Authentication{&amqp.ExternalAuth{}}
	}
	err = l.within(ctx, "log in", func() (err error) {
		l.amqp, err = amqp.Open(l.conn, config)
		return err
	})
	if err != nil {
		_ = l.conn.Close()
		return nil, err
	}
	l.closed = l.amqp.NotifyClose(make(chan *amqp.Error, 1))
	return l, nil
}

// within makes a call that ends with ctx, or after a while.
func (l *link) within(ctx context.Context, what string, call func() error) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.conn.Close() })
	err := call()
	if !stop() && ctx.Err() != nil {
		return fmt.Errorf("%s: no answer: %w", what, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// explained is err, or what has led to it: a message that is too large.
func (l *link) explained(err error) error {
	if _, _, large := l.conn.stats(); err != nil && large > 0 {
		return stopf("a message has %d bytes, and there is memory for %d; raise SPOUT_MEMORY_BUDGET, of which an eighth is for messages of queues, or take the message out of its queue", large, l.conn.limit)
	}
	return err
}

// close ends the connection in good order, if the node answers soon.
func (l *link) close() {
	const patience = time.Second
	l.conn.unblock()
	stop := time.AfterFunc(2*patience, func() { _ = l.conn.Close() })
	defer stop.Stop()
	_ = l.amqp.CloseDeadline(time.Now().Add(patience)) // it may be lost already
	_ = l.conn.Close()
}
