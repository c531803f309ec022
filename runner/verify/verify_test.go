// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/verify"
)

const (
	pipeline   = "orders"
	topic      = "t"
	partitions = 3
)

// spout is a branch of a fake pachd, a Kafka broker, and what is read.
type spout struct {
	t        *testing.T
	server   *pachtest.Server
	broker   *kafkatest.Broker
	settings settings.Settings
	sent     int
}

func newSpout(t *testing.T, change func(*settings.Settings)) *spout {
	t.Helper()
	broker, err := kafkatest.Start(1, kafkatest.Topic{Name: topic, Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Stop)
	s := &spout{t: t, server: pachtest.New(t), broker: broker, settings: settings.Default()}
	s.settings.Kafka.Brokers, s.settings.Kafka.Topics = broker.Addresses(), []string{topic}
	s.settings.File.Format = "jsonl"
	s.settings.Batch.MaxRecords, s.settings.Batch.MaxAge = 20, settings.Duration(50*time.Millisecond)
	if change != nil {
		change(&s.settings)
	}
	_, err = s.client(s.server.Address()).PPS.CreatePipeline(t.Context(), &pps.CreatePipelineRequest{
		Pipeline:  &pps.Pipeline{Project: &pfs.Project{Name: pachyderm.DefaultProject}, Name: pipeline},
		Transform: &pps.Transform{Image: "runner", Cmd: []string{"/spout-runner"}}, Spout: &pps.Spout{}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *spout) client(address string) *pachyderm.Client {
	s.t.Helper()
	parsed, err := pachyderm.ParseAddress(address)
	if err != nil {
		s.t.Fatal(err)
	}
	client, err := pachyderm.Connect(pachyderm.Options{Address: parsed})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { client.Close() }) //nolint:errcheck // the test is over
	return client
}

func (s *spout) branch() *pachyderm.Branch {
	return s.client(s.server.Address()).Branch(pachyderm.DefaultProject, pipeline, "master")
}

// produce appends a record and does not wait.
func (s *spout) produce(r *kgo.Record) {
	s.t.Helper()
	r.Topic, r.Partition = topic, int32(s.sent%partitions)
	if err := s.broker.Produce(s.t.Context(), nil, r); err != nil {
		s.t.Fatal(err)
	}
	s.sent++
}

// ingest produces n records of many kinds and has them committed.
func (s *spout) ingest(n int) {
	s.t.Helper()
	values := []string{`{"id": %d, "secret": "x"}`, `"text %d"`, "no JSON %d", "null", ""}
	for range n {
		value := values[s.sent%len(values)]
		if strings.Contains(value, "%d") {
			value = fmt.Sprintf(value, s.sent)
		}
		r := &kgo.Record{Topic: topic, Partition: int32(s.sent % partitions), Value: []byte(value)}
		if value == "" {
			r.Value = nil
		}
		if err := s.broker.Produce(s.t.Context(), nil, r); err != nil {
			s.t.Fatal(err)
		}
		s.sent++
	}
	s.run(s.reached)
}

// run has the runner run until the position on the branch is as it should be.
func (s *spout) run(reached func(map[source.Stream]int64) bool) {
	s.t.Helper()
	client := s.client(s.server.Sidecar(pachyderm.DefaultProject, pipeline))
	in, err := ingest.New(ingest.Config{Settings: s.settings, Client: client, Branch: client.Branch(pachyderm.DefaultProject, pipeline, "master"), Writer: "w",
		NewSource: func() (source.Source, error) {
			return kafka.New(s.settings.Kafka, ingest.SourceShare(s.settings), hclog.NewNullLogger()), nil
		}, Log: hclog.NewNullLogger(), Metrics: ingest.NewMetrics()})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- in.Run(ctx) }()
	for !reached(s.position()) {
		select {
		case err := <-ended:
			s.t.Fatal(err)
		case <-time.After(5 * time.Millisecond):
		case <-s.t.Context().Done():
			s.t.Fatal("not all records arrived")
		}
	}
	stop()
	if err := <-ended; err == nil {
		s.t.Error("Run returned nil")
	}
}

// position is what the branch says, nil if it says nothing yet.
func (s *spout) position() map[source.Stream]int64 {
	last, d, err := ingest.LastCommit(s.t.Context(), s.branch())
	if err != nil || last == nil {
		return nil
	}
	offsets, err := audit.OffsetsOf("kafka")(d.Position)
	if err != nil {
		s.t.Fatal(err)
	}
	return offsets
}

func (s *spout) reached(offsets map[source.Stream]int64) bool {
	sum := 0
	for _, next := range offsets {
		sum += int(next)
	}
	return sum == s.sent
}

func (s *spout) verify(n int) *verify.Result {
	s.t.Helper()
	before, commits, err := verify.Range(s.t.Context(), s.branch(), "", n)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := verify.Run(s.t.Context(), verify.Config{Branch: s.branch(), Settings: s.settings, Reread: kafka.Reread, Log: hclog.NewNullLogger()}, before, commits)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func TestSame(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*settings.Settings){
		"jsonl":      nil,
		"lines":      func(s *settings.Settings) { s.File.Format = "lines" },
		"avro":       func(s *settings.Settings) { s.File.Format = "avro" },
		"parquet":    func(s *settings.Settings) { s.File.Format = "parquet" },
		"raw":        func(s *settings.Settings) { s.File.Format = "raw" },
		"compressed": func(s *settings.Settings) { s.File.Compression = "zstd" },
		"masked, filtered and refused": func(s *settings.Settings) {
			parsed, err := settings.Parse([]string{"SPOUT_KAFKA_BROKERS=" + strings.Join(s.Kafka.Brokers, ","), "SPOUT_KAFKA_TOPICS=" + topic,
				"SPOUT_FILE_FORMAT=jsonl", "SPOUT_RECORD_MASK=secret=redact", "SPOUT_RECORD_ON_REFUSED=dead_letter", "SPOUT_BATCH_MAX_RECORDS=20", "SPOUT_BATCH_MAX_AGE=50ms"})
			if err != nil {
				t.Fatal(err)
			}
			*s = parsed
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSpout(t, change)
			s.ingest(90)
			s.ingest(31)
			all := s.verify(0)
			if !all.OK() || all.Uncompared != 0 || all.Records+all.DeadLettered+all.Filtered != 121 {
				t.Error(all)
			}
			last := s.verify(2)
			if !last.OK() || last.Uncompared != 0 || last.Records+last.DeadLettered+last.Filtered >= 121 || last.Commits < 2 || last.Last != all.Last {
				t.Error(last.Commits, last)
			}
		})
	}
}

