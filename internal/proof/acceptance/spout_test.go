// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/terraformcli"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

const requirements = `
terraform {
  required_providers {
    pachyderm = { source = "spoutworks/pachyderm" }
  }
}
`

// newProject makes a project that lasts as long as the cluster.
func newProject(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(strings.TrimPrefix(t.Name(), "Test")))
	if _, err := c.Pachctl(t.Context(), "create", "project", name); err != nil {
		t.Fatal(err)
	}
	return name
}

// newWorkspace prepares Terraform with the built provider.
func newWorkspace(t *testing.T, c *cluster.Cluster) *terraformcli.Workspace {
	t.Helper()
	w, err := built.cli.NewWorkspace(t.TempDir(), built.provider, providerVersion, map[string]string{"PACHD_ADDRESS": c.Address()})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// spout is a Kafka spout that a test applies, feeds and audits.
type spout struct {
	t             *testing.T
	cluster       *cluster.Cluster
	broker        *kafkatest.Broker
	workspace     *terraformcli.Workspace
	produced      *audit.Produced
	branch        *pachyderm.Branch
	project, name string
	partitions    int32
	random        *rand.Rand
	sent          int
}

// newSpout starts a broker and applies a spout that reads it in small batches.
func newSpout(t *testing.T, partitions int32) *spout {
	t.Helper()
	c := cluster.Start(t)
	broker, err := kafkatest.Start(1, kafkatest.Topic{Name: "records", Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Stop)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := &spout{t: t, cluster: c, broker: broker, workspace: newWorkspace(t, c), produced: audit.NewProduced(audit.OffsetsOf("kafka")),
		project: newProject(t, c), name: "spout", partitions: partitions, random: rand.New(rand.NewPCG(seed, 0))}
	s.branch = newClient(t, c).Branch(s.project, s.name, "master")
	s.apply(s.config(""))
	t.Cleanup(s.destroy)
	return s
}

func newClient(t *testing.T, c *cluster.Cluster) *pachyderm.Client {
	t.Helper()
	address, err := pachyderm.ParseAddress(c.Address())
	if err != nil {
		t.Fatal(err)
	}
	client, err := pachyderm.Connect(pachyderm.Options{Address: address, UserAgent: "acceptance"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() }) //nolint:errcheck // the test is over
	return client
}

// config is the spout's configuration with more attributes.
func (s *spout) config(more string) string {
	return requirements + fmt.Sprintf(`
resource "pachyderm_spout" "this" {
  project       = %q
  name          = %q
  image         = %q
  force_destroy = true
  kafka = {
    brokers = [%s]
    topics  = ["records"]
  }
  batch = { max_age = "300ms", max_bytes = "256KiB" }
  file  = { format = "jsonl" }
  %s
}
`, s.project, s.name, image, s.broker.AddressList(), more)
}

func (s *spout) apply(config string) {
	s.t.Helper()
	if err := applyConfig(s.t.Context(), s.workspace, config); err != nil {
		s.t.Fatal(err)
	}
}

// applyConfig writes and applies a configuration.
func applyConfig(ctx context.Context, w *terraformcli.Workspace, config string) error {
	if err := w.Write("main.tf", config); err != nil {
		return err
	}
	if err := w.Init(ctx); err != nil {
		return err
	}
	return w.Apply(ctx)
}

func (s *spout) destroy() {
	if s.t.Failed() {
		if path, err := s.cluster.UserLogPath(s.project, s.name); err == nil {
			if text, err := os.ReadFile(path); err == nil {
				s.t.Logf("end of the runner's log:\n%s", text[max(0, len(text)-8000):])
			}
		}
	}
	if err := s.workspace.Destroy(context.Background()); err != nil {
		s.t.Errorf("destroy: %v", err)
	}
}

// produce sends n records of random sizes to random partitions.
func (s *spout) produce(n int) {
	s.t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		s.sent++
		records[i] = &kgo.Record{Topic: "records", Partition: s.random.Int32N(s.partitions),
			Value: fmt.Appendf(nil, `{"n":%d,"fill":%q}`, s.sent, strings.Repeat("x", s.random.IntN(120)))}
	}
	err := s.broker.Produce(s.t.Context(), func(topic string, partition int32, offset int64, value string) {
		s.produced.Add(source.Stream{Name: topic, Partition: partition}, offset, value)
	}, records...)
	if err != nil {
		s.t.Fatal(err)
	}
}

// patience is how long a test waits for what takes seconds where nothing else
// runs: no test is about time, and a machine may be busy.
const patience = 6 * time.Minute

// await polls until a condition of the outside world holds.
func await(t *testing.T, what string, holds func() (bool, error)) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	var last error
	for {
		ok, err := holds()
		if ok {
			return
		}
		last = err
		select {
		case <-deadline:
			t.Fatalf("not within %s: %s (%v)", patience, what, last)
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-ticker.C:
		}
	}
}

// awaitCode waits until the runner's process is there.
func (s *spout) awaitCode() {
	s.t.Helper()
	await(s.t, "the runner runs", func() (bool, error) {
		pids, err := s.cluster.UserCodePIDs(s.project, s.name)
		return len(pids) > 0, err
	})
}

// awaitAll waits until all that was produced is in a finished commit, as long
// as commits keep coming: how many there are to be, and how long each takes on
// a busy machine, is not known.
func (s *spout) awaitAll() {
	s.t.Helper()
	for seen, all := "", false; !all; {
		await(s.t, "all records are in a finished commit, or there is another one", func() (bool, error) {
			last, d, err := ingest.LastCommit(s.t.Context(), s.branch)
			if err != nil || last == nil {
				return false, err
			}
			if all, err = s.produced.Reached(d.Position); err != nil {
				return false, err
			}
			more := last.ID != seen
			seen = last.ID
			return all || more, nil
		})
	}
}

// audit checks every commit and returns the report.
func (s *spout) audit() *audit.Report {
	s.t.Helper()
	report, err := audit.Branch(s.t.Context(), s.branch, settings.LayoutOf("kafka", ""), s.produced)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("produced %d: %s", s.produced.Count(), report)
	if !report.OK() || report.Records != s.produced.Count() {
		s.t.Fatal("the audit has found problems")
	}
	return report
}

// kill signals the runner; that it is not running at the moment is no error.
func (s *spout) kill(kill func() error) (killed bool) {
	s.t.Helper()
	if err := kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Fatal(err)
	} else if err != nil {
		return false
	}
	return true
}
