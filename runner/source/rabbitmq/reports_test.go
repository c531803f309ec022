// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package rabbitmq_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rabbitmqcluster"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/rabbitmq"
)

// These are cases of what others have reported of readers of RabbitMQ, and name
// where.

// Headers of all types, alone and in lists and tables
// (rabbitmq/amqp091-go#302, jcustenborder/kafka-connect-rabbitmq#25 and #9).
func TestHeadersOfAllTypes(t *testing.T) {
	n := startNode(t)
	at := time.Unix(1_764_547_200, 0).UTC()
	all := amqp.Table{"text": "é", "empty": "", "bytes": []byte{0xff, 0}, "yes": true, "b": int8(-1), "B": uint8(255), "s": int16(-2), "u": uint16(65535), "I": int32(-3), "i": uint32(4294967295), "l": int64(-1 << 62),
		"f": float32(1.5), "d": 0.1, "time": at, "decimal": amqp.Decimal{Scale: 2, Value: -5}, "none": nil}
	nested := amqp.Table{"list": []any{"a", int64(1), nil, amqp.Table{"deep": []any{true, uint32(7), at}}}, "table": amqp.Table{"u": uint16(65535)}}
	for name, value := range all {
		nested["of "+name] = value
	}
	for _, kind := range []string{"classic", "quorum"} {
		t.Run(kind, func(t *testing.T) {
			name, s := queue(t, n, kind)
			send(t, n, name, amqp.Publishing{Body: []byte("1"), Headers: all}, amqp.Publishing{Body: []byte("2"), Headers: nested})
			records := mustRead(t, opened(t, s, nil), 2)
			for _, want := range []string{"text=é", "empty=", "bytes=\xff\x00", "yes=true", "b=-1", "B=255", "s=-2", "u=65535", "I=-3", "i=4294967295", "l=-4611686018427387904", "f=1.5", "d=0.1", "time=2025-12-01T00:00:00Z", "decimal=-0.05"} {
				if !slices.Contains(records[0].headers, want) {
					t.Errorf("no %q in %q", want, records[0].headers)
				}
			}
			if want := `list=["a",1,null,{"deep":[true,7,"2025-12-01T00:00:00Z"]}]`; !slices.Contains(records[1].headers, want) {
				t.Errorf("no %q in %q", want, records[1].headers)
			}
		})
	}
}

