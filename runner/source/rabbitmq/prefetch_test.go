// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"fmt"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// A batch is asked to end once half of what may be out is in it, whatever waits
// behind it, and whatever has ended the batches before.
func TestHalfOfThePrefetchEndsTheBatch(t *testing.T) {
	t.Parallel()
	s := settings.Default()
	s.Source, s.RabbitMQ.Queues, s.RabbitMQ.Prefetch = "rabbitmq", []string{"q"}, 10
	src := newQueues(s, source.Options{Memory: 1 << 20})
	q := src.queues[0]
	sent := 0
	arrive := func(n int) *queueChunk {
		t.Helper()
		c := q.newChunk(&link{conn: newThrottle(nil, 1<<20)})
		for range n {
			sent++
			if err := q.take(c, &amqp.Delivery{MessageId: fmt.Sprint(sent), DeliveryTag: uint64(sent), Body: []byte("x")}); err != nil {
				t.Fatal(err)
			}
		}
		c.chunk.Next = q.next
		src.chunks <- c.chunk
		return c
	}
	next := func(full bool) *queueChunk {
		t.Helper()
		chunk, err := src.Next(t.Context())
		if err != nil || chunk.Full != full {
			t.Fatalf("full: %v, should be %v; %v", chunk.Full, full, err)
		}
		return chunk.Origin.(*queueChunk)
	}
	for _, n := range []int{2, 2, 3, 2, 1} { // all are there before the first is given out
		arrive(n)
	}
	for range 2 {
		q.consumed(next(false), 2)
	}
	src.Position() // the batch has ended for another reason
	c := next(false)
	q.consumed(c, 1)
	src.Position() // in the middle of a chunk
	q.consumed(c, 3)
	q.consumed(next(false), 2)
	q.consumed(next(true), 1)
	src.Position()
	arrive(4)
	q.consumed(next(false), 4)
	arrive(1)
	next(true)
}
