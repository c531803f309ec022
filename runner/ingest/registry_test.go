// SPDX-License-Identifier: Apache-2.0

package ingest_test

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Two versions of a schema, and values of them.
var registered = []string{
	`{"type":"record","name":"Order","fields":[{"name":"o","type":"long"}]}`,
	`{"type":"record","name":"Order","fields":[{"name":"o","type":"long"},{"name":"note","type":["null","string"]}]}`,
}

// registryValue is a record's value: of schema 11 or 12, null, or damaged.
func registryValue(t *testing.T, offset int64) []byte {
	t.Helper()
	kind := offset % 5
	switch kind {
	case 3:
		return nil
	case 4:
		return []byte("no header")
	}
	version := min(kind, 1)
	value, err := avro.MustParse(registered[version]).Encode(map[string]any{"o": offset, "note": "n"})
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(11+version)), value...)
}

// expectRegistry is what files should hold of such a value.
func expectRegistry(e *audit.Entry) {
	switch e.Offset % 5 {
	case 0:
		e.Value = fmt.Sprintf(`{"o":%d}`, e.Offset)
	case 1, 2:
		e.Value = fmt.Sprintf(`{"note":"n","o":%d}`, e.Offset)
	case 4:
		e.Fate = audit.DeadLettered
	}
}

// expectJSON is the same of JSON lines.
func expectJSON(e *audit.Entry) {
	expectRegistry(e)
	switch e.Offset % 5 {
	case 1, 2:
		e.Value = fmt.Sprintf(`{"o":%d,"note":"n"}`, e.Offset)
	case 3:
		e.Value = "null"
	}
}

// newRegistryBench is a bench whose records have schemas.
func newRegistryBench(t *testing.T, format string, settings ...string) (*bench, *srfake.Registry) {
	t.Helper()
	registry := srfake.New(srfake.WithAuth("Basic dXNlcjpwYXNz"))
	t.Cleanup(registry.Close)
	for i, text := range registered {
		registry.SeedSchema("orders-value", i+1, 11+i, sr.Schema{Schema: text})
	}
	b := newBench(t, "2.6.0")
	compression := "snappy"
	if format == "jsonl" {
		compression = "zstd"
	}
	b.with(append([]string{"SPOUT_FILE_FORMAT=" + format, "SPOUT_FILE_COMPRESSION=" + compression, "SPOUT_SCHEMA_REGISTRY_URL=" + registry.URL(), "SPOUT_RECORD_ON_REFUSED=dead_letter"}, settings...)...)
	b.settings.SchemaRegistry.Username, b.settings.SchemaRegistry.Password = "user", "pass"
	b.expect = expectRegistry
	if format == "jsonl" {
		b.expect = expectJSON
	}
	return b, registry
}

// produceRegistered appends n records to each partition while nobody reads.
func (b *bench) produceRegistered(n int) {
	b.t.Helper()
	b.log.produce(n)
	for _, records := range b.log.partitions {
		for i := len(records) - n; i < len(records); i++ {
			records[i].Value = registryValue(b.t, records[i].Offset)
		}
	}
}

// TestSchemaRegistry: each record is in a file of its schema or among the dead
// letters, the schemas are beside them, and no crash or lost reply changes that.
func TestSchemaRegistry(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"avro", "parquet", "jsonl"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			b, _ := newRegistryBench(t, format)
			for i, method := range []string{"CreateFileSet", "AddFileSet", "FinishCommit"} {
				fault := pachtest.Fault{Method: method, Side: pachtest.Sidecar, Before: status.Error(codes.Unavailable, "the sidecar is going down")}
				if i%2 == 1 {
					fault.Before, fault.LoseReply = nil, true
				}
				b.server.Inject(fault)
				b.produceRegistered(20)
				stop, ended := b.run()
				waitFor(t, "a commit more", func() bool {
					_, d, err := ingest.LastCommit(t.Context(), b.branch())
					return err == nil && d.Writer == fmt.Sprintf("writer-%d", b.writers) && d.Read > 0
				})
				b.end(stop, ended)
			}
			b.produceRegistered(20)
			b.ingestAll()
			report := b.audit()
			if report.Records != 240/5*4 || report.DeadLettered != 240/5 {
				t.Error(report)
			}
			last, _, err := ingest.LastCommit(t.Context(), b.branch())
			if err != nil {
				t.Fatal(err)
			}
			for id, want := range map[int]string{11: registered[0], 12: registered[1]} {
				content, err := b.branch().ReadFile(t.Context(), last.ID, fmt.Sprintf("/_schemas/%d.avsc", id))
				if err != nil || string(content) != want {
					t.Errorf("schema %d is %s (%v)", id, content, err)
				}
			}
		})
	}
}

