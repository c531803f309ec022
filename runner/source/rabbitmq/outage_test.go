// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rabbitmqcluster"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// ownNode is a node of one test, which may harm it.
func ownNode(t *testing.T, o rabbitmqcluster.Options) *rabbitmqcluster.Node {
	t.Helper()
	n, err := rabbitmqcluster.Start(t.Context(), o)
	if errors.Is(err, rabbitmqcluster.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(n.LogTail())
		}
		n.Stop()
	})
	return n
}

// TestConsumerTimeout: a node that waits no longer for an acknowledgement closes
// the channel, and gives all again.
func TestConsumerTimeout(t *testing.T) {
	n := ownNode(t, rabbitmqcluster.Options{ConsumerTimeout: 2 * time.Second})
	if err := n.Queue("classic", "q", nil); err != nil {
		t.Fatal(err)
	}
	send(t, n, "q", bodies("0", "1")...)
	s := settingsOf(n)
	s.RabbitMQ.Queues = []string{"q"}
	src := opened(t, s, nil)
	mustRead(t, src, 1)
	position := src.Position()
	_, _, _, err := read(t, src, 2)
	if err == nil || source.IsStop(err) || !strings.Contains(err.Error(), "ack") {
		t.Errorf("%v", err)
	}
	if err := src.Close(); err != nil {
		t.Error(err)
	}
	if got, redelivered := drained(t, opened(t, s, position)); !slices.Equal(got, []string{"1"}) || redelivered != 1 {
		t.Errorf("%q %d", got, redelivered)
	}
}

// TestNodeRestarts: streams are read on by the same source, and queues by the
// next one, whether the node ends in good order, is killed, or hangs.
func TestNodeRestarts(t *testing.T) {
	n := ownNode(t, rabbitmqcluster.Options{})
	for kind, name := range map[string]string{"classic": "c", "quorum": "q", "stream": "s"} {
		if err := n.Queue(kind, name, nil); err != nil {
			t.Fatal(err)
		}
	}
	streams := ofStreams(n, "s")
	queues := settingsOf(n)
	queues.RabbitMQ.Queues = []string{"c", "q"}
	stream, queue := opened(t, streams, nil), opened(t, queues, nil)
	count := 0
	all := t
	round := func(t *testing.T, harm func()) {
		publish(t, n, "s", fmt.Sprint(count))
		send(t, n, "c", named(fmt.Sprint("c", count), "", fmt.Sprint(count)))
		send(t, n, "q", named(fmt.Sprint("q", count), "", fmt.Sprint(count)))
		if r := mustRead(t, stream, 1); r[0].value != fmt.Sprint(count) || r[0].offset != int64(count) {
			t.Errorf("%+v", r)
		}
		mustRead(t, queue, 2)
		position := queue.Position() // committed, and not acknowledged
		count++
		harm()
		_, _, _, err := read(t, queue, 1)
		if err == nil || source.IsStop(err) {
			t.Errorf("%v", err)
		}
		if err := queue.Close(); err != nil {
			t.Error(err)
		}
		queue = opened(all, queues, position)
		if got, redelivered := drained(t, queue); len(got) > 0 || redelivered < 2 {
			t.Errorf("%q came again, and %d that are known", got, redelivered)
		}
	}
	restart := func(t *testing.T) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		if err := n.RestartWith(ctx, "s"); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("in good order", func(t *testing.T) { round(t, func() { n.Shutdown(); restart(t) }) })
	t.Run("killed", func(t *testing.T) { round(t, func() { n.Kill(); restart(t) }) })
	t.Run("hangs", func(t *testing.T) {
		round(t, func() {
			if err := n.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(45*time.Second, func() { _ = n.Signal(syscall.SIGCONT) }) //nolint:errcheck // it may have ended
		})
	})
	publish(t, n, "s", "end")
	if r := mustRead(t, stream, 1); r[0].value != "end" {
		t.Errorf("%+v", r)
	}
}
