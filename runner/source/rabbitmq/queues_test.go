// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package rabbitmq_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rabbitmqcluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// queue declares a queue for one test, with settings that read it.
func queue(t *testing.T, n *rabbitmqcluster.Node, kind string) (string, settings.Settings) {
	t.Helper()
	name := strings.ReplaceAll(t.Name(), "/", "-")
	if err := n.Queue(kind, name, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Delete(name); err != nil {
			t.Error(err)
		}
	})
	s := settingsOf(n)
	s.RabbitMQ.Queues = []string{name}
	return name, s
}

// send publishes to a queue, and waits until the messages are kept.
func send(t *testing.T, n *rabbitmqcluster.Node, queue string, messages ...amqp.Publishing) {
	t.Helper()
	c, err := n.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // all is confirmed
	channel, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := channel.Confirm(false); err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		m.DeliveryMode = amqp.Persistent
		confirmation, err := channel.PublishWithDeferredConfirmWithContext(t.Context(), "", queue, true, false, m)
		if err != nil {
			t.Fatal(err)
		}
		if !confirmation.Wait() {
			t.Fatal("refused")
		}
	}
}

func bodies(texts ...string) (list []amqp.Publishing) {
	for _, text := range texts {
		list = append(list, amqp.Publishing{Body: []byte(text)})
	}
	return list
}

func named(id, app, text string) amqp.Publishing {
	return amqp.Publishing{MessageId: id, AppId: app, Body: []byte(text)}
}

// drained reads what there is, until nothing has come for a moment.
func drained(t *testing.T, src source.Source) (list []string, redelivered int64) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		chunk, err := src.Next(ctx)
		cancel()
		if err != nil {
			return list, redelivered
		}
		for _, r := range chunk.Records {
			list = append(list, string(r.Value))
		}
		redelivered += chunk.Redelivered
		src.Consume(chunk, len(chunk.Records))
		chunk.Release()
	}
}

// waiting is how many messages a queue has that are not out.
func waiting(t *testing.T, n *rabbitmqcluster.Node, name string) int {
	t.Helper()
	c, err := n.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // a question
	channel, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	state, err := channel.QueueDeclarePassive(name, true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return state.Messages
}

// awaitWaiting waits until a queue has so many messages that are not out.
func awaitWaiting(t *testing.T, n *rabbitmqcluster.Node, name string, want int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		got := waiting(t, n, name)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d messages wait, should be %d", got, want)
		}
	}
}

// TestCommittedComesAgain: what is in a commit and was not acknowledged is
// recognised, with a message id or without, and is acknowledged then. Equal
// messages that are not are kept, each of them.
func TestCommittedComesAgain(t *testing.T) {
	n := startNode(t)
	for _, kind := range []string{"classic", "quorum"} {
		t.Run(kind, func(t *testing.T) {
			name, s := queue(t, n, kind)
			send(t, n, name, bodies("its", "own", "text")...)
			send(t, n, name, named("1", "a", "x"), named("1", "b", "x"), named("1", "a", "y"))
			src := opened(t, s, nil)
			mustRead(t, src, 6)
			position := src.Position() // as if the runner had died after the commit
			if err := src.Close(); err != nil {
				t.Fatal(err)
			}
			send(t, n, name, bodies("its", "own", "new")...)
			send(t, n, name, named("1", "c", "x"), named("1", "a", "z"))
			src = opened(t, s, position)
			got, redelivered := drained(t, src)
			if want := []string{"its", "own", "new", "x", "z"}; !slices.Equal(got, want) || redelivered != 6 {
				t.Errorf("%q, and %d that came again", got, redelivered)
			}
			src.Acknowledge(t.Context(), src.Position())
			last := src.Position()
			time.Sleep(100 * time.Millisecond) // for the acknowledgement
			if err := src.Close(); err != nil {
				t.Fatal(err)
			}
			again, redelivered := drained(t, opened(t, s, last))
			if len(again) > 0 || redelivered > 5 {
				t.Errorf("%q came again, and %d that are known", again, redelivered)
			}
		})
	}
}

// TestEqualMessagesAreKept: of messages without an id that are equal in all they
// have, none is lost, whichever of them is in a commit and which is acknowledged.
func TestEqualMessagesAreKept(t *testing.T) {
	n := startNode(t)
	name, s := queue(t, n, "classic")
	send(t, n, name, bodies(slices.Repeat([]string{"same"}, 10)...)...)
	src := opened(t, s, nil)
	mustRead(t, src, 4)
	position := src.Position()
	mustRead(t, src, 6) // these are in no commit
	src.Acknowledge(t.Context(), position)
	time.Sleep(100 * time.Millisecond)
	for range 2 {
		if err := src.Close(); err != nil {
			t.Fatal(err)
		}
		src = opened(t, s, position)
		if got, redelivered := drained(t, src); len(got) != 6 || redelivered != 0 {
			t.Errorf("%d messages, and %d that are known", len(got), redelivered)
		}
	}
}

