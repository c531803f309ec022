// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/logtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// patience is the longest a test waits for anything, on a busy machine too.
const patience = 2 * time.Minute

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func startCluster(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.ClusterID("test-cluster")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func createTopic(t testing.TB, c *kfake.Cluster, topic string, partitions int) {
	t.Helper()
	if err := c.CreateTopic(topic, int32(partitions), nil); err != nil {
		t.Fatal(err)
	}
}

// config returns settings for the cluster, made quick.
func config(c *kfake.Cluster, topics ...string) settings.Kafka {
	k := settings.Default().Kafka
	k.Brokers = c.ListenAddrs()
	k.Topics = topics
	k.FetchMaxWait = settings.Duration(50 * time.Millisecond)
	k.MetadataInterval = settings.Duration(time.Second)
	return k
}

func newLog() (*logtest.Log, hclog.Logger) {
	l := logtest.New(patience)
	options := &hclog.LoggerOptions{Level: hclog.Debug, Output: l}
	if os.Getenv("KAFKA_TEST_LOG") != "" {
		options.Output = os.Stderr
	}
	return l, hclog.New(options)
}

const testMemory = settings.Bytes(64 << 20)

// open opens a source at a position, nil for the start.
func open(t testing.TB, k settings.Kafka, position json.RawMessage, opts ...Option) (*Source, *logtest.Log) {
	t.Helper()
	s, l, err := tryOpen(t, k, position, opts...)
	if err != nil {
		t.Fatalf("open: %v\n%s", err, l)
	}
	return s, l
}

func openAtStart(t testing.TB, k settings.Kafka) (*Source, *logtest.Log) { return open(t, k, nil) }

func tryOpen(t testing.TB, k settings.Kafka, position json.RawMessage, opts ...Option) (*Source, *logtest.Log, error) {
	t.Helper()
	s, l := newTestSource(t, k, opts...)
	return s, l, s.Open(testContext(t), position)
}

// newTestSource makes a source that is closed at the end of the test and has
// to have given back all memory by then.
func newTestSource(t testing.TB, k settings.Kafka, opts ...Option) (*Source, *logtest.Log) {
	t.Helper()
	l, log := newLog()
	s := New(k, testMemory, log, opts...)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if used, _ := s.memory.usage(); used != 0 {
			t.Errorf("%d bytes are still held after Close", used)
		}
		if t.Failed() {
			t.Logf("log of the source:\n%s", l)
		}
	})
	return s, l
}

// got is a record that was read, copied.
type got struct {
	source.Stream
	Offset, Timestamp int64
	Key, Value        []byte
	Headers           string
}

func (g got) String() string {
	return fmt.Sprintf("%s/%d@%d ts=%d key=%s value=%s headers=%s", g.Name, g.Partition, g.Offset, g.Timestamp, show(g.Key), show(g.Value), g.Headers)
}

func show(b []byte) string {
	if b == nil {
		return "null"
	}
	if len(b) > 40 {
		return fmt.Sprintf("%q…(%d bytes)", b[:40], len(b))
	}
	return fmt.Sprintf("%q", b)
}

func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}

func copyRecord(stream source.Stream, r *source.Record) got {
	g := got{Stream: stream, Offset: r.Offset, Timestamp: r.Timestamp, Key: clone(r.Key), Value: clone(r.Value)}
	count := 0
	for key, value := range r.Headers.All() {
		g.Headers += fmt.Sprintf("%q=%s;", key, show(value))
		count++
	}
	if count != r.Headers.Count {
		g.Headers += fmt.Sprintf("only %d of %d headers", count, r.Headers.Count)
	}
	return g
}

// next reads one chunk and consumes it.
func next(t testing.TB, s *Source) ([]got, source.Chunk) {
	t.Helper()
	chunk, err := s.Next(testContext(t))
	if err != nil {
		t.Fatalf("next: %v", err)
	}
	var out []got
	for i := range chunk.Records {
		out = append(out, copyRecord(chunk.Stream, &chunk.Records[i]))
	}
	s.Consume(chunk, len(chunk.Records))
	shown := source.Chunk{Stream: chunk.Stream, Bytes: chunk.Bytes, Gap: chunk.Gap, Next: chunk.Next, Epoch: chunk.Epoch}
	chunk.Release()
	return out, shown
}

