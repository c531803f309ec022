// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/nats-io/nats.go/jetstream"
)

// BenchmarkRead compares the source with the ordered consumer of NATS's own
// client, message by message.
func BenchmarkRead(b *testing.B) {
	const size = 1024
	filled := func(b *testing.B) *lab {
		l := newLab(b, jetstream.StreamConfig{Storage: jetstream.FileStorage})
		value := make([]byte, size)
		for range b.N {
			if _, err := l.js.PublishAsync("orders.eu", value, jetstream.WithStallWait(time.Minute)); err != nil {
				b.Fatal(err)
			}
		}
		<-l.js.PublishAsyncComplete()
		b.SetBytes(size)
		b.ReportAllocs()
		b.ResetTimer()
		return l
	}
	b.Run("source", func(b *testing.B) {
		s := New(filled(b).config(), 64<<20, hclog.NewNullLogger())
		defer s.Close() //nolint:errcheck // a measurement
		if err := s.Open(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
		for n := 0; n < b.N; {
			c, err := s.Next(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			n += len(c.Records)
			s.Consume(c, len(c.Records))
			c.Release()
		}
	})
	b.Run("client", func(b *testing.B) {
		l := filled(b)
		consumer, err := l.js.OrderedConsumer(b.Context(), testStream, jetstream.OrderedConsumerConfig{})
		if err != nil {
			b.Fatal(err)
		}
		done, n := make(chan struct{}), 0
		consuming, err := consumer.Consume(func(jetstream.Msg) {
			if n++; n == b.N {
				close(done)
			}
		}, jetstream.PullMaxBytes(8<<20))
		if err != nil {
			b.Fatal(err)
		}
		defer consuming.Stop()
		<-done
	})
}