// TestDiffers verifies against settings by which other files should be there.
func TestDiffers(t *testing.T) {
	t.Parallel()
	s := newSpout(t, nil)
	s.ingest(60)
	s.settings.Record.Fields = []string{"id"}
	s.settings.Record.OnRefused = "dead_letter"
	r := s.verify(0)
	if r.OK() || len(r.Problems) == 0 || !strings.Contains(r.String(), "secret") {
		t.Error(r)
	}
}

// TestGoneAtTheSource: what Kafka has deleted is told apart, and what comes
// after it is compared.
func TestGoneAtTheSource(t *testing.T) {
	t.Parallel()
	s := newSpout(t, nil)
	s.ingest(120)
	for _, start := range []int64{20, 40} { // of 40 in each partition
		if err := s.broker.DeleteRecords(topic, 1, start); err != nil {
			t.Fatal(err)
		}
		// All commits up to the first that is beyond cannot be compared.
		uncompared, records := 0, int64(0)
		beyond := false
		for _, c := range s.server.Commits(pachyderm.DefaultProject, pipeline, "master") {
			d, _, err := spoutcommit.ParseDescription(c.Description)
			if err != nil || d.Position == nil || d.Reason == spoutcommit.ReasonStart {
				continue
			}
			offsets, err := audit.OffsetsOf("kafka")(d.Position)
			if err != nil {
				t.Fatal(err)
			}
			if beyond {
				records += d.Written
			} else {
				uncompared++
			}
			beyond = beyond || offsets[source.Stream{Name: topic, Partition: 1}] >= start
		}
		r := s.verify(0)
		if !r.OK() || r.Uncompared != uncompared || uncompared == 0 || r.Records != records ||
			r.Because != fmt.Sprintf("the source no longer has the records of topic t partition 1 before offset %d", start) {
			t.Errorf("%d commits not compared, for %s, should be %d; %d records, should be %d; %s", r.Uncompared, r.Because, uncompared, r.Records, records, r)
		}
	}
}

// TestResharded: each commit is judged by the shard in its own description,
// whatever the spout's shard is by now.
func TestResharded(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"jsonl", "lines"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := newSpout(t, func(s *settings.Settings) { s.File.Format = format })
			produced := func() {
				for range 60 {
					r := &kgo.Record{Topic: topic, Partition: int32(s.sent % partitions), Value: fmt.Appendf(nil, "%d", s.sent)}
					if err := s.broker.Produce(t.Context(), nil, r); err != nil {
						t.Fatal(err)
					}
					s.sent++
				}
			}
			// What other spouts have read in between goes into start_offsets.
			offsets := func() settings.StartOffsets {
				each := map[int32]int64{}
				for p := range int32(partitions) {
					each[p] = int64(s.sent / partitions)
				}
				return settings.StartOffsets{topic: each}
			}
			s.settings.Kafka.OnShardChanged = "continue"
			for _, shard := range []string{"1/2", "1/3", "2/3", "", "2/2", "1/2"} {
				s.settings.Kafka.StartOffsets = offsets()
				s.settings.Kafka.Shard = settings.Shard{}
				if shard != "" {
					if err := s.settings.Kafka.Shard.UnmarshalText([]byte(shard)); err != nil {
						t.Fatal(err)
					}
				}
				produced()
				s.run(func(offsets map[source.Stream]int64) bool {
					for p := range int32(partitions) {
						if s.settings.Kafka.Shard.Owns(topic, p) && offsets[source.Stream{Name: topic, Partition: p}] != int64(s.sent/partitions) {
							return false
						}
					}
					return true
				})
			}
			for _, n := range []int{0, 3, 1} {
				r := s.verify(n)
				if !r.OK() || r.Uncompared > 0 || r.Records == 0 {
					t.Errorf("the last %d: %d not compared, for %s; %s", n, r.Uncompared, r.Because, r)
				}
			}
		})
	}
}