// read reads n records, in the order in which they come.
func read(t testing.TB, s *Source, n int) []got {
	t.Helper()
	var all []got
	for len(all) < n {
		records, _ := next(t, s)
		all = append(all, records...)
	}
	if len(all) > n {
		t.Fatalf("read %d records in place of %d", len(all), n)
	}
	return all
}

// readToEnd reads until the position says that every partition of the topics
// was read up to its end.
func readToEnd(t testing.TB, c *kfake.Cluster, s *Source, topics ...string) []got {
	t.Helper()
	var all []got
	for {
		behind := false
		for _, topic := range topics {
			for _, info := range c.PartitionInfos(topic) {
				behind = behind || s.position.Topics[topic].Partitions[info.Partition].Next < info.HighWatermark
			}
		}
		if !behind {
			return all
		}
		records, _ := next(t, s)
		all = append(all, records...)
	}
}

// client returns a franz-go client.
func client(t testing.TB, c *kfake.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func produce(t testing.TB, cl *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	if err := cl.ProduceSync(testContext(t), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// numbered returns n records with their number as value.
func numbered(topic string, partition int32, from, n int) []*kgo.Record {
	var out []*kgo.Record
	for i := range n {
		out = append(out, &kgo.Record{Topic: topic, Partition: partition, Value: fmt.Appendf(nil, "%d", from+i)})
	}
	return out
}

// oracle reads with franz-go what a topic holds up to the offsets of the ends.
func oracle(t testing.TB, c *kfake.Cluster, isolation kgo.IsolationLevel, n int, topics ...string) []got {
	t.Helper()
	cl := client(t, c, kgo.ConsumeTopics(topics...), kgo.FetchIsolationLevel(isolation), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	ctx := testContext(t)
	var all []got
	for len(all) < n {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("oracle: %v after %d of %d records", err, len(all), n)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			g := got{Stream: source.Stream{Name: r.Topic, Partition: r.Partition}, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
			for _, h := range r.Headers {
				g.Headers += fmt.Sprintf("%q=%s;", h.Key, show(h.Value))
			}
			all = append(all, g)
		})
	}
	return all
}

// byStream sorts records by partition and keeps their order in each.
func byStream(records []got) map[source.Stream][]got {
	out := map[source.Stream][]got{}
	for _, r := range records {
		out[r.Stream] = append(out[r.Stream], r)
	}
	return out
}

// same fails unless both have the same records, in the same order per partition.
func same(t testing.TB, have, want []got) {
	t.Helper()
	haves, wants := byStream(have), byStream(want)
	for stream, want := range wants {
		have := haves[stream]
		for i := range min(len(have), len(want)) {
			if have[i].String() != want[i].String() || !bytes.Equal(have[i].Value, want[i].Value) || !bytes.Equal(have[i].Key, want[i].Key) {
				t.Fatalf("%v: record %d is\n%v, want\n%v", stream, i, have[i], want[i])
			}
		}
		if len(have) != len(want) {
			t.Fatalf("%v: %d records, want %d", stream, len(have), len(want))
		}
	}
	if len(have) != len(want) {
		t.Fatalf("%d records, want %d", len(have), len(want))
	}
}

func values(records []got) (out []string) {
	for _, r := range records {
		out = append(out, string(r.Value))
	}
	return out
}

func wantValues(t testing.TB, records []got, from, n int) {
	t.Helper()
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(from+i))
	}
	if have := values(records); !slices.Equal(have, want) {
		t.Fatalf("read %q, want %q", have, want)
	}
}

// seeded returns a random source whose seed is logged.
func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func testCancel(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithCancel(testContext(t))
}

// goOpen opens a source in the background.
func goOpen(ctx context.Context, s *Source) <-chan error {
	opened := make(chan error, 1)
	go func() { opened <- s.Open(ctx, nil) }()
	return opened
}
