// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package brokers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkacluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/logtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka"
)

// record is a record with all that can be compared.
type record struct {
	source.Stream
	Offset, Timestamp int64
	Key, Value        []byte
	Headers           []header
}

type header struct {
	Key   string
	Value []byte
}

func (r record) String() string {
	text := fmt.Sprintf("%d at %d: key %s value %s", r.Offset, r.Timestamp, show(r.Key), show(r.Value))
	for _, h := range r.Headers {
		text += fmt.Sprintf(" %q=%s", h.Key, show(h.Value))
	}
	return text
}

func show(b []byte) string {
	switch {
	case b == nil:
		return "null"
	case len(b) > 40:
		return fmt.Sprintf("%q… (%d bytes)", b[:40], len(b))
	}
	return fmt.Sprintf("%q", b)
}

func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

func (r record) equal(other record) bool {
	return r.Stream == other.Stream && r.Offset == other.Offset && r.Timestamp == other.Timestamp &&
		same(r.Key, other.Key) && same(r.Value, other.Value) &&
		slices.EqualFunc(r.Headers, other.Headers, func(a, b header) bool { return a.Key == b.Key && same(a.Value, b.Value) })
}

// records are in the order in which they were read.
type records []record

func (all records) byStream() map[source.Stream]records {
	out := map[source.Stream]records{}
	for _, r := range all {
		out[r.Stream] = append(out[r.Stream], r)
	}
	return out
}

// compare fails unless both have the same records, byte by byte, and in the
// same order in each partition.
func compare(t *testing.T, have, want records) {
	t.Helper()
	if len(want) == 0 {
		t.Fatal("there is nothing to compare with")
	}
	haves, wants := have.byStream(), want.byStream()
	for stream, want := range wants {
		have := haves[stream]
		for i := range min(len(have), len(want)) {
			if !have[i].equal(want[i]) {
				t.Fatalf("%v: record %d of %d is\n%v, and should be\n%v", stream, i, len(want), have[i], want[i])
			}
		}
		if len(have) != len(want) {
			t.Fatalf("%v: %d records, should be %d", stream, len(have), len(want))
		}
		delete(haves, stream)
	}
	for stream, have := range haves {
		t.Fatalf("%v: %d records, should be none", stream, len(have))
	}
}

// reader reads topics with the runner's source.
type reader struct {
	*kafka.Source
	t    *testing.T
	logs *logtest.Log
	have records
	gaps []source.Gap
	next map[source.Stream]int64 // after what was read
}

// readerSettings are settings that read topics over the listener that needs
// no login.
func readerSettings(c *kafkacluster.Cluster, topics ...*topic) settings.Kafka {
	k := settings.Default().Kafka
	k.Brokers = c.Addresses(kafkacluster.Plaintext)
	for _, topic := range topics {
		k.Topics = append(k.Topics, topic.name)
	}
	k.FetchMaxWait = settings.Duration(100 * time.Millisecond)
	k.MetadataInterval = settings.Duration(time.Second)
	return k
}

// newReader returns a reader that is not opened yet.
func newReader(t *testing.T, k settings.Kafka, options ...kafka.Option) *reader {
	t.Helper()
	const memory = 64 << 20
	l := logtest.New(patience)
	r := &reader{Source: kafka.New(k, memory, hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: l}), options...),
		t: t, logs: l, next: map[source.Stream]int64{}}
	t.Cleanup(func() {
		r.close()
		if t.Failed() {
			t.Logf("log of the source:\n%s", l)
		}
	})
	return r
}

func (r *reader) close() {
	r.t.Helper()
	if err := r.Close(); err != nil {
		r.t.Error(err)
	}
}

// open returns a reader that goes on at a position, or begins if it is nil.
func open(t *testing.T, k settings.Kafka, position json.RawMessage, options ...kafka.Option) *reader {
	t.Helper()
	r := newReader(t, k, options...)
	if err := r.Open(testContext(t), position); err != nil {
		t.Fatalf("open: %v", err)
	}
	if err := r.reposition(); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *reader) reposition() error {
	at, err := audit.OffsetsOf("kafka")(r.Position())
	for stream, offset := range at {
		r.next[stream] = offset
	}
	return err
}

// step reads a chunk.
func (r *reader) step(ctx context.Context) error {
	chunk, err := r.Next(ctx)
	if err != nil {
		return err
	}
	defer chunk.Release()
	for _, one := range chunk.Records {
		copied := record{Stream: chunk.Stream, Offset: one.Offset, Timestamp: one.Timestamp, Key: bytes.Clone(one.Key), Value: bytes.Clone(one.Value)}
		for key, value := range one.Headers.All() {
			copied.Headers = append(copied.Headers, header{string(key), bytes.Clone(value)})
		}
		if len(copied.Headers) != one.Headers.Count {
			r.t.Errorf("%v: record %v has %d headers, says %d", chunk.Stream, copied, len(copied.Headers), one.Headers.Count)
		}
		r.have = append(r.have, copied)
	}
	if chunk.Gap != nil {
		r.gaps = append(r.gaps, *chunk.Gap)
	}
	r.Consume(chunk, len(chunk.Records))
	r.next[chunk.Stream] = chunk.Next
	return nil
}

// readTo reads until every partition is read up to its end.
func (r *reader) readTo(ends map[source.Stream]int64) {
	r.t.Helper()
	ctx := testContext(r.t)
	for behind(r.next, ends) {
		if err := r.step(ctx); err != nil {
			r.t.Fatalf("next: %v; read up to %v of %v", err, r.next, ends)
		}
	}
}

func behind(next, ends map[source.Stream]int64) bool {
	for stream, end := range ends {
		if next[stream] < end {
			return true
		}
	}
	return false
}
