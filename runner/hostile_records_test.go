// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
)

// onslaught is what somebody may do who may produce records, and register
// schemas.
type onslaught struct {
	name    string
	format  string
	change  func(*settings.Settings)
	schemas map[int]registeredSchema
	values  func() [][]byte // which come again and again, some a batch
	batch   int             // records of a batch; 0 for one
	refused bool            // all records are dead letters
	letter  int64           // most bytes of one; 0 if that is not looked at
}

type registeredSchema struct{ kind, text string }

// framed is a value as serializers with a registry write it.
func framed(id uint32, value ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, id), value...)
}

// batchOf makes a record batch of some values, nil for none.
func batchOf(values [][]byte) []byte {
	batch := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, ProducerID: -1, NumRecords: int32(len(values)), LastOffsetDelta: int32(len(values) - 1)}
	for i, value := range values {
		record := kmsg.Record{Value: value, OffsetDelta: int32(i)}
		record.Length = int32(len(record.AppendTo(nil)) - 1)
		batch.Records = record.AppendTo(batch.Records)
	}
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// serveSchemas is a registry.
func serveSchemas(t *testing.T, schemas map[int]registeredSchema) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
		id, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/schemas/ids/"))
		s, ok := schemas[id]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error_code":40403,"message":"no schema"}`) //nolint:errcheck // the client will say
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"id": id, "schema": s.text, "schemaType": s.kind}) //nolint:errcheck // the client will say
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// withstand runs the onslaught against a runner with a budget until it has made
// some commits.
func (o *onslaught) withstand(t *testing.T, budget settings.Bytes) {
	t.Helper()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "hostile"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	values, size := o.values(), max(o.batch, 1)
	var batches [][]byte
	for ; len(values) > 0; values = values[min(size, len(values)):] {
		batches = append(batches, batchOf(values[:min(size, len(values))]))
	}
	serveBatches(broker, batches, int64(size))
	listForEver(broker)
	s := settings.Default()
	s.Kafka.Brokers, s.Kafka.Topics = broker.ListenAddrs(), []string{"hostile"}
	s.HTTPPort, s.MemoryBudget, s.Batch.MaxBytes, s.Batch.MaxAge = 0, budget, budget, settings.Duration(2*time.Second)
	s.File.Format, s.Record.OnRefused = o.format, "dead_letter"
	if o.schemas != nil {
		s.SchemaRegistry.URL = serveSchemas(t, o.schemas)
	}
	if o.change != nil {
		o.change(&s)
	}
	server := pachtest.New(t)
	began := time.Now()
	p := startRunner(t, server, s)
	// Many commits, or some of them for a while: it must go on, as slow as it may be.
	const enough, while = 8, 10 * time.Second
	all, commits := spoutcommit.Description{}, 0
	for commits < enough && (all.Written+all.DeadLettered == 0 || time.Since(began) < while) {
		if _, runs := p.memory(t); !runs || time.Since(began) > 2*time.Minute {
			t.Fatalf("there are only %d commits; the runner runs: %v", commits, runs)
		}
		time.Sleep(50 * time.Millisecond)
		all, commits = spoutcommit.Description{}, 0
		for _, c := range server.Commits("default", "spout", "master") {
			if d, ok, err := spoutcommit.ParseDescription(c.Description); ok && err == nil {
				all.Written, all.DeadLettered, all.Files, all.Bytes = all.Written+d.Written, all.DeadLettered+d.DeadLettered, all.Files+d.Files, all.Bytes+d.Bytes
				commits++
			}
		}
	}
	took := time.Since(began)
	peak, _ := p.memory(t)
	t.Logf("%d MiB of memory, %d commits with %d files, %d records and %d dead letters after %.1f s", peak>>20, commits, all.Files, all.Written, all.DeadLettered, took.Seconds())
	if all.Written+all.DeadLettered == 0 || o.refused != (all.Written == 0) {
		t.Errorf("%d records were written, and %d dead letters", all.Written, all.DeadLettered)
	}
	if o.letter > 0 && all.Bytes > o.letter*all.DeadLettered {
		t.Errorf("%d dead letters have %d bytes", all.DeadLettered, all.Bytes)
	}
	if most := rsstest.Most(int64(budget)); peak > most {
		t.Errorf("%d MiB were taken in place of %d at most", peak>>20, most>>20)
	}
}

