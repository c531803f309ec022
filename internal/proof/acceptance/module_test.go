// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// copyModule copies the module kafka-ingest to dir.
func copyModule(t *testing.T, dir string) {
	t.Helper()
	root, err := artifacts.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "examples", "modules", "kafka-ingest"))); err != nil {
		t.Fatal(err)
	}
}

// TestModuleRealTests runs the module's own tests for a real Pachyderm, as its
// README says.
func TestModuleRealTests(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	broker, err := kafkatest.Start(1, kafkatest.Topic{Name: "orders", Partitions: 3}, kafkatest.Topic{Name: "refunds", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Stop)
	dir := t.TempDir()
	copyModule(t, dir)
	w, err := built.cli.NewWorkspace(dir, built.provider, providerVersion, map[string]string{"PACHD_ADDRESS": c.Address()})
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"init", "-test-directory=tests/real"},
		{"test", "-test-directory=tests/real", "-no-color", fmt.Sprintf("-var=brokers=[%s]", broker.AddressList()), "-var=image=" + image, "-var=runner={http_port=0}"},
	} {
		out, err := w.Command(t.Context(), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", built.cli.Product, args[0], err, out)
		}
		t.Logf("%s", out)
	}
	if list, err := c.Pachctl(t.Context(), "list", "project"); err != nil || strings.Contains(list, "kafka-ingest-trial") {
		t.Errorf("something is left: %v\n%s", err, list)
	}
}

// shard is a spout that reads a share of a topic's partitions, from the
// offsets on at which its set of spouts begins.
type shard struct {
	settings.Shard
	*audit.Produced
	name   string
	branch *pachyderm.Branch
	starts map[source.Stream]int64
}

// Starts implements [audit.Truth].
func (s *shard) Starts() map[source.Stream]int64 { return maps.Clone(s.starts) }

// sharded is a topic and the spouts that share it.
type sharded struct {
	t          *testing.T
	cluster    *cluster.Cluster
	broker     *kafkatest.Broker
	client     *pachyderm.Client
	project    string
	partitions int32
	sent       int
}

// shards are the spouts of a set of so many that begins now.
func (s *sharded) shards(prefix string, count int) []*shard {
	var all []*shard
	for i := range count {
		one := &shard{Shard: settings.Shard{Index: i + 1, Count: count}, Produced: audit.NewProduced(audit.OffsetsOf("kafka")),
			name: fmt.Sprintf("%srecords-%d-of-%d", prefix, i+1, count), starts: map[source.Stream]int64{}}
		one.branch = s.client.Branch(s.project, one.name, "master")
		for p := range s.partitions {
			if one.Owns("records", p) {
				// Records go round the partitions.
				one.starts[source.Stream{Name: "records", Partition: p}] = int64((s.sent + int(s.partitions-1-p)) / int(s.partitions))
			}
		}
		all = append(all, one)
	}
	return all
}

// produce sends n records, and notes for each which of the shards is to have it.
func (s *sharded) produce(n int, shards []*shard) {
	s.t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: "records", Partition: int32(s.sent) % s.partitions, Value: fmt.Appendf(nil, `{"n":%d}`, s.sent)}
		s.sent++
	}
	if err := s.broker.Produce(s.t.Context(), func(topic string, partition int32, offset int64, value string) {
		for _, one := range shards {
			if one.Owns(topic, partition) {
				one.Add(source.Stream{Name: topic, Partition: partition}, offset, value)
			}
		}
	}, records...); err != nil {
		s.t.Fatal(err)
	}
}

// audit waits until each of the shards holds its records, and counts them.
func (s *sharded) audit(shards []*shard) (records int) {
	s.t.Helper()
	for _, one := range shards {
		await(s.t, one.name+" holds all of its records", func() (bool, error) {
			last, d, err := ingest.LastCommit(s.t.Context(), one.branch)
			if err != nil || last == nil {
				return false, err
			}
			return one.Reached(d.Position)
		})
		report, err := audit.Branch(s.t.Context(), one.branch, settings.LayoutOf("kafka", ""), one)
		if err != nil {
			s.t.Fatal(err)
		}
		if !report.OK() || report.Records == 0 {
			s.t.Errorf("%s: %s", one.name, report)
		}
		records += int(report.Records)
	}
	return records
}