func TestWhatCannotBeCompared(t *testing.T) {
	t.Parallel()
	s := newSpout(t, nil)
	if _, _, err := verify.Range(t.Context(), s.branch(), "", 0); err == nil || !strings.Contains(err.Error(), "no commit") {
		t.Error(err)
	}
	s.settings.File.Format = "lines"
	if err := s.settings.File.Path.UnmarshalText([]byte("{partition}/{first_offset}.{ext}")); err != nil {
		t.Fatal(err)
	}
	s.ingest(3)
	before, commits, err := verify.Range(t.Context(), s.branch(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(want string) {
		t.Helper()
		_, err := verify.Run(t.Context(), verify.Config{Branch: s.branch(), Settings: s.settings, Reread: kafka.Reread, Log: hclog.NewNullLogger()}, before, commits)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	refused("SPOUT_FILE_PATH")
}

// TestDecoded: files of values, and keys, that a registry has the schemas of are
// compared in each format, with rules and paths by what values say.
func TestDecoded(t *testing.T) {
	t.Parallel()
	registry := srfake.New()
	t.Cleanup(registry.Close)
	registry.SeedSchema("t-value", 1, 11, sr.Schema{Schema: `{"type":"record","name":"V","fields":[{"name":"id","type":"int"},{"name":"x","type":"double"}]}`})
	registry.SeedSchema("t-value", 2, 12, sr.Schema{Schema: `{"type":"record","name":"V","fields":[{"name":"id","type":"int"},{"name":"secret","type":["null","string"]}]}`})
	registry.SeedSchema("t-value", 3, 13, sr.Schema{Schema: `syntax = "proto3"; message M { int32 id = 1; M below = 2; }`, Type: sr.TypeProtobuf})
	registry.SeedSchema("t-value", 4, 14, sr.Schema{Schema: `{"type":"object","properties":{"id":{"type":"integer"}}}`, Type: sr.TypeJSON})
	registry.SeedSchema("t-key", 1, 21, sr.Schema{Schema: `"string"`})
	for _, format := range []string{"jsonl", "avro", "parquet"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := newSpout(t, nil)
			parsed, err := settings.Parse([]string{"SPOUT_KAFKA_BROKERS=" + strings.Join(s.settings.Kafka.Brokers, ","), "SPOUT_KAFKA_TOPICS=" + topic, "SPOUT_FILE_FORMAT=" + format,
				"SPOUT_SCHEMA_REGISTRY_URL=" + registry.URL(), "SPOUT_SCHEMA_REGISTRY_KEYS=decode", "SPOUT_SCHEMA_REGISTRY_FOLDER=our_schemas", "SPOUT_RECORD_FILTER=value:id != 7 and key != k8",
				"SPOUT_RECORD_MASK=secret=hash", "SPOUT_RECORD_ON_REFUSED=dead_letter", "SPOUT_FILE_PATH=data/{value:id}/{topic}/{partition}-{first_offset}", "SPOUT_BATCH_MAX_RECORDS=40", "SPOUT_BATCH_MAX_AGE=50ms"})
			if err != nil {
				t.Fatal(err)
			}
			s.settings = parsed
			produce := func(n int) {
				for range n {
					i := s.sent
					r := &kgo.Record{Key: fmt.Appendf(nil, "\x00\x00\x00\x00\x15\x04k%d", i%10)}
					switch i % 7 {
					case 0:
						r.Value = binary.LittleEndian.AppendUint64(append([]byte("\x00\x00\x00\x00\x0b"), byte(2*(i%10))), math.Float64bits([]float64{1.5, math.NaN()}[i/7%2]))
					case 1, 2:
						r.Value = fmt.Appendf(nil, "\x00\x00\x00\x00\x0c%c\x02\x02s", 2*(i%10))
					case 3:
						r.Value = fmt.Appendf(nil, "\x00\x00\x00\x00\x0d\x00\x08%c\x12\x04\x12\x02\x08\x01", i%10)
					case 4:
						r.Value = fmt.Appendf(nil, "\x00\x00\x00\x00\x0e{\"id\":%d,\"more\":[1]}", i%10)
					case 5:
						r.Value = []byte("no header")
					}
					if i%11 == 0 {
						r.Key = nil
					}
					s.produce(r)
				}
				s.run(s.reached)
			}
			produce(80)
			produce(60)
			all := s.verify(0)
			if !all.OK() || all.Uncompared != 0 || all.Records == 0 || all.DeadLettered == 0 || all.Filtered == 0 || all.Records+all.DeadLettered+all.Filtered != 140 {
				t.Error(all)
			}
			last := s.verify(1)
			if !last.OK() || last.Commits != 1 {
				t.Error(last.Commits, last)
			}
			s.settings.Record.Mask = []string{"secret=redact"}
			if r := s.verify(0); r.OK() || !strings.Contains(r.String(), "***") {
				t.Error(r)
			}
		})
	}
}
