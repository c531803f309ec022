// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// asRunner makes a process of this test the runner itself.
const asRunner = "RUNNER_TEST_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(asRunner) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is a runner in a process of its own.
type process struct {
	cmd *exec.Cmd
	log lines
}

// lines are what a process has written so far.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startRunner runs the spout "spout" of a fake pachd until the test is over.
func startRunner(t *testing.T, server *pachtest.Server, s settings.Settings) *process {
	t.Helper()
	return startRunnerWith(t, server, s, 0)
}

// startRunnerWith is [startRunner] with so many files that it may have open; 0
// is as many as this process may. Secrets are further variables.
func startRunnerWith(t *testing.T, server *pachtest.Server, s settings.Settings, files int, secrets ...string) *process {
	t.Helper()
	client := dialPachd(t, server.Address())
	_, err := client.PPS.CreatePipeline(t.Context(), &pps.CreatePipelineRequest{
		Pipeline:  &pps.Pipeline{Project: &pfs.Project{Name: "default"}, Name: "spout"},
		Transform: &pps.Transform{Image: "runner", Cmd: []string{"/spout-runner"}}, Spout: &pps.Spout{},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(server.Sidecar("default", "spout"), "grpc://"))
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(os.Args[0])}
	if files > 0 {
		p.cmd = exec.Command("/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0"`, files), os.Args[0])
	}
	p.cmd.Env = []string{asRunner + "=1", "PPS_PROJECT_NAME=default", "PPS_PIPELINE_NAME=spout", "PEER_PORT=" + port, "PACH_CONFIG=" + t.TempDir() + "/none"}
	for name, value := range s.Environment() {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	p.cmd.Env = append(p.cmd.Env, secrets...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("log of the runner:\n%s", &p.log)
		}
	})
	return p
}

// memory returns the most memory that the process has had so far, as the
// kernel counts it, and says whether it still runs.
func (p *process) memory(t *testing.T) (peak int64, runs bool) {
	t.Helper()
	if _, err := rsstest.Peak(os.Getpid()); err != nil {
		t.Skip(err)
	}
	peak, err := rsstest.Peak(p.cmd.Process.Pid)
	return peak, err == nil
}

// read returns how many bytes the process has read so far.
func (p *process) read(t *testing.T) int64 {
	t.Helper()
	io, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.cmd.Process.Pid))
	found := regexp.MustCompile(`rchar: (\d+)`).FindSubmatch(io)
	if found == nil {
		t.Fatalf("the kernel does not tell what the runner reads: %v", err)
	}
	n, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// logEnd is an offset that no test reaches.
const logEnd = 1 << 40

// serveForEver makes each partition of the topic "large" an endless log of
// records, each in a batch of its own.
func serveForEver(broker *kfake.Cluster, value []byte) { serveBatch(broker, recordBatch(value, nil)) }

// recordBatch makes a batch of one record, compressed if there is what does it.
func recordBatch(value []byte, compress *zstd.Encoder) []byte {
	record := kmsg.Record{Value: value}
	record.Length = int32(len(record.AppendTo(nil)) - 1) // the length itself takes one byte while it is 0
	batch := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, ProducerID: -1, NumRecords: 1, Records: record.AppendTo(nil)}
	if compress != nil {
		batch.Attributes, batch.Records = 4, compress.EncodeAll(batch.Records, nil)
	}
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// serveBatch makes each partition an endless log of one batch. A fetch gets as
// many as it has room for, but one at least, as from Kafka.
func serveBatch(broker *kfake.Cluster, raw []byte) {
	broker.ControlKey(kmsg.Fetch.Int16(), func(k kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		request := k.(*kmsg.FetchRequest)
		response := request.ResponseKind().(*kmsg.FetchResponse)
		size := 0
		for _, t := range request.Topics {
			topic := kmsg.NewFetchResponseTopic()
			topic.Topic, topic.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				partition := kmsg.NewFetchResponseTopicPartition()
				partition.Partition, partition.HighWatermark, partition.LastStableOffset = p.Partition, logEnd, logEnd
				partition.RecordBatches = []byte{}
				if size == 0 || size+len(raw) <= int(request.MaxBytes) {
					partition.RecordBatches = bytes.Clone(raw)
					binary.BigEndian.PutUint64(partition.RecordBatches, uint64(p.FetchOffset))
					size += len(raw)
				}
				topic.Partitions = append(topic.Partitions, partition)
			}
			response.Topics = append(response.Topics, topic)
		}
		return response, nil, true
	})
}

// listForEver tells where the logs of serveForEver begin and end.
func listForEver(broker *kfake.Cluster) {
	broker.ControlKey(kmsg.ListOffsets.Int16(), func(k kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		request := k.(*kmsg.ListOffsetsRequest)
		response := request.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, t := range request.Topics {
			topic := kmsg.NewListOffsetsResponseTopic()
			topic.Topic = t.Topic
			for _, p := range t.Partitions {
				partition := kmsg.NewListOffsetsResponseTopicPartition()
				partition.Partition, partition.Offset = p.Partition, 0
				if p.Timestamp != -2 { // earliest
					partition.Offset = logEnd
				}
				topic.Partitions = append(topic.Partitions, partition)
			}
			response.Topics = append(response.Topics, topic)
		}
		return response, nil, true
	})
}

// TestMemoryStaysUnderTheBudget reads a thousand partitions of records of
// 10 MiB, into a storage that takes nothing, is gone, and takes it all. The
// runner waits, does not end, and goes on, in the memory that it was given,
// whatever it makes of them.
func TestMemoryStaysUnderTheBudget(t *testing.T) {
	t.Parallel()
	const recordBytes = 10 << 20
	text := bytes.Repeat([]byte("0123456789abcdef"), recordBytes/16)
	object := append(append([]byte(`{"text":"`), text[:recordBytes-11]...), `"}`...)
	list := append(bytes.Repeat([]byte("[1],"), recordBytes/4-1), "[1]]"...)
	list = append([]byte{'['}, list...)
	random := make([]byte, recordBytes)
	rand.NewChaCha8([32]byte{}).Read(random) //nolint:errcheck // it never fails
	registry := serveSchemas(t, map[int]registeredSchema{7: {"", `{"type":"record","name":"r","fields":[{"name":"text","type":"string"}]}`}})
	decoded := func(s *settings.Settings) { s.SchemaRegistry.URL = registry }
	row := append(framed(7, binary.AppendVarint(nil, recordBytes)...), text...)
	tests := []struct {
		format, compression string
		value               []byte
		change              func(*settings.Settings)
	}{
		{"lines", "none", text, nil},
		{"jsonl", "gzip", list, nil}, // so many files that each partition has one
		{"parquet", "zstd", random, nil},
		{"lines", "zstd", random, nil},
		{"raw", "none", text, nil},
		{"jsonl", "none", object, nil},
		{"jsonl", "zstd", random, nil}, // in base64
		{"lines", "none", object, func(s *settings.Settings) { s.Record.Mask = []string{"text=hash"} }},
		{"avro", "zstd", random, nil},
		{"parquet", "none", text, nil},
		{"jsonl", "none", row, decoded},
		{"avro", "none", row, decoded},
		{"parquet", "none", row, decoded},
	}
	if os.Getenv("HOSTILE") == "" { // the rest takes a minute
		tests = tests[:3]
	}
	for _, test := range tests {
		name := test.format + " " + test.compression
		if test.change != nil {
			name += " of changed values"
		}
		t.Run(name, func(t *testing.T) {
			staysUnderTheBudget(t, test.value, func(s *settings.Settings) {
				s.File.Format, s.File.Compression = test.format, test.compression
				if test.change != nil {
					test.change(s)
				}
			})
		})
	}
}

// staysUnderTheBudget is a run of TestMemoryStaysUnderTheBudget.
func staysUnderTheBudget(t *testing.T, value []byte, change func(*settings.Settings)) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(1000, "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	serveForEver(broker, value)
	listForEver(broker)
	server := pachtest.New(t)
	stalled := make(chan struct{})
	stall := server.Inject(pachtest.Fault{Method: "CreateFileSet", Side: pachtest.Sidecar, Count: -1, AfterMessages: 3, Stall: stalled})

	s := settings.Default()
	s.Kafka.Brokers, s.Kafka.Topics = broker.ListenAddrs(), []string{"large"}
	s.HTTPPort, s.MemoryBudget, s.Batch.MaxBytes = 0, 128<<20, 32<<20
	s.Batch.MaxAge = settings.Duration(2 * time.Second) // what compresses well never fills a batch in time
	change(&s)
	p := startRunner(t, server, s)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	within := func(when string) {
		t.Helper()
		peak, runs := p.memory(t)
		if most := rsstest.Most(int64(s.MemoryBudget)); !runs || peak > most {
			t.Errorf("%s: %d MiB were taken in place of %d at most; it runs: %v", when, peak>>20, most>>20, runs)
		}
		t.Logf("%s: %d MiB", when, peak>>20)
	}
	await := func(what string, done func() bool) {
		t.Helper()
		for !done() {
			if _, runs := p.memory(t); !runs {
				t.Fatalf("the runner ended while this was waited for: %s", what)
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("it never happens: %s", what)
			}
		}
	}
	commits := func() int { return len(server.Commits("default", "spout", "master")) }

	select {
	case <-stall.Reached():
	case <-ctx.Done():
		t.Fatal("nothing is uploaded")
	}
	last, since := p.read(t), time.Now()
	await("no more is fetched", func() bool {
		if n := p.read(t); n-last > int64(len(value)/10) {
			last, since = n, time.Now()
		}
		return time.Since(since) > 2*time.Second
	})
	within("storage stalls")
	stall.Remove()
	close(stalled)
	before := commits()
	await("commits after the stall", func() bool { return commits() >= before+2 })
	within("storage takes all")
	server.Down(pachtest.Sidecar)
	await("the storage is missed", func() bool { return strings.Contains(p.log.String(), "starting again from the last commit") })
	server.Up(pachtest.Sidecar)
	before = commits()
	await("commits after the outage", func() bool { return commits() >= before+2 })
	within("storage was gone")
}

// TestLargestBatches ingests batches of a few kB that become all that one may
// be, in the memory that the runner was given.
func TestLargestBatches(t *testing.T) {
	t.Parallel()
	broker, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(12, "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	s := settings.Default()
	s.Kafka.Brokers, s.Kafka.Topics = broker.ListenAddrs(), []string{"large"}
	s.HTTPPort, s.MemoryBudget, s.Batch.MaxBytes = 0, 64<<20, 32<<20
	compress, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer compress.Close() //nolint:errcheck // it writes nothing
	serveBatch(broker, recordBatch(make([]byte, s.MemoryBudget/8), compress))
	listForEver(broker)
	server := pachtest.New(t)
	p := startRunner(t, server, s)
	deadline := time.Now().Add(3 * time.Minute)
	for len(server.Commits("default", "spout", "master")) < 20 {
		if _, runs := p.memory(t); !runs || time.Now().After(deadline) {
			t.Fatalf("there are no commits; the runner runs: %v", runs)
		}
		time.Sleep(20 * time.Millisecond)
	}
	peak, _ := p.memory(t)
	t.Logf("%d MiB of memory", peak>>20)
	if most := rsstest.Most(int64(s.MemoryBudget)); peak > most {
		t.Errorf("%d MiB were taken in place of %d at most", peak>>20, most>>20)
	}
}

// dialPachd connects to a pachd, or a sidecar, until the test is over.
func dialPachd(t *testing.T, address string) *pachyderm.Client {
	t.Helper()
	at, err := pachyderm.ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	client, err := pachyderm.Connect(pachyderm.Options{Address: at, UserAgent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() }) // it has done its work
	return client
}
