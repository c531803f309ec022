// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package brokers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/logtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka"
)

const project, pipeline = "default", "spout"

// spout is an output branch in a Pachyderm of this process, and runners that
// write it.
type spout struct {
	t        *testing.T
	server   *pachtest.Server
	branch   *pachyderm.Branch
	settings settings.Settings
	logs     *logtest.Log
	runs     int
	stop     context.CancelFunc
	ended    chan error
}

func newSpout(t *testing.T, version string, k settings.Kafka) *spout {
	t.Helper()
	s := &spout{t: t, server: pachtest.New(t, pachtest.WithVersion(version)), settings: settings.Default(), logs: logtest.New(patience)}
	s.settings.Kafka = k
	s.settings.File.Format = "jsonl"
	s.settings.Batch.MaxRecords = 500
	s.settings.Batch.MaxAge = settings.Duration(200 * time.Millisecond)
	client := s.connect(s.server.Address())
	s.branch = client.Branch(project, pipeline, "master")
	if _, err := client.PPS.CreatePipeline(t.Context(), &pps.CreatePipelineRequest{
		Pipeline:  &pps.Pipeline{Project: &pfs.Project{Name: project}, Name: pipeline},
		Transform: &pps.Transform{Image: "runner", Cmd: []string{"/spout-runner"}}, Spout: &pps.Spout{},
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the runners:\n%s", s.logs)
		}
	})
	return s
}

func (s *spout) connect(address string) *pachyderm.Client {
	s.t.Helper()
	parsed, err := pachyderm.ParseAddress(address)
	if err != nil {
		s.t.Fatal(err)
	}
	client, err := pachyderm.Connect(pachyderm.Options{Address: parsed, UserAgent: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { client.Close() }) //nolint:errcheck // the test is over
	return client
}

// start starts a runner.
func (s *spout) start() {
	s.t.Helper()
	s.runs++
	client := s.connect(s.server.Sidecar(project, pipeline))
	log := hclog.New(&hclog.LoggerOptions{Name: fmt.Sprint("runner ", s.runs), Level: hclog.Debug, Output: s.logs})
	in, err := ingest.New(ingest.Config{
		Settings: s.settings, Client: client, Branch: client.Branch(project, pipeline, "master"),
		NewSource: func() (source.Source, error) {
			return kafka.New(s.settings.Kafka, ingest.SourceShare(s.settings), log), nil
		},
		Writer: fmt.Sprint("runner-", s.runs), Log: log, Metrics: ingest.NewMetrics(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	s.t.Cleanup(cancel)
	s.stop, s.ended = cancel, make(chan error, 1)
	go func() { s.ended <- in.Run(ctx) }()
}

// restart ends the runner wherever it is, and starts another.
func (s *spout) restart() {
	s.t.Helper()
	s.stop()
	if err := <-s.ended; err == nil {
		s.t.Error("the runner ended without an error")
	}
	s.start()
}

// audit waits until all that topics hold for readers of committed records is
// in the branch, and holds every commit against it.
func (s *spout) audit(topics ...*topic) *audit.Report {
	s.t.Helper()
	truth := audit.NewProduced(audit.OffsetsOf("kafka"))
	for _, o := range topics {
		for _, one := range o.expected() {
			truth.Add(one.Stream, one.Offset, string(one.Value))
		}
	}
	return s.auditAgainst(truth)
}

// auditAgainst waits until the branch holds all of truth, and holds every
// commit against it.
func (s *spout) auditAgainst(truth *audit.Produced) *audit.Report {
	s.t.Helper()
	ctx := testContext(s.t)
	await(s.t, "all records are in commits", func() bool {
		select {
		case err := <-s.ended:
			s.t.Fatalf("the runner has ended: %v", err)
		default:
		}
		last, description, err := ingest.LastCommit(ctx, s.branch)
		if err != nil {
			s.t.Fatal(err)
		}
		if last == nil {
			return false
		}
		reached, err := truth.Reached(description.Position)
		if err != nil {
			s.t.Fatal(err)
		}
		return reached
	})
	report, err := audit.Branch(ctx, s.branch, settings.LayoutOf("kafka", ""), truth)
	if err != nil {
		s.t.Fatal(err)
	}
	if !report.OK() {
		s.t.Fatalf("%s", report)
	}
	s.t.Log(report)
	return report
}

// transactions writes records to some partitions, in transactions that commit
// and abort, and returns how many there were by now.
func (x *transaction) transactions(random *rand.Rand, partitions int32, number int) int {
	x.t.Helper()
	for range 20 {
		for partition := range partitions {
			some := numbered(partition, number, 1+random.IntN(40))
			number += len(some)
			x.send(some...)
		}
		x.end(random.IntN(3) > 0)
		x.begin()
	}
	return number
}

// TestRunner runs the whole runner while transactions commit and abort, and
// ends and starts it meanwhile.
func TestRunner(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2.6.0", "2.11.6"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			c := single.get(t)
			const partitions = 3
			o := newTopic(t, c, partitions, nil)
			s := newSpout(t, version, readerSettings(c, o))
			s.start()
			random := rand.New(rand.NewPCG(1, uint64(len(version))))
			x := o.newTransaction("x", time.Minute)
			number := 0
			for range 5 {
				number = x.transactions(random, partitions, number)
				s.restart()
			}
			x.end(false)
			o.finish()
			if report := s.audit(o); report.Records == 0 || report.Commits < 3 {
				t.Errorf("there is too little to audit: %s", report)
			}
		})
	}
}

// TestRunnerWhileBrokersDie kills brokers under the whole runner.
func TestRunnerWhileBrokersDie(t *testing.T) {
	c := triple.get(t)
	const partitions = 3
	o := newTopic(t, c, partitions, config{"min.insync.replicas": "2"})
	s := newSpout(t, "2.6.0", readerSettings(c, o))
	s.start()
	random := rand.New(rand.NewPCG(1, 1))
	x := o.newTransaction("x", time.Minute)
	number := 0
	for _, b := range c.Brokers() {
		number = x.transactions(random, partitions, number)
		s.restart()
		b.Kill()
		number = x.transactions(random, partitions, number)
		if err := b.Start(testContext(t)); err != nil {
			t.Fatal(err)
		}
		o.awaitInSync()
	}
	x.end(false)
	o.finish()
	if report := s.audit(o); report.Records == 0 || report.Commits < 3 {
		t.Errorf("there is too little to audit: %s", report)
	}
}