// A message that was dead-lettered tells of it in a list of tables
// (redpanda-data/connect#1692), and is recognised when it comes again.
func TestDeadLettered(t *testing.T) {
	n := startNode(t)
	name, s := queue(t, n, "classic")
	from := "from-" + name
	if err := n.Queue("classic", from, rabbitmqcluster.Arguments{"x-message-ttl": int32(1), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": name}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Delete(from) }) //nolint:errcheck // the node ends soon
	send(t, n, from, bodies("dead")...)
	src := opened(t, s, nil)
	r := mustRead(t, src, 1)[0]
	if !slices.ContainsFunc(r.headers, func(h string) bool {
		return strings.HasPrefix(h, "x-death=[{") && strings.Contains(h, `"reason":"expired"`) && strings.Contains(h, `"queue":"`+from+`"`)
	}) {
		t.Errorf("%q", r.headers)
	}
	position := src.Position()
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	if got, redelivered := drained(t, opened(t, s, position)); len(got) > 0 || redelivered != 1 {
		t.Errorf("%q %d", got, redelivered)
	}
}

// The first message of a stream, and one in the middle of a chunk, are not read
// again (rabbitmq/rabbitmq-stream-go-client#306,
// rabbitmq/rabbitmq-stream-rust-client#222, rabbitmq-community/rstream#118).
func TestPositionsInChunks(t *testing.T) {
	n := startNode(t)
	name := stream(t, n, nil)
	s := ofStreams(n, name)
	src := opened(t, s, nil)
	publish(t, n, name, "0")
	mustRead(t, src, 1)
	again := opened(t, s, src.Position())
	publish(t, n, name, numbered(1, 100)...)
	if got := mustRead(t, again, 45); got[0].offset != 1 || got[44].offset != 45 {
		t.Errorf("from %d to %d", got[0].offset, got[44].offset)
	}
	if got := mustRead(t, opened(t, s, again.Position()), 55); got[0].value != "46" || got[54].value != "100" {
		t.Errorf("from %s to %s", got[0].value, got[54].value)
	}
}

// Where reading begins holds for each partition of a super stream
// (rabbitmq-community/rstream#178).
func TestStartOfSuperStreams(t *testing.T) {
	n := startNode(t)
	partitions, err := n.SuperStream("reports-super", 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range partitions {
		publish(t, n, p, "before")
	}
	s := ofStreams(n)
	s.RabbitMQ.SuperStreams, s.RabbitMQ.Start = []string{"reports-super"}, "next"
	src := opened(t, s, nil)
	for _, p := range partitions {
		publish(t, n, p, "after")
	}
	for _, r := range mustRead(t, src, 2) {
		if r.value != "after" || r.offset != 1 {
			t.Errorf("%+v", r)
		}
	}
}

// A connection that an operator closes while a commit is on its way loses
// nothing, and the acknowledgement that comes too late does no harm
// (makasim/amqpextra#74, rabbitmq/amqp091-go#18).
func TestConnectionsAreClosed(t *testing.T) {
	n := ownNode(t, rabbitmqcluster.Options{})
	if err := n.Queue("quorum", "q", nil); err != nil {
		t.Fatal(err)
	}
	s := settingsOf(n)
	s.RabbitMQ.Queues = []string{"q"}
	send(t, n, "q", named("1", "", "one"), named("2", "", "two"))
	src := opened(t, s, nil)
	mustRead(t, src, 2)
	position := src.Position()
	if _, err := n.Control(t.Context(), "close_all_connections", "maintenance"); err != nil {
		t.Fatal(err)
	}
	src.Acknowledge(t.Context(), position)
	if _, _, _, err := read(t, src, 1); err == nil || source.IsStop(err) {
		t.Errorf("%v", err)
	}
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	if got, redelivered := drained(t, opened(t, s, position)); len(got) > 0 || redelivered != 2 {
		t.Errorf("%q %d", got, redelivered)
	}
}

// A queue with one active consumer is read once the others have gone.
func TestSingleActiveConsumer(t *testing.T) {
	n := startNode(t)
	name := "single-active"
	if err := n.Queue("quorum", name, rabbitmqcluster.Arguments{"x-single-active-consumer": true}); err != nil {
		t.Fatal(err)
	}
	s := settingsOf(n)
	s.RabbitMQ.Queues = []string{name}
	other, err := n.Dial()
	if err != nil {
		t.Fatal(err)
	}
	channel, err := other.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := channel.Consume(name, "other", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	src := opened(t, s, nil)
	send(t, n, name, bodies("a", "b")...)
	if got, _ := drained(t, src); len(got) > 0 {
		t.Errorf("%q", got)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if got := values(mustRead(t, src, 2)); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q", got)
	}
}

// Names of queues and virtual hosts with blanks, slashes, percent signs and
// letters beyond ASCII.
func TestNames(t *testing.T) {
	n := startNode(t)
	for _, name := range []string{"a b/c%2F é", "{x}..", strings.Repeat("é", 100)} {
		for _, kind := range []string{"quorum", "stream"} {
			if err := n.Queue(kind, kind+name, nil); err != nil {
				t.Fatal(err)
			}
		}
		s := settingsOf(n)
		s.RabbitMQ.Queues = []string{"quorum" + name}
		if err := s.Validate(); err != nil {
			t.Error(err)
		}
		send(t, n, "quorum"+name, bodies("x")...)
		publish(t, n, "stream"+name, "x")
		for _, s := range []source.Source{opened(t, s, nil), opened(t, ofStreams(n, "stream"+name), nil)} {
			if got := mustRead(t, s, 1); got[0].value != "x" || !strings.HasSuffix(got[0].Name, name) {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
	if _, err := n.Control(t.Context(), "add_vhost", "team/a b%"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Control(t.Context(), "set_permissions", "-p", "team/a b%", rabbitmqcluster.User, ".*", ".*", ".*"); err != nil {
		t.Fatal(err)
	}
	c, err := amqp.DialConfig(fmt.Sprintf("amqp://%s:%s@%s/", rabbitmqcluster.User, rabbitmqcluster.Password, n.AMQP()), amqp.Config{Vhost: "team/a b%"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // the test is over
	channel, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := channel.QueueDeclare("q", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := channel.PublishWithContext(t.Context(), "", "q", true, false, amqp.Publishing{Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	s := settingsOf(n)
	s.RabbitMQ.VHost, s.RabbitMQ.Queues = "team/a b%", []string{"q"}
	mustRead(t, opened(t, s, nil), 1)
}

// A super stream with many empty partitions is looked at in time.
func TestCheckOfManyPartitions(t *testing.T) {
	n := startNode(t)
	if _, err := n.SuperStream("reports-many", 20); err != nil {
		t.Fatal(err)
	}
	s := ofStreams(n)
	s.RabbitMQ.SuperStreams = []string{"reports-many"}
	src, err := rabbitmq.Make(s, source.Options{Memory: 16 << 20, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	good := 0
	for _, f := range src.(source.Checker).Check(ctx, nil) {
		if !f.OK {
			t.Error(f.Text)
		}
		if strings.Contains(f.Text, "stream reports-many-") {
			good++
		}
	}
	if good != 20 {
		t.Errorf("%d partitions were looked at", good)
	}
}