// TestRulesOfDecodedValues: filter, fields, masks and paths look into decoded
// values.
func TestRulesOfDecodedValues(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"avro", "parquet", "jsonl"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			b, _ := newRegistryBench(t, format, "SPOUT_RECORD_FILTER=value:o != 1 and value:o != 6 and value:o != 11 and value:o != 16", "SPOUT_RECORD_FIELDS=o,note", "SPOUT_RECORD_MASK=note=redact",
				"SPOUT_FILE_PATH={topic}/{value:o}/{value:note}/{partition}-{first_offset}.{ext}")
			before := b.expect
			b.expect = func(e *audit.Entry) {
				before(e)
				switch e.Offset % 5 {
				case 1:
					e.Fate = audit.Filtered
				case 2:
					e.Value = strings.Replace(e.Value, `"n"`, `"***"`, 1)
				}
			}
			b.produceRegistered(20)
			b.ingestAll()
			if report := b.audit(); report.Records != 36 || report.Filtered != 12 || report.DeadLettered != 12 {
				t.Error(report)
			}
			paths := strings.Join(b.headFiles(), " ")
			for _, part := range []string{"/t/12/%2A%2A%2A/", "/t/15/__HIVE_DEFAULT_PARTITION__/", "/t/__HIVE_DEFAULT_PARTITION__/__HIVE_DEFAULT_PARTITION__/"} {
				if !strings.Contains(paths, part) {
					t.Errorf("no file %s among %s", part, paths)
				}
			}
		})
	}
}

// TestDecodedKeys: keys have schemas of their own; filters and paths see what
// they say.
func TestDecodedKeys(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"avro", "parquet", "jsonl"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			b, registry := newRegistryBench(t, format, "SPOUT_SCHEMA_REGISTRY_KEYS=decode", "SPOUT_RECORD_FILTER=key != k1", "SPOUT_FILE_COMPRESSION=none",
				"SPOUT_FILE_PATH={topic}/{key}/{partition}-{first_offset}.{ext}")
			registry.SeedSchema("t-key", 1, 21, sr.Schema{Schema: `"string"`})
			registry.SeedSchema("t-key", 2, 22, sr.Schema{Schema: `{"type":"record","name":"Order","fields":[{"name":"k","type":"int"}]}`})
			b.produceRegistered(20)
			for _, records := range b.log.partitions {
				for i := range records {
					switch n := records[i].Offset; {
					case n == 10:
						records[i].Key = nil
					case n == 19 || n == 18:
						records[i].Key = append([]byte("\x00\x00\x00\x00\x16"), byte(2*n))
					case n == 17:
						records[i].Key = []byte("no header")
					default:
						records[i].Key = append([]byte("\x00\x00\x00\x00\x15\x04k"), byte('0'+n%10))
					}
				}
			}
			before := b.expect
			b.expect = func(e *audit.Entry) {
				raw := e.Value
				before(e)
				n, key := e.Offset, fmt.Sprintf(`"k%d"`, e.Offset%10)
				switch n {
				case 17:
					e.Fate, e.Value = audit.DeadLettered, raw
				case 1, 11:
					e.Fate = audit.Filtered
				case 10:
					key = ""
				case 18, 19:
					key = fmt.Sprintf(`{"k":%d}`, n)
				}
				switch {
				case e.Fate != audit.Written || format == "jsonl":
				case key == "":
				case n%5 == 3:
					e.Value = `{"_key":` + key + `}`
				default:
					e.Value = `{"_key":` + key + `,` + e.Value[1:]
				}
			}
			b.ingestAll()
			b.audit()
			paths := strings.Join(b.headFiles(), " ")
			for _, part := range []string{"/t/k2/", "/t/__HIVE_DEFAULT_PARTITION__/", "/t/%7B%22k%22%3A18%7D/", "/_schemas/21.avsc", "/_schemas/22.avsc"} {
				if !strings.Contains(paths, part) {
					t.Errorf("no file %s among %s", part, paths)
				}
			}
			if format != "jsonl" {
				return
			}
			last, _, err := ingest.LastCommit(t.Context(), b.branch())
			if err != nil {
				t.Fatal(err)
			}
			paths = paths[strings.Index(paths, "/t/k2/"):]
			content, err := b.branch().ReadFile(t.Context(), last.ID, strings.Fields(paths)[0])
			if err != nil || !strings.Contains(string(content), `"key":"k2","value":{"o":2,"note":"n"}}`) {
				t.Errorf("%s, %v", content, err)
			}
		})
	}
}

