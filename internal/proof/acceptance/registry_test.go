// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// versions are two versions of a schema.
var versions = []string{
	`{"type":"record","name":"Order","fields":[{"name":"n","type":"long"}]}`,
	`{"type":"record","name":"Order","fields":[{"name":"n","type":"long"},{"name":"note","type":["null","string"]}]}`,
}

// TestSchemaRegistry reads values with schemas of a registry that wants a
// password, which Terraform puts into a secret.
func TestSchemaRegistry(t *testing.T) {
	t.Parallel()
	registry := srfake.New(srfake.WithAuth("Basic aW5nZXN0OnBsYW50ZWQtcGFzc3dvcmQ=")) // ingest:planted-password
	t.Cleanup(registry.Close)
	ids := []int{71, 72}
	for i, text := range versions {
		registry.SeedSchema("records-value", i+1, ids[i], sr.Schema{Schema: text})
	}
	for _, format := range []string{"avro", "parquet"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := newSpout(t, 2)
			s.applyRegistry(format, registry.URL(), `credentials_secret = { name = pachyderm_secret.registry.name }`, fmt.Sprintf(`
resource "pachyderm_secret" "registry" {
  name            = "%s-registry"
  data_wo         = { username = "ingest", password = "planted-password" }
  data_wo_version = 1
}`, s.project))
			s.ingestWithSchemas(ids)
		})
	}
}

// applyRegistry has the spout take its schemas from a registry. More is added
// to the attribute and to the configuration.
func (s *spout) applyRegistry(format, url, more, beside string) {
	s.t.Helper()
	s.apply(strings.Replace(s.config(""), `file  = { format = "jsonl" }`, fmt.Sprintf(`
  file            = { format = %q, compression = "snappy" }
  schema_registry = { url = %q, %s }`, format, url, more), 1) + beside)
	planIsEmpty(s.t, s.workspace)
}

// ingestWithSchemas produces values of both versions, while the runner is
// killed, and checks all commits and the schemas in them.
func (s *spout) ingestWithSchemas(ids []int) {
	s.t.Helper()
	for round := range 4 {
		s.awaitCode()
		s.produceWithSchemas(ids[:1+round/2], 500)
		if round%2 == 0 {
			s.kill(func() error { return s.cluster.KillUserCode(s.project, s.name, syscall.SIGKILL) })
		} else {
			s.awaitAll()
		}
	}
	s.audit()
	s.checkSchemas(ids)
}

// produceWithSchemas sends n values of the schemas in turn, and some that are null.
func (s *spout) produceWithSchemas(ids []int, n int) {
	s.t.Helper()
	records := make([]*kgo.Record, n)
	rows := map[string]string{} // what files should hold, by the value
	for i := range records {
		s.sent++
		records[i] = &kgo.Record{Topic: "records", Partition: int32(i) % s.partitions}
		if i%10 == 9 {
			continue // a tombstone
		}
		version := i % len(ids)
		value, err := avro.MustParse(versions[version]).Encode(map[string]any{"n": int64(s.sent), "note": "hello"})
		if err != nil {
			s.t.Fatal(err)
		}
		records[i].Value = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(ids[version])), value...)
		rows[string(records[i].Value)] = []string{fmt.Sprintf(`{"n":%d}`, s.sent), fmt.Sprintf(`{"n":%d,"note":"hello"}`, s.sent)}[version]
	}
	err := s.broker.Produce(s.t.Context(), func(topic string, partition int32, offset int64, value string) {
		s.produced.Add(source.Stream{Name: topic, Partition: partition}, offset, rows[value])
	}, records...)
	if err != nil {
		s.t.Fatal(err)
	}
}

// checkSchemas reads the schemas in the commit with the first file of each.
func (s *spout) checkSchemas(ids []int) {
	s.t.Helper()
	seen, checked := map[string]bool{}, map[int]bool{}
	for _, commit := range s.goodCommits() {
		files, err := s.branch.Files(s.t.Context(), commit.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, f := range files {
			if seen[f.Path] || strings.HasPrefix(f.Path, "/_") {
				continue
			}
			seen[f.Path] = true
			id := s.schemaOf(commit.ID, f.Path)
			if id == 0 || checked[id] { // a file of tombstones has no schema
				continue
			}
			checked[id] = true
			version := slices.Index(ids, id)
			if version < 0 {
				s.t.Fatalf("%s has the schema %d", f.Path, id)
			}
			if text, err := s.branch.ReadFile(s.t.Context(), commit.ID, fmt.Sprintf("/_schemas/%d.avsc", id)); err != nil || string(text) != versions[version] {
				s.t.Errorf("schema %d is %s in the commit of its first file (%v)", id, text, err)
			}
		}
	}
	if len(checked) != len(ids) {
		s.t.Errorf("there are files with the schemas %v, should be with %v", checked, ids)
	}
}

// goodCommits lists the commits that were not rolled back, the oldest first.
func (s *spout) goodCommits() (commits []*pachyderm.Commit) {
	s.t.Helper()
	last, _, err := ingest.LastCommit(s.t.Context(), s.branch)
	if err == nil {
		err = s.branch.Ancestry(s.t.Context(), last.ID, func(c *pachyderm.Commit) bool {
			if c.Error == "" {
				commits = append(commits, c)
			}
			return true
		})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Reverse(commits)
	return commits
}

// schemaProperty is where Avro and Parquet files say the number of their
// schema; between the name and the number is the number's length.
var schemaProperty = regexp.MustCompile(`spout\.schema\.id[^0-9]{1,4}([0-9]+)`)

func (s *spout) schemaOf(commit, path string) int {
	s.t.Helper()
	content, err := s.branch.ReadFile(s.t.Context(), commit, path)
	if err != nil {
		s.t.Fatal(err)
	}
	match := schemaProperty.FindSubmatch(content)
	if match == nil {
		return 0
	}
	id, err := strconv.Atoi(string(match[1]))
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}
