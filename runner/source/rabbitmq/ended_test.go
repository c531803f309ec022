// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// A channel that an exception has closed also closes its channel of cancels:
// the error tells the two apart.
func TestWhyAQueueHasEnded(t *testing.T) {
	t.Parallel()
	ended := func(happens func(*queue)) error {
		s := settings.Default()
		s.Source, s.RabbitMQ.Queues = "rabbitmq", []string{"q"}
		q := newQueues(s, source.Options{Memory: 1 << 20}).queues[0]
		q.source.ctx = t.Context()
		q.cancelled, q.closed = make(chan string, 1), make(chan *amqp.Error, 1)
		happens(q)
		return q.ended()
	}
	for want, happens := range map[string]func(*queue){
		"has cancelled the consumer": func(q *queue) { q.cancelled <- "tag" },
		"delivery acknowledgement on channel 1 timed out": func(q *queue) {
			q.closed <- &amqp.Error{Code: 406, Reason: "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out"}
			close(q.closed)
			close(q.cancelled)
		},
		"connection": func(q *queue) { // it was lost, or closed by ourselves
			close(q.closed)
			close(q.cancelled)
		},
	} {
		if err := ended(happens); err == nil || source.IsStop(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %q", err, want)
		}
	}
}