// TestSentTwice: a message that its publisher has sent again is left out, and
// is acknowledged with the first one.
func TestSentTwice(t *testing.T) {
	n := startNode(t)
	name, s := queue(t, n, "quorum")
	send(t, n, name, named("1", "", "x"), named("1", "", "x"), named("2", "", "x"))
	src := opened(t, s, nil)
	got, redelivered := drained(t, src)
	if len(got) != 2 || redelivered != 1 {
		t.Errorf("%q %d", got, redelivered)
	}
	src.Acknowledge(t.Context(), src.Position())
	time.Sleep(100 * time.Millisecond)
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	awaitWaiting(t, n, name, 0)
}

// TestQueueIsDeleted: the node cancels the consumer, and the source waits for
// the queue to be made again.
func TestQueueIsDeleted(t *testing.T) {
	n := startNode(t)
	for _, kind := range []string{"classic", "quorum"} {
		t.Run(kind, func(t *testing.T) {
			name, s := queue(t, n, kind)
			send(t, n, name, bodies("0")...)
			src := opened(t, s, nil)
			mustRead(t, src, 1)
			position := src.Position()
			if err := n.Delete(name); err != nil {
				t.Fatal(err)
			}
			_, _, _, err := read(t, src, 1)
			if err == nil || source.IsStop(err) || !strings.Contains(err.Error(), "cancelled the consumer") {
				t.Errorf("%v", err)
			}
			made := time.AfterFunc(300*time.Millisecond, func() {
				if err := n.Queue(kind, name, nil); err != nil {
					t.Error(err)
				}
			})
			defer made.Stop()
			src = opened(t, s, position)
			send(t, n, name, bodies("1")...)
			if r := mustRead(t, src, 1); r[0].value != "1" || r[0].offset != 1 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestTooLarge: a message that does not fit into the memory stops the spout; it
// would come again for ever.
func TestTooLarge(t *testing.T) {
	n := startNode(t)
	name, s := queue(t, n, "classic")
	send(t, n, name, amqp.Publishing{Body: make([]byte, 9<<20)})
	src, err := open(t, s, nil)
	if err == nil {
		_, _, _, err = read(t, src, 1)
	}
	if !source.IsStop(err) || !strings.Contains(err.Error(), "9437184 bytes") {
		t.Error(err)
	}
	awaitWaiting(t, n, name, 1)
}

// TestMemoryIsBounded: however many messages wait, no more of them are taken
// than there is memory for.
func TestMemoryIsBounded(t *testing.T) {
	n := startNode(t)
	name, s := queue(t, n, "classic")
	const count, size = 120, 500_000
	for i := range count {
		body := make([]byte, size)
		copy(body, fmt.Sprint(i))
		send(t, n, name, amqp.Publishing{Body: body})
	}
	src := opened(t, s, nil) // of 16 MiB, half are for messages
	time.Sleep(500 * time.Millisecond)
	held := src.(source.Observed).Observe().Memory
	if held > 10<<20 || held < 4<<20 {
		t.Errorf("%d bytes are held", held)
	}
	records := mustRead(t, src, count)
	for i, r := range records {
		if !strings.HasPrefix(r.value, fmt.Sprint(i)) {
			t.Errorf("message %d is %.5s", i, r.value)
		}
	}
	if held := src.(source.Observed).Observe().Memory; held != 0 {
		t.Errorf("%d bytes are held at the end", held)
	}
}

// TestStreamIsNoQueue: a stream that is named as a queue is refused.
func TestStreamIsNoQueue(t *testing.T) {
	n := startNode(t)
	name := stream(t, n, nil)
	s := settingsOf(n)
	s.RabbitMQ.Queues = []string{name}
	src := opened(t, s, nil)
	publish(t, n, name, "x")
	if _, _, _, err := read(t, src, 1); !source.IsStop(err) || !strings.Contains(err.Error(), "name it in SPOUT_RABBITMQ_STREAMS") {
		t.Error(err)
	}
}

// TestPositionsOfOthers: a position of queues does not do for streams, nor one
// of another virtual host.
func TestPositionsOfOthers(t *testing.T) {
	n := startNode(t)
	queues, streams := settingsOf(n), ofStreams(n, "s")
	queues.RabbitMQ.Queues = []string{"q"}
	for position, test := range map[string]struct {
		s    settings.Settings
		want string
	}{
		`{"v":1,"vhost":"/","streams":{}}`:     {queues, "is of streams"},
		`{"v":1,"vhost":"/","queues":{}}`:      {streams, "is of queues"},
		`{"v":1,"vhost":"shop","queues":{}}`:   {queues, "virtual host \"shop\""},
		`{"v":1,"vhost":"shop","streams":{}} `: {streams, "virtual host \"shop\""},
		`{"v":2,"vhost":"/","queues":{}}`:      {queues, "version 2"},
		`{"cluster":"c","topics":{}}`:          {streams, "not one of RabbitMQ"},
	} {
		if _, err := open(t, test.s, json.RawMessage(position)); !source.IsStop(err) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", position, err)
		}
	}
}