// TestRegistryAway: the runner waits for the registry, and goes on; what was
// read before is committed meanwhile. Nothing is refused because of it.
func TestRegistryAway(t *testing.T) {
	t.Parallel()
	b, registry := newRegistryBench(t, "avro", "SPOUT_BATCH_MAX_AGE=50ms")
	b.produceRegistered(40)
	var asked atomic.Int64
	answers := []int{http.StatusServiceUnavailable, http.StatusUnauthorized, http.StatusNotFound} // the last from a proxy
	registry.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		n := asked.Add(1)
		if strings.HasSuffix(r.URL.Path, "/12") && n < 6 {
			http.Error(w, "<html>", answers[n%3])
			return true
		}
		return false
	})
	b.ingestAll()
	if report := b.audit(); report.DeadLettered != 24 || report.Records != 96 {
		t.Error(report)
	}
	if asked.Load() < 6 {
		t.Errorf("the registry was asked %d times", asked.Load())
	}
	commits := b.server.Commits(project, pipeline, "master")
	if len(commits) < 4 {
		t.Errorf("%d commits: what was read before has waited too", len(commits))
	}
}

// TestUnknownSchema: a schema that the registry does not know is a matter of
// policy, not of waiting.
func TestUnknownSchema(t *testing.T) {
	t.Parallel()
	b, _ := newRegistryBench(t, "parquet")
	b.produceRegistered(1)
	for _, records := range b.log.partitions {
		records[0].Value = []byte("\x00\x00\x00\x00\x63rest")
	}
	b.expect = func(e *audit.Entry) { e.Fate = audit.DeadLettered }
	b.ingestAll()
	b.audit()
	paths := b.headFiles()
	last, _, err := ingest.LastCommit(t.Context(), b.branch())
	if err != nil || len(paths) != 3 {
		t.Fatal(paths, err)
	}
	content, err := b.branch().ReadFile(t.Context(), last.ID, paths[0])
	if err != nil || !strings.Contains(string(content), `"reason":"the registry does not know the schema 99"`) {
		t.Errorf("%s (%v)", content, err)
	}

	b, _ = newRegistryBench(t, "avro", "SPOUT_RECORD_ON_REFUSED=stop")
	b.settings.Record.OnRefused = "stop"
	b.produceRegistered(5)
	_, ended := b.run()
	if err := <-ended; !source.IsStop(err) || !strings.Contains(err.Error(), "does not begin with a zero byte") {
		t.Error(err)
	}
}

// TestTombstonesFirst: before a topic's first value, records without one have
// the columns of the newest schema that the registry has for it.
func TestTombstonesFirst(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		b, registry := newRegistryBench(t, "parquet")
		if known {
			registry.SeedSchema("t-value", 1, 13, sr.Schema{Schema: `{"type":"record","name":"Other","fields":[{"name":"x","type":"int"}]}`})
		}
		b.log.produce(5)
		for _, records := range b.log.partitions {
			for i := range records {
				records[i].Value = nil
			}
		}
		b.expect = func(e *audit.Entry) { e.Value = "" }
		b.ingestAll()
		if report := b.audit(); report.Records != 15 {
			t.Error(report)
		}
		if paths := strings.Join(b.headFiles(), " "); strings.Contains(paths, "/_schemas/13.avsc") != known {
			t.Errorf("known: %v, files %s", known, paths)
		}
	}
}
