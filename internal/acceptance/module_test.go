// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/terraformcli"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka"
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

// shard is a spout that reads a share of a topic's partitions.
type shard struct {
	settings.Shard
	name     string
	branch   *pachyderm.Branch
	produced *audit.Produced
}

// TestShards reads a topic by several spouts. Each holds every record of its
// partitions once, in order, and all of them together every record.
func TestShards(t *testing.T) {
	t.Parallel()
	const partitions, count = 7, 3
	c := cluster.Start(t)
	broker, err := kafkatest.Start(1, kafkatest.Topic{Name: "records", Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Stop)
	project, client, w := newProject(t, c), newClient(t, c), newWorkspace(t, c)
	var shards []shard
	for i := range count {
		s := shard{Shard: settings.Shard{Index: i + 1, Count: count}, name: fmt.Sprintf("records-%d-of-%d", i+1, count), produced: audit.NewProduced(kafka.Offsets)}
		s.branch = client.Branch(project, s.name, "master")
		shards = append(shards, s)
	}
	copyModule(t, filepath.Join(w.Dir, "kafka-ingest"))
	config := func(shards int, force bool) string { return shardsConfig(project, broker, shards, force) }
	if err := applyConfig(t.Context(), w, config(count, false)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { destroyShards(t, w, config(count, true)) })
	planIsEmpty(t, w)

	sent := 0
	produce := func(n int) {
		t.Helper()
		records := make([]*kgo.Record, n)
		for i := range records {
			sent++
			records[i] = &kgo.Record{Topic: "records", Partition: int32(sent % partitions), Value: fmt.Appendf(nil, `{"n":%d}`, sent)}
		}
		if err := broker.Produce(t.Context(), func(topic string, partition int32, offset int64, value string) {
			for _, s := range shards {
				if s.Owns(topic, partition) {
					s.produced.Add(source.Stream{Topic: topic, Partition: partition}, offset, value)
				}
			}
		}, records...); err != nil {
			t.Fatal(err)
		}
	}
	checkShards := func() {
		t.Helper()
		total := int64(0)
		for _, s := range shards {
			await(t, s.name+" holds all of its records", 2*time.Minute, func() (bool, error) {
				last, d, err := ingest.LastCommit(t.Context(), s.branch)
				if err != nil || last == nil {
					return false, err
				}
				return s.produced.Reached(d.Position)
			})
			report, err := audit.Branch(t.Context(), s.branch, audit.Decode, s.produced)
			if err != nil {
				t.Fatal(err)
			}
			if !report.OK() || report.Records == 0 {
				t.Errorf("%s: %s", s.name, report)
			}
			total += report.Records
		}
		if total != int64(sent) {
			t.Errorf("the shards hold %d records of %d", total, sent)
		}
	}
	produce(2000)
	checkShards()

	// A pipeline reads all of them as one input: a count for each partition.
	await(t, "the downstream pipeline has counted all records", 2*time.Minute, func() (bool, error) {
		counts := 0
		for p := range partitions {
			text, err := c.Pachctl(t.Context(), "get", "file", fmt.Sprintf("count@master:/%05d", p), "--project", project)
			if err != nil {
				return false, err
			}
			n, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil {
				return false, err
			}
			counts += n
		}
		return counts == sent, fmt.Errorf("it has counted %d", counts)
	})

	// Another number of shards is refused as long as there are data, and
	// nothing of it is done.
	err = applyConfig(t.Context(), w, config(count+1, false))
	expectMessage(t, err, "holds data", "force_destroy")
	if list, err := c.Pachctl(t.Context(), "list", "pipeline", "--project", project); err != nil || strings.Contains(list, fmt.Sprintf("of-%d", count+1)) {
		t.Errorf("some of it was done: %v\n%s", err, list)
	}
	if err := w.Write("main.tf", config(count, false)); err != nil {
		t.Fatal(err)
	}
	planIsEmpty(t, w)
	produce(500)
	checkShards()
}

func shardsConfig(project string, broker *kafkatest.Broker, shards int, force bool) string {
	return requirements + fmt.Sprintf(`
module "ingest" {
  source        = "./kafka-ingest"
  project       = %[1]q
  brokers       = [%[2]s]
  topics        = { records = { shards = %[3]d } }
  batch         = { max_age = "300ms" }
  file          = { format = "jsonl" }
  image         = %[4]q
  runner        = { http_port = 0 }
  force_destroy = %[5]t
}
resource "pachyderm_pipeline" "count" {
  project       = %[1]q
  name          = "count"
  force_destroy = true
  spec = jsonencode({
    transform         = { image = "debian:12", cmd = ["/bin/sh"], stdin = ["for p in /pfs/records/records/*; do find -L $p -type f -exec cat {} + | wc -l > /pfs/out/$(basename $p); done"] }
    input             = { union = [for s in module.ingest.sources["records"] : { pfs = merge(s, { glob = "/*/*" }) }] }
    resource_requests = { cpu = 0.1, memory = "64M" }
  })
}
`, project, broker.AddressList(), shards, image, force)
}

func destroyShards(t *testing.T, w *terraformcli.Workspace, config string) {
	if err := applyConfig(context.Background(), w, config); err != nil {
		t.Error(err)
	}
	if err := w.Destroy(context.Background()); err != nil {
		t.Errorf("destroy: %v", err)
	}
}
