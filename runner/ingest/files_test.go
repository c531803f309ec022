// SPDX-License-Identifier: Apache-2.0

package ingest_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// layout is a way to make files, and what is to be expected of it.
type layout struct {
	name     string
	settings []string
	expect   func(*audit.Entry)
	folders  []string // some that must be there
}

var layouts = []layout{
	{name: "raw", settings: []string{"SPOUT_FILE_FORMAT=raw", "SPOUT_FILE_COMPRESSION=gzip", "SPOUT_BATCH_MAX_FILES=20"},
		folders: []string{"/t/00002/00000000000000000007-00000000000000000007.bin.gz"}},
	{name: "by value", settings: []string{"SPOUT_FILE_FORMAT=jsonl", "SPOUT_FILE_COMPRESSION=zstd", "SPOUT_BATCH_MAX_FILES=9",
		"SPOUT_FILE_PATH={topic}/o={value:o}/key={key}/{year}/{partition}-{first_offset}.{ext}"},
		folders: []string{"/t/o=3/key=1/2023/00001-"}},
	{name: "by ingestion time", settings: []string{"SPOUT_FILE_FORMAT=jsonl", "SPOUT_FILE_PATH_TIME=ingestion", "SPOUT_FILE_PATH={topic}/{year}/{header:h}/{partition}-{first_offset}.{ext}"},
		folders: []string{"/t/20", "/" + settings.MissingPathValue + "/"}},
	{name: "avro", settings: []string{"SPOUT_FILE_FORMAT=avro", "SPOUT_FILE_COMPRESSION=zstd"},
		folders: []string{"/t/00002/00000000000000000000-00000000000000000009.avro"}},
	{name: "parquet by value", settings: []string{"SPOUT_FILE_FORMAT=parquet", "SPOUT_FILE_COMPRESSION=snappy", "SPOUT_RECORD_MASK=p=redact",
		"SPOUT_FILE_PATH={topic}/o={value:o}/{partition}-{first_offset}.{ext}"},
		expect:  func(e *audit.Entry) { e.Value = fmt.Sprintf(`{"p":"***","o":%d}`, e.Offset) },
		folders: []string{"/t/o=3/00001-00000000000000000003.parquet"}},
	{name: "filtered", settings: []string{"SPOUT_FILE_FORMAT=jsonl", "SPOUT_RECORD_FILTER=value:o in (3, 9, 19, 22, 29, 39, 49) and key in (0, 1, 2)"},
		expect: func(e *audit.Entry) {
			if e.Offset%10 != 9 && e.Offset != 3 && e.Offset != 22 { // the last of each round is kept: others would be in a later commit
				e.Fate = audit.Filtered
			}
		}},
	{name: "fields and masks", settings: []string{"SPOUT_FILE_FORMAT=jsonl", "SPOUT_RECORD_FIELDS=o", "SPOUT_RECORD_MASK=o=redact"},
		expect: func(e *audit.Entry) { e.Value = `{"o":"***"}` }},
	{name: "dead letters", settings: []string{"SPOUT_FILE_FORMAT=raw", "SPOUT_RECORD_MAX_BYTES=14", "SPOUT_RECORD_ON_REFUSED=dead_letter", "SPOUT_RECORD_DEAD_LETTER_FOLDER=rejects"},
		expect: func(e *audit.Entry) {
			if len(e.Value)+1 > 14 {
				e.Fate = audit.DeadLettered
			}
		}, folders: []string{"/rejects/t/00001/"}},
}

// with adds settings.
func (b *bench) with(environ ...string) {
	b.t.Helper()
	for name, value := range b.settings.Environment() {
		environ = append([]string{name + "=" + value}, environ...)
	}
	s, err := settings.Parse(append(environ, "SPOUT_KAFKA_BROKERS=b:1", "SPOUT_KAFKA_TOPICS=t"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.settings = s
}

// TestLayouts: whatever the files look like, each record is in them once, or
// accounted for, also when writers die and calls fail.
func TestLayouts(t *testing.T) {
	t.Parallel()
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "2.6.0")
			b.with(l.settings...)
			b.expect = l.expect
			for i, method := range []string{"CreateFileSet", "AddFileSet", "FinishCommit", "StartCommit"} {
				fault := pachtest.Fault{Method: method, Side: pachtest.Sidecar, Before: status.Error(codes.Unavailable, "the sidecar is going down")}
				if i%2 == 1 {
					fault.Before, fault.LoseReply = nil, true
				}
				b.server.Inject(fault)
				b.log.produce(10)
				stop, ended := b.run()
				waitFor(t, "a commit more", func() bool {
					_, d, err := ingest.LastCommit(t.Context(), b.branch())
					return err == nil && d.Writer == fmt.Sprintf("writer-%d", b.writers) && d.Read > 0
				})
				b.end(stop, ended) // in the middle of what comes next
			}
			b.ingest(10)
			report := b.audit()
			if got := report.Records + report.Filtered + report.DeadLettered; got != 150 {
				t.Errorf("%s: %d records", report, got)
			}
			all := strings.Join(b.headFiles(), " ")
			for _, folder := range l.folders {
				if !strings.Contains(all, folder) {
					t.Errorf("no %s in %s", folder, all)
				}
			}
		})
	}
}

// TestMaxFiles: a batch ends when it has so many files.
func TestMaxFiles(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"SPOUT_FILE_FORMAT=raw", "SPOUT_FILE_PATH={value:o}/{topic}/{partition}/{first_offset}"} {
		b := newBench(t, "2.6.0")
		b.with(setting, "SPOUT_BATCH_MAX_FILES=4", "SPOUT_BATCH_MAX_AGE=1h")
		b.ingest(8) // 24 records
		batches := 0
		for _, c := range b.server.Commits(project, pipeline, "master") {
			d, _, err := spoutcommit.ParseDescription(c.Description)
			if err != nil {
				t.Fatal(err)
			}
			if d.Reason == spoutcommit.ReasonFiles {
				batches++
				if d.Files != 4 || d.Written != 4 {
					t.Errorf("%s: %d files of %d records", setting, d.Files, d.Written)
				}
			}
		}
		if batches != 6 {
			t.Errorf("%s: %d batches", setting, batches)
		}
	}
}

// TestRefusedRecordStops: the default is to ask the operator.
func TestRefusedRecordStops(t *testing.T) {
	t.Parallel()
	b := newBench(t, "2.6.0")
	b.with("SPOUT_RECORD_MAX_BYTES=14")
	b.log.produce(20)
	_, ended := b.run()
	err := <-ended
	if want := "the record of topic t, partition 0, offset 10 cannot be written: it has 15 bytes, more than the 14 that are allowed"; !source.IsStop(err) || !strings.Contains(err.Error(), want) {
		t.Error(err)
	}
}
