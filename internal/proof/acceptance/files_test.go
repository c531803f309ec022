// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestParquetByField writes Parquet files into a folder per value of a field,
// whatever that value is, while the runner is killed.
func TestParquetByField(t *testing.T) {
	t.Parallel()
	s := newSpout(t, 3)
	s.apply(strings.Replace(s.config(""), `file  = { format = "jsonl" }`,
		`file = { format = "parquet", compression = "zstd", path = "{topic}/country={value:country}/{partition}-{first_offset}.{ext}" }`, 1))
	folders := map[string]string{"DE": "DE", "a/../b*?": "a%2F..%2Fb%2A%3F", "..": "%2E.", "grün": "gr%C3%BCn", "": "%empty"}
	countries := []string{"DE", "a/../b*?", "..", "grün", ""}
	for round := range 4 {
		s.awaitCode()
		records := make([]*kgo.Record, 2000)
		for i := range records {
			records[i] = &kgo.Record{Topic: "records", Partition: int32(i % 3), Value: fmt.Appendf(nil, `{"n":%d,"country":%q}`, i, countries[i%len(countries)])}
		}
		err := s.broker.Produce(t.Context(), func(topic string, partition int32, offset int64, value string) {
			s.produced.Add(source.Stream{Name: topic, Partition: partition}, offset, value)
		}, records...)
		if err != nil {
			t.Fatal(err)
		}
		if round%2 == 0 {
			s.kill(func() error { return s.cluster.KillUserCode(s.project, s.name, syscall.SIGKILL) })
		}
	}
	s.awaitAll()
	s.audit()
	last, _, err := ingest.LastCommit(t.Context(), s.branch)
	if err != nil {
		t.Fatal(err)
	}
	files, err := s.branch.Files(t.Context(), last.ID)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, f := range files {
		for country, folder := range folders {
			if strings.HasPrefix(f.Path, "/records/country="+folder+"/0") && strings.HasSuffix(f.Path, ".parquet") {
				found[country]++
			}
		}
	}
	if len(found) != len(folders) {
		t.Errorf("files per country: %v", found)
	}
}
