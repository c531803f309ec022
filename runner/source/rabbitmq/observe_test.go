// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package rabbitmq_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/rabbitmq"
)

// awaitObservation waits until what a source shows is as it should be.
func awaitObservation(t *testing.T, src source.Source, what string, ok func(source.Observation) bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		o := src.(source.Observed).Observe()
		if ok(o) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %+v", what, o)
		}
	}
}

func lagIs(records int64) func(source.Observation) bool {
	return func(o source.Observation) bool { return len(o.Lags) == 1 && o.Lags[0].Records == records }
}

// TestLag: it is what is not in a commit yet, and what has come meanwhile.
func TestLag(t *testing.T) {
	n := startNode(t)
	name, queues := queue(t, n, "classic")
	log := stream(t, n, nil, "-log")
	send(t, n, name, bodies(numbered(0, 10)...)...)
	publish(t, n, log, numbered(0, 10)...)
	for _, s := range []settings.Settings{queues, ofStreams(n, log)} {
		src := opened(t, s, nil)
		awaitObservation(t, src, "nothing is read", lagIs(10))
		mustRead(t, src, 10)
		awaitObservation(t, src, "nothing is committed", lagIs(10))
		src.Acknowledge(t.Context(), src.Position())
		awaitObservation(t, src, "all is", func(o source.Observation) bool {
			return lagIs(0)(o) && o.Memory == 0 && o.Totals.Fetches > 0 && o.Totals.FetchedBytes > 0 && len(o.Troubles) == 0
		})
	}
}

// TestTroubles: what is waited for is told, also while Open waits.
func TestTroubles(t *testing.T) {
	n := startNode(t)
	queues := settingsOf(n)
	queues.RabbitMQ.Queues = []string{"none"}
	for _, s := range []settings.Settings{queues, ofStreams(n, "none")} {
		src, err := rabbitmq.Make(s, source.Options{Memory: 1 << 20, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- src.Open(ctx, nil) }()
		awaitObservation(t, src, "a queue or stream is missing", func(o source.Observation) bool {
			return len(o.Troubles) == 1 && strings.Contains(o.Troubles[0].Text, "none") && !strings.Contains(o.Troubles[0].Text, "\n")
		})
		cancel()
		if err := <-ended; err == nil {
			t.Error("Open ends without what it waits for")
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}
}