// serveBatches makes each partition an endless log of some batches of so many
// records, one after the other.
func serveBatches(broker *kfake.Cluster, batches [][]byte, records int64) {
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
				for n := p.FetchOffset / records; ; n++ {
					raw := batches[n%int64(len(batches))]
					if size > 0 && size+len(raw) > int(request.MaxBytes) {
						break
					}
					raw = bytes.Clone(raw)
					binary.BigEndian.PutUint64(raw, uint64(n*records))
					partition.RecordBatches = append(partition.RecordBatches, raw...)
					size += len(raw)
				}
				topic.Partitions = append(topic.Partitions, partition)
			}
			response.Topics = append(response.Topics, topic)
		}
		return response, nil, true
	})
}

// noise is what cannot be compressed.
func noise(n int) []byte {
	b, random := make([]byte, n), rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

func one(value []byte) func() [][]byte { return func() [][]byte { return [][]byte{value} } }

// onslaughts are by budget: what is largest depends on it.
func onslaughts(budget settings.Bytes) []onslaught {
	largest := int(budget)/8 - 4096
	text := registeredSchema{"AVRO", `{"type":"record","name":"Text","fields":[{"name":"text","type":"string"},{"name":"n","type":"int"}]}`}
	letters := []byte(strings.Repeat("abcdefgh", largest/8))
	masked := `{"a":"` + strings.Repeat("x", largest/2) + `","b":"` + strings.Repeat("y", largest/2-100) + `"}`
	escapes := []byte(`{"a":"` + strings.Repeat(`\n`, largest/2-10) + `"}`)
	fitting := []byte("[" + strings.Repeat(`{"a":1,"b":"`+strings.Repeat("x", 600)+`"},`, largest/616-1) + "0]")
	masks := func(s *settings.Settings) { s.Record.Mask = []string{"a=hash"} }
	compressed := func(with string) func(*settings.Settings) {
		return func(s *settings.Settings) { s.File.Compression = with }
	}
	all := []onslaught{
		{name: "large values in parquet, snappy", format: "parquet", values: one(noise(largest)), change: compressed("snappy")},
		{name: "large values in parquet, gzip", format: "parquet", values: one(noise(largest)), change: compressed("gzip")},
		{name: "large texts in parquet, zstd", format: "parquet", schemas: map[int]registeredSchema{1: text}, change: compressed("zstd"),
			values: one(framed(1, append(append(binary.AppendVarint(nil, int64(len(letters))), letters...), 2)...))},
		{name: "large values in avro", format: "avro", values: one(noise(largest))},
		{name: "a large text in a path", format: "jsonl", values: one(escapes), change: func(s *settings.Settings) {
			if err := errors.Join(s.File.Path.UnmarshalText([]byte("{value:a}/{partition}-{first_offset}")), s.Record.Filter.UnmarshalText([]byte("value:a != y"))); err != nil {
				panic(err)
			}
		}},
		{name: "masks that just fit", format: "jsonl", values: one(fitting), change: masks},
		{name: "masks that just fit in avro", format: "avro", values: one(fitting), change: masks},
		{name: "masks and fields in parquet", format: "parquet", values: one([]byte(masked)),
			change: func(s *settings.Settings) { masks(s); s.Record.Fields = []string{"a", "b"} }},
	}
	// One that is a file of its own: the next one is in another.
	apart := func() (all [][]byte) {
		for i := range 200_000 {
			all = append(all, fmt.Appendf(nil, `{"a":"%070d"}`, i))
		}
		return all
	}
	for _, format := range []string{"jsonl", "avro", "parquet", "raw"} {
		all = append(all, onslaught{name: "a file for each record, " + format, format: format, batch: 100, values: apart, change: func(s *settings.Settings) {
			if err := s.File.Path.UnmarshalText([]byte("{value:a}/{partition}-{first_offset}")); err != nil {
				panic(err)
			}
		}})
	}
	return all
}

// wideSchema is a record of n optional numbers, with a name in front of theirs.
func wideSchema(n int, name string) registeredSchema {
	var fields strings.Builder
	for i := range n {
		fmt.Fprintf(&fields, `,{"name":"%s%d","type":["null","long"]}`, name, i)
	}
	return registeredSchema{"AVRO", `{"type":"record","name":"W","fields":[` + fields.String()[1:] + `]}`}
}

// inTurn are values of some schemas, one after the other.
func inTurn(schemas int, values ...[]byte) func() (all [][]byte) {
	return func() (all [][]byte) {
		for id := range schemas {
			for _, value := range values {
				if value != nil {
					value = framed(uint32(id+1), value...)
				}
				all = append(all, value)
			}
		}
		for len(all) < 1000 {
			all = append(all, all...)
		}
		return all[:len(all)/20*20]
	}
}

func schemasOf(n int, one func(i int) registeredSchema) map[int]registeredSchema {
	all := map[int]registeredSchema{}
	for i := range n {
		all[i+1] = one(i)
	}
	return all
}

// schemaOnslaughts are of who may register schemas, too.
func schemaOnslaughts() []onslaught {
	wide := func(columns int) func(int) registeredSchema {
		return func(i int) registeredSchema { return wideSchema(columns, fmt.Sprintf("s%d_", i)) }
	}
	nulls := func(n int) []byte { return make([]byte, n) }
	protobuf := func(i int) registeredSchema {
		var fields strings.Builder
		for j := range 2000 {
			fmt.Fprintf(&fields, "message M%d { string s%d = 1; }\n", j, i)
		}
		return registeredSchema{"PROTOBUF", "syntax = \"proto3\"; message M { int32 a = 1; }\n" + fields.String()}
	}
	nothings := append(binary.AppendVarint(nil, 100_000), 0)
	return []onslaught{
		{name: "tombstones of two schemas in turn", format: "parquet", schemas: schemasOf(2, wide(300)), values: inTurn(2, nulls(300), nil), batch: 20},
		{name: "large schemas in turn", format: "avro", schemas: schemasOf(3, func(i int) registeredSchema {
			return registeredSchema{"AVRO", fmt.Sprintf(`{"type":"record","name":"T","doc":"%d%s","fields":[{"name":"a","type":"int"}]}`, i, strings.Repeat("x", 450<<10))}
		}), values: inTurn(3, []byte{0}), batch: 20},
		{name: "a schema that is too large", format: "avro", schemas: schemasOf(1, func(i int) registeredSchema {
			return registeredSchema{"JSON", fmt.Sprintf(`{"type":"object","properties":{"a":{"type":"integer"}},"x":"%d%s"}`, i, strings.Repeat("x", 5<<20))}
		}), values: inTurn(1, []byte("{}")), batch: 20, refused: true},
		{name: "wide schemas in turn", format: "parquet", schemas: schemasOf(10, wide(1600)), values: inTurn(10, nulls(1600)), batch: 20},
		{name: "a wide schema", format: "parquet", schemas: schemasOf(1, wide(5000)), values: inTurn(1, nulls(5000)), batch: 20, refused: true},
		{name: "wide rows", format: "parquet", schemas: schemasOf(1, wide(1600)), values: inTurn(1, nulls(1600)), batch: 20},
		{name: "long errors", format: "avro", schemas: schemasOf(1, func(int) registeredSchema {
			return registeredSchema{"AVRO", `{"type":"record","name":"T","fields":[{"name":"` + strings.Repeat("x", 500<<10) + `","type":"int"}]}`}
		}), values: inTurn(1, []byte{}), batch: 20, refused: true, letter: 2000},
		{name: "many values of one column in turn", format: "parquet", schemas: schemasOf(1, func(int) registeredSchema {
			var fields strings.Builder
			for i := range 1500 {
				fmt.Fprintf(&fields, `,{"name":"a%d","type":{"type":"array","items":"boolean"}}`, i)
			}
			return registeredSchema{"AVRO", `{"type":"record","name":"W","fields":[` + fields.String()[1:] + `]}`}
		}), values: func() (all [][]byte) {
			list := append(binary.AppendVarint(nil, 50_000), make([]byte, 50_001)...)
			for i := range 100 {
				value := append(append(make([]byte, i), list...), make([]byte, 1499-i)...)
				all = append(all, framed(1, value...))
			}
			return all
		}, batch: 20},
		{name: "rows of nothing", format: "parquet", schemas: schemasOf(1, func(int) registeredSchema {
			return registeredSchema{"AVRO", `{"type":"array","items":"null"}`}
		}), values: inTurn(1, nothings), batch: 20},
		{name: "schemas of Protobuf in turn", format: "avro", schemas: schemasOf(100, protobuf), values: inTurn(100, []byte{0}), batch: 20},
	}
}

// TestOnslaughts: whatever somebody produces or registers who wants to do harm,
// the runner goes on in the memory that it was given.
func TestOnslaughts(t *testing.T) {
	if os.Getenv("HOSTILE") == "" {
		t.Skip("make test-hostile tries it: what a process takes is measured with nothing else at work")
	}
	const small, usual = settings.Bytes(64 << 20), settings.Bytes(256 << 20)
	for _, o := range append(onslaughts(small), schemaOnslaughts()...) {
		t.Run(o.name, func(t *testing.T) { o.withstand(t, small) })
	}
	wide := onslaught{name: "wide rows", format: "parquet", schemas: schemasOf(1, func(int) registeredSchema { return wideSchema(5000, "n") }),
		values: inTurn(1, make([]byte, 5000)), batch: 20}
	for _, o := range append(onslaughts(usual), wide) {
		t.Run(o.name+", with the default budget", func(t *testing.T) { o.withstand(t, usual) })
	}
}
