// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"fmt"
	"strings"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// These are cases of what others have reported of readers of JetStream.

// A stream whose first sequence is not 1 has no gap at its beginning, also when
// it is empty.
func TestFirstSequence(t *testing.T) {
	t.Parallel()
	l := newLab(t, jetstream.StreamConfig{FirstSeq: 1000, Compression: jetstream.S2Compression})
	s, _ := open(t, l.config(), nil)
	l.produce(3)
	offsets, gaps := read(t, s, 3)
	if wantOffsets(t, offsets, 1000, 1002); len(gaps) > 0 {
		t.Errorf("gaps %v", gaps)
	}
}

// A mirror has the sequences of its origin, with holes where messages were
// deleted there, and subjects that may be transformed.
func TestMirror(t *testing.T) {
	t.Parallel()
	l := newLab(t, jetstream.StreamConfig{})
	l.produce(6)
	if err := l.stream().DeleteMsg(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	mirror, err := l.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "MIRROR", Mirror: &jetstream.StreamSource{Name: testStream, SubjectTransforms: []jetstream.SubjectTransformConfig{{Source: "orders.>", Destination: "copied.>"}}}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "mirrored", func() bool {
		info, err := mirror.Info(t.Context())
		return err == nil && info.State.Msgs == 5
	})
	c := l.config()
	c.Stream, c.Subjects = "MIRROR", []string{"copied.eu"}
	s, _ := open(t, c, nil)
	offsets, gaps := read(t, s, 5)
	if fmt.Sprint(offsets) != "[1 2 4 5 6]" || len(gaps) > 0 {
		t.Errorf("%v, gaps %v", offsets, gaps)
	}
}

// Messages that end by their age leave markers, which are messages without a
// payload.
func TestMessagesThatEnd(t *testing.T) {
	t.Parallel()
	l := newLab(t, jetstream.StreamConfig{AllowMsgTTL: true, SubjectDeleteMarkerTTL: time.Hour, AllowRollup: true, MaxAge: time.Second})
	l.produce(1)
	await(t, "over", func() bool {
		info, err := l.stream().Info(t.Context())
		return err == nil && info.State.LastSeq == 2
	})
	m := &client.Msg{Subject: "orders.us", Data: []byte("stays"), Header: client.Header{"Nats-TTL": {"never"}}}
	if _, err := l.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, l.config(), nil)
	ctx := within(t)
	var all []string
	for len(all) < 2 {
		c, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range c.Records {
			reason := ""
			for key, value := range r.Headers.All() {
				if string(key) == "Nats-Marker-Reason" {
					reason = string(value)
				}
			}
			all = append(all, fmt.Sprint(r.Offset, " ", string(r.Key), " ", string(r.Value), " ", reason))
		}
		s.Consume(c, len(c.Records))
		c.Release()
	}
	if got := strings.Join(all, ", "); got != `2 orders.eu  MaxAge, 3 orders.us stays ` {
		t.Error(got)
	}
}

// A stream may bound what its consumers ask for, also how long they stay unused.
func TestConsumerLimits(t *testing.T) {
	t.Parallel()
	for _, retention := range []string{settings.NATSLimits, settings.NATSWorkQueue} {
		t.Run(retention, func(t *testing.T) {
			t.Parallel()
			config := streamOf(retention)
			config.ConsumerLimits = jetstream.StreamConsumerLimits{InactiveThreshold: 10 * time.Second, MaxAckPending: 100}
			l := newLab(t, config)
			l.produce(5)
			c := l.config()
			if retention == settings.NATSWorkQueue {
				c = l.queue(retention)
				c.MaxAckPending = 100
			}
			s, _ := open(t, c, nil)
			offsets, _ := read(t, s, 5)
			wantOffsets(t, offsets, 1, 5)
		})
	}
}