// counted waits until the pipeline downstream has counted all records.
func (s *sharded) counted() {
	s.t.Helper()
	await(s.t, "the downstream pipeline has counted all records", func() (bool, error) {
		text, err := s.cluster.Pachctl(s.t.Context(), "glob", "file", "count@master:/*", "--project", s.project)
		if err != nil {
			return false, err
		}
		counts := 0
		for _, name := range regexp.MustCompile(`/\S+-records-\d+-of-\d+-\d+`).FindAllString(text, -1) {
			text, err := s.cluster.Pachctl(s.t.Context(), "get", "file", "count@master:"+name, "--project", s.project)
			if err != nil {
				return false, err
			}
			n, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil {
				return false, err
			}
			counts += n
		}
		return counts == s.sent, fmt.Errorf("it has counted %d in %s", counts, text)
	})
}

// TestShards reads a topic by several spouts. Each holds every record of its
// partitions once, in order, and all of them together every record; also when
// others take over, as the module's README says.
func TestShards(t *testing.T) {
	t.Parallel()
	const partitions = 7
	c := cluster.Start(t)
	broker, err := kafkatest.Start(1, kafkatest.Topic{Name: "records", Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Stop)
	s := &sharded{t: t, cluster: c, broker: broker, client: newClient(t, c), project: newProject(t, c), partitions: partitions}
	w := newWorkspace(t, c)
	copyModule(t, filepath.Join(w.Dir, "kafka-ingest"))
	apply := func(config string) {
		t.Helper()
		if err := applyConfig(t.Context(), w, requirements+config); err != nil {
			t.Fatal(err)
		}
		planIsEmpty(t, w)
	}
	apply(s.module("old", "shards = 3", false) + s.downstream())
	t.Cleanup(func() {
		if err := w.Destroy(context.Background()); err != nil {
			t.Errorf("destroy: %v", err)
		}
	})
	old := s.shards("old-", 3)
	s.produce(2000, old)
	if got := s.audit(old); got != s.sent {
		t.Errorf("the shards hold %d records of %d", got, s.sent)
	}
	s.counted()

	// Another number of shards is refused as long as there are data, and
	// nothing of it is done.
	err = applyConfig(t.Context(), w, requirements+s.module("old", "shards = 4", false)+s.downstream())
	expectMessage(t, err, "holds data", "force_destroy")
	if list, err := c.Pachctl(t.Context(), "list", "pipeline", "--project", s.project); err != nil || strings.Contains(list, "of-4") {
		t.Errorf("some of it was done: %v\n%s", err, list)
	}

	// Others take over where they stand.
	apply(s.module("old", "shards = 3, paused = true", false))
	young := s.shards("young-", 4)
	s.produce(500, young)
	const begin = `shards = 4, start_offsets = merge([for s in data.pachyderm_spout.old : s.offsets["records"]]...)`
	apply(s.module("old", "shards = 3, paused = true", false) + s.reached("old") + s.module("young", begin, false))
	s.produce(500, young)
	if got := s.audit(old) + s.audit(young); got != s.sent {
		t.Errorf("the shards hold %d records of %d", got, s.sent)
	}
	apply(s.module("old", "shards = 3, paused = true", true) + s.reached("old") + s.module("young", begin, true))
}

// module is an instance of the module, whose name is the prefix, too.
func (s *sharded) module(name, topic string, force bool) string {
	return fmt.Sprintf(`
module %[1]q {
  source        = "./kafka-ingest"
  project       = %[2]q
  name_prefix   = "%[1]s-"
  brokers       = [%[3]s]
  topics        = { records = { %[4]s } }
  batch         = { max_age = "300ms" }
  file          = { format = "jsonl" }
  image         = %[5]q
  runner        = { http_port = 0 }
  force_destroy = %[6]t
}
`, name, s.project, s.broker.AddressList(), topic, image, force)
}

// reached looks how far the spouts of a module have read.
func (s *sharded) reached(module string) string {
	return fmt.Sprintf(`
data "pachyderm_spout" %[1]q {
  for_each = module.%[1]s.repos
  project  = %[2]q
  name     = each.value
}
`, module, s.project)
}

// downstream counts the records of each partition of each repo.
func (s *sharded) downstream() string {
	return fmt.Sprintf(`
resource "pachyderm_pipeline" "count" {
  project       = %[1]q
  name          = "count"
  force_destroy = true
  spec = jsonencode({
    transform         = { image = "debian:12", cmd = ["/bin/sh"], stdin = ["for p in /pfs/*-records-*/records/*; do cat $p/* | wc -l > /pfs/out/$(basename $(dirname $(dirname $p)))-$(basename $p); done"] }
    input             = { union = [for s in module.old.sources["records"] : { pfs = merge(s, { name = s.repo, glob = "/*/*" }) }] }
    resource_requests = { cpu = 0.1, memory = "64M" }
  })
}
`, s.project)
}
