// SPDX-License-Identifier: Apache-2.0

//go:build linux

package rabbitmq_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rabbitmqcluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/conformance"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/rabbitmq"
)

// side is a queue or stream of the node of these tests.
type side struct {
	t    testing.TB
	kind string
	name string
	node *rabbitmqcluster.Node

	publisher *amqp.Channel

	mu     sync.Mutex
	values []string
}

var sides atomic.Int64

func newSide(t testing.TB, kind string) *side {
	n := startNode(t)
	s := &side{t: t, kind: kind, name: fmt.Sprintf("conformance-%s-%d", kind, sides.Add(1)), node: n}
	s.declare()
	connection, err := n.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() }) //nolint:errcheck // the test is over
	if s.publisher, err = connection.Channel(); err != nil {
		t.Fatal(err)
	}
	if err := s.publisher.Confirm(false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Delete(s.name); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *side) declare() {
	s.t.Helper()
	if err := s.node.Queue(s.kind, s.name, nil); err != nil {
		s.t.Fatal(err)
	}
}

func (s *side) Settings() settings.Settings {
	all := settingsOf(s.node)
	if s.kind == "stream" {
		all.RabbitMQ.Addresses = []string{s.node.Stream()}
		all.RabbitMQ.Streams = []string{s.name}
	} else {
		all.RabbitMQ.Queues, all.RabbitMQ.Prefetch = []string{s.name}, 24
		all.RabbitMQ.ConsumerTimeout = settings.Duration(2 * time.Second)
	}
	return all
}

func settingsOf(n *rabbitmqcluster.Node) settings.Settings {
	all := settings.Default()
	all.Source, all.File.Format = "rabbitmq", "jsonl"
	all.RabbitMQ.Addresses = []string{n.AMQP()}
	all.RabbitMQ.Username, all.RabbitMQ.Password = rabbitmqcluster.User, rabbitmqcluster.Password
	return all
}

func (*side) New(s settings.Settings, o source.Options) (source.Source, error) {
	return rabbitmq.Make(s, o)
}

func (s *side) Produce(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var confirmations []*amqp.DeferredConfirmation
	for range n {
		value := fmt.Sprintf(`{"n":%d}`, len(s.values))
		message := amqp.Publishing{Body: []byte(value), DeliveryMode: amqp.Persistent}
		if len(s.values)%2 == 0 { // half of them have a name
			message.MessageId = fmt.Sprint(len(s.values))
		}
		c, err := s.publisher.PublishWithDeferredConfirmWithContext(context.Background(), "", s.name, true, false, message)
		if err != nil {
			s.t.Error(err)
			return
		}
		confirmations = append(confirmations, c)
		s.values = append(s.values, value)
	}
	for _, c := range confirmations {
		if !c.Wait() {
			s.t.Error("a message was refused")
		}
	}
}

func (s *side) Values() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.values...)
}

// streamSide is a stream, which can be made again.
type streamSide struct{ *side }

// Reset implements conformance.Resetter.
func (s streamSide) Reset() {
	if err := s.node.Delete(s.name); err != nil {
		s.t.Fatal(err)
	}
	s.declare()
}

func TestConformanceOfClassicQueues(t *testing.T) {
	conformance.Run(t, func(t testing.TB) conformance.Side { return newSide(t, "classic") })
}

func TestConformanceOfQuorumQueues(t *testing.T) {
	conformance.Run(t, func(t testing.TB) conformance.Side { return newSide(t, "quorum") })
}

func TestConformanceOfStreams(t *testing.T) {
	conformance.Run(t, func(t testing.TB) conformance.Side { return streamSide{newSide(t, "stream")} })
}
