// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package rabbitmq_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rabbitmqcluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/rabbitmq"
)

const patience = time.Minute

var quiet = hclog.NewNullLogger()

// stream declares a stream for one test.
func stream(t *testing.T, n *rabbitmqcluster.Node, arguments rabbitmqcluster.Arguments, suffix ...string) string {
	t.Helper()
	name := strings.ReplaceAll(t.Name(), "/", "-") + strings.Join(suffix, "")
	if err := n.Queue("stream", name, arguments); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Delete(name); err != nil {
			t.Error(err)
		}
	})
	return name
}

func ofStreams(n *rabbitmqcluster.Node, names ...string) settings.Settings {
	s := settingsOf(n)
	s.RabbitMQ.Addresses, s.RabbitMQ.Streams = []string{n.Stream()}, names
	return s
}

func publish(t *testing.T, n *rabbitmqcluster.Node, stream string, values ...string) {
	t.Helper()
	p, err := n.AwaitPublisher(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var messages [][]byte
	for _, v := range values {
		messages = append(messages, rabbitmqcluster.Message([]byte(v)))
	}
	if err := p.Publish(messages...); err != nil {
		t.Fatal(err)
	}
}

// numbered are n values.
func numbered(from, n int) (values []string) {
	for i := range n {
		values = append(values, fmt.Sprint(from+i))
	}
	return values
}

func open(t *testing.T, s settings.Settings, position json.RawMessage) (source.Source, error) {
	t.Helper()
	src, err := rabbitmq.Make(s, source.Options{Memory: 16 << 20, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return src, src.Open(ctx, position)
}

func opened(t *testing.T, s settings.Settings, position json.RawMessage) source.Source {
	t.Helper()
	src, err := open(t, s, position)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// record is what is left of a record once its chunk is released.
type record struct {
	source.Stream
	offset, timestamp int64
	key, value        string
	headers           []string
}

// begun are chunks of which not all was read, by their source.
var begun sync.Map

type begunChunk struct {
	*source.Chunk
	at int
}

// read takes so many records, and what was told besides.
func read(t *testing.T, src source.Source, n int) (records []record, gaps []source.Gap, redelivered int64, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(records) < n {
		var c begunChunk
		if kept, ok := begun.LoadAndDelete(src); ok {
			c = kept.(begunChunk)
		} else {
			if c.Chunk, err = src.Next(ctx); err != nil {
				return records, gaps, redelivered, err
			}
			if c.Gap != nil {
				gaps = append(gaps, *c.Gap)
			}
			redelivered += c.Redelivered
		}
		to := min(len(c.Records), c.at+n-len(records))
		for _, r := range c.Records[c.at:to] {
			var headers []string
			for name, value := range r.Headers.All() {
				if value == nil {
					value = []byte("null")
				}
				headers = append(headers, string(name)+"="+string(value))
			}
			slices.Sort(headers)
			records = append(records, record{c.Stream, r.Offset, r.Timestamp, string(r.Key), string(r.Value), headers})
		}
		src.Consume(c.Chunk, to)
		if c.at = to; to < len(c.Records) {
			begun.Store(src, c)
		} else {
			c.Release()
		}
	}
	return records, gaps, redelivered, nil
}

func mustRead(t *testing.T, src source.Source, n int) []record {
	t.Helper()
	records, _, _, err := read(t, src, n)
	if err != nil {
		t.Fatalf("after %d records: %v", len(records), err)
	}
	return records
}

func values(records []record) (list []string) {
	for _, r := range records {
		list = append(list, r.value)
	}
	return list
}

// compress are the four ways in which publishers compress batches.
var compress = map[byte]func(t *testing.T, plain []byte) []byte{
	rabbitmqcluster.Plain: func(_ *testing.T, plain []byte) []byte { return plain },
	rabbitmqcluster.Gzip: func(t *testing.T, plain []byte) []byte {
		return packed(t, plain, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
	},
	rabbitmqcluster.Snappy: func(t *testing.T, plain []byte) []byte {
		return packed(t, plain, func(w io.Writer) io.WriteCloser { return snappy.NewBufferedWriter(w) })
	},
	rabbitmqcluster.LZ4: func(t *testing.T, plain []byte) []byte {
		return packed(t, plain, func(w io.Writer) io.WriteCloser { return lz4.NewWriter(w) })
	},
	rabbitmqcluster.Zstd: func(t *testing.T, plain []byte) []byte {
		return packed(t, plain, func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w)
			if err != nil {
				t.Fatal(err)
			}
			return z
		})
	},
}

func packed(t *testing.T, plain []byte, writer func(io.Writer) io.WriteCloser) []byte {
	t.Helper()
	var out bytes.Buffer
	w := writer(&out)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestCompressedBatches: each message of a batch that its publisher has
// compressed has an offset of its own, and reading goes on in the middle of one.
func TestCompressedBatches(t *testing.T) {
	n := startNode(t)
	name := stream(t, n, nil)
	p, err := n.Publisher(name)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	const each = 50
	var want []string
	for kind := range byte(5) {
		var plain []byte
		for i := range each {
			value := fmt.Sprintf("batch %d message %d %s", kind, i, strings.Repeat("x", 100))
			want = append(want, value)
			m := rabbitmqcluster.Message([]byte(value))
			plain = append(binary.BigEndian.AppendUint32(plain, uint32(len(m))), m...)
		}
		if err := p.PublishBatch(kind, each, len(plain), compress[kind](t, plain)); err != nil {
			t.Fatal(err)
		}
	}
	s := ofStreams(n, name)
	src := opened(t, s, nil)
	first := mustRead(t, src, 2*each+7)
	rest := mustRead(t, opened(t, s, src.Position()), 3*each-7)
	all := append(first, rest...)
	if !slices.Equal(values(all), want) {
		t.Errorf("%q", values(all))
	}
	for i, r := range all {
		if r.offset != int64(i) {
			t.Errorf("message %d has the offset %d", i, r.offset)
		}
	}
}

// TestSuperStream: each partition is a stream, and what its name is in the
// super stream does not matter.
func TestSuperStream(t *testing.T) {
	n := startNode(t)
	names, err := n.SuperStream("invoices", 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		publish(t, n, name, numbered(100*i, 40)...)
	}
	s := ofStreams(n)
	s.RabbitMQ.SuperStreams = []string{"invoices"}
	src := opened(t, s, nil)
	count := map[string]int{}
	for _, r := range mustRead(t, src, 120) {
		if want := int64(count[r.Name]); r.offset != want {
			t.Errorf("%s: offset %d, should be %d", r.Name, r.offset, want)
		}
		count[r.Name]++
	}
	if len(count) != 3 || count["invoices-0"] != 40 {
		t.Errorf("%v", count)
	}
	// A partition that is added later is read from its beginning.
	if err := n.Partition("invoices", 3); err != nil {
		t.Fatal(err)
	}
	publish(t, n, "invoices-3", "later")
	if r := mustRead(t, opened(t, s, src.Position()), 1); r[0].Name != "invoices-3" || r[0].value != "later" {
		t.Errorf("%+v", r)
	}
}

// TestProperties: all that publishers of both protocols put into a message is
// there, with the names that AMQP 0.9.1 has.
func TestProperties(t *testing.T) {
	n := startNode(t)
	name := stream(t, n, nil)
	c, err := n.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // the test is over
	channel, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_764_547_200, 0)
	message := amqp.Publishing{Body: []byte("hi"), MessageId: "m1", AppId: "shop", Type: "order", CorrelationId: "c1", ReplyTo: "back", ContentType: "text/plain", ContentEncoding: "identity",
		Timestamp: at, Priority: 3, DeliveryMode: amqp.Persistent, Expiration: "60000", Headers: amqp.Table{"text": "t", "number": int32(-7), "yes": true, "none": nil, "list": []any{"a", int64(1)}}}
	queue := "queue-" + name
	if err := n.Queue("classic", queue, nil); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{name, queue} {
		if err := channel.PublishWithContext(t.Context(), "", to, true, false, message); err != nil {
			t.Fatal(err)
		}
	}
	all := settingsOf(n)
	all.RabbitMQ.Queues = []string{queue}
	want := []string{"rabbitmq.app_id=shop", "rabbitmq.content_encoding=identity", "rabbitmq.content_type=text/plain", "rabbitmq.correlation_id=c1", "rabbitmq.delivery_mode=2",
		"rabbitmq.expiration=60000", "rabbitmq.message_id=m1", "rabbitmq.priority=3", "rabbitmq.reply_to=back", "rabbitmq.type=order", "number=-7", "text=t", "yes=true"}
	for kind, s := range map[string]settings.Settings{name: ofStreams(n, name), queue: all} {
		r := mustRead(t, opened(t, s, nil), 1)[0]
		if r.key != kind || r.value != "hi" || r.timestamp != at.UnixMilli() {
			t.Errorf("%s: %+v", kind, r)
		}
		for _, header := range want {
			if !slices.Contains(r.headers, header) {
				t.Errorf("%s: no %s in %q", kind, header, r.headers)
			}
		}
		t.Log(kind, r.headers)
	}
}

// TestHolesAreNoGaps: what consumers store in a stream takes offsets, and is no
// message that was lost.
func TestHolesAreNoGaps(t *testing.T) {
	n := startNode(t)
	name := stream(t, n, nil)
	p, err := n.Publisher(name)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := ofStreams(n, name)
	publish(t, n, name, "0", "1")
	before := opened(t, s, nil)
	mustRead(t, before, 2)
	behind := before.Position()
	for i := range 30 { // each takes an offset
		if err := p.StoreOffset(name, fmt.Sprintf("consumer-%d", i), uint64(i)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond) // so that they are chunks of their own
	}
	publish(t, n, name, "2", "3")
	for _, src := range []source.Source{before, opened(t, s, behind), opened(t, s, nil)} {
		want := 2
		if src != before && len(src.Position()) != len(behind) {
			want = 4
		}
		records, gaps, _, err := read(t, src, want)
		if err != nil || len(gaps) > 0 || records[want-1].value != "3" || records[want-1].offset <= 4 {
			t.Errorf("%+v %v %v", records, gaps, err)
		}
	}
}

// retained is a stream whose beginning its retention has dropped: the offset of
// the first message is returned.
func overflow(t *testing.T, n *rabbitmqcluster.Node, name string) int64 {
	t.Helper()
	s := ofStreams(n, name)
	for round := range 60 {
		var list []string
		for range 20 {
			list = append(list, fmt.Sprint(round)+strings.Repeat("x", 4000))
		}
		publish(t, n, name, list...)
		if first := mustRead(t, opened(t, s, nil), 1)[0].offset; first > 30 {
			return first
		}
	}
	t.Fatal("retention drops nothing")
	return 0
}

// small makes a stream keep next to nothing.
var small = rabbitmqcluster.Arguments{"x-max-length-bytes": 200_000, "x-stream-max-segment-size-bytes": 50_000}

// TestGaps: messages that retention has dropped before they were read stop the
// spout, or are a gap.
func TestGaps(t *testing.T) {
	n := startNode(t)
	name := stream(t, n, small)
	publish(t, n, name, numbered(0, 20)...)
	s := ofStreams(n, name)
	src := opened(t, s, nil)
	mustRead(t, src, 20)
	position := src.Position()
	first := overflow(t, n, name)
	_, _, _, err := read(t, opened(t, s, position), 1)
	if !source.IsStop(err) || !strings.Contains(err.Error(), fmt.Sprintf("messages 20 to %d are gone", first-1)) {
		t.Error(err)
	}
	s.RabbitMQ.OnGap = "skip"
	records, gaps, _, err := read(t, opened(t, s, position), 1)
	if err != nil || len(gaps) != 1 || gaps[0].From != 20 || gaps[0].To != first || records[0].offset != first {
		t.Errorf("%v %v %v", records, gaps, err)
	}
}

// TestStreamMadeAgain: it is recognised by what it holds, also once it is longer
// than the old one was.
func TestStreamMadeAgain(t *testing.T) {
	n := startNode(t)
	name := stream(t, n, nil)
	publish(t, n, name, numbered(0, 20)...)
	s := ofStreams(n, name)
	src := opened(t, s, nil)
	mustRead(t, src, 20)
	position := src.Position()
	again := func(count int) {
		if err := n.Delete(name); err != nil {
			t.Fatal(err)
		}
		if err := n.Queue("stream", name, nil); err != nil {
			t.Fatal(err)
		}
		if count > 0 {
			publish(t, n, name, numbered(1000, count)...)
		}
	}
	for _, count := range []int{0, 5, 100} {
		again(count)
		_, _, _, err := read(t, opened(t, s, position), 1)
		if !source.IsStop(err) || !strings.Contains(err.Error(), "is not the one that was read") {
			t.Errorf("with %d messages: %v", count, err)
		}
	}
	s.RabbitMQ.OnReset = "restart"
	src = opened(t, s, position)
	records := mustRead(t, src, 100)
	if records[0].value != "1000" || records[0].Generation != 1 || records[99].offset != 99 {
		t.Errorf("%+v", records[0])
	}
	publish(t, n, name, "more")
	if r := mustRead(t, opened(t, s, src.Position()), 1); r[0].value != "more" || r[0].Generation != 1 {
		t.Errorf("%+v", r)
	}
}

// TestStarts: a stream is read from its beginning, from now on, or from a time.
func TestStarts(t *testing.T) {
	n := startNode(t)
	name := stream(t, n, nil)
	empty := ofStreams(n, name)
	empty.RabbitMQ.Start = "next"
	fromEmpty := opened(t, empty, nil)
	publish(t, n, name, "0", "1")
	time.Sleep(20 * time.Millisecond)
	middle := time.Now()
	time.Sleep(20 * time.Millisecond)
	publish(t, n, name, "2")
	next := opened(t, empty, nil)
	at := ofStreams(n, name)
	at.RabbitMQ.Start = middle.UTC().Format(time.RFC3339Nano)
	publish(t, n, name, "3")
	for want, src := range map[string]source.Source{"0": fromEmpty, "3": next, "2": opened(t, at, nil)} {
		if got := mustRead(t, src, 1); got[0].value != want {
			t.Errorf("begins with %s, should with %s", got[0].value, want)
		}
	}
	// What was decided at first holds although nothing was read.
	again := opened(t, empty, nil)
	position := again.Position()
	publish(t, n, name, "4")
	if got := mustRead(t, opened(t, empty, position), 1); got[0].value != "4" {
		t.Errorf("begins with %s", got[0].value)
	}
}
