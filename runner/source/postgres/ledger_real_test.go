// SPDX-License-Identifier: Apache-2.0

//go:build brokers

package postgres_test

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/postgrescluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/ledger"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/postgres"
)

// Random transactions, several at a time, are written while loops are ended, the
// storage fails and the server is killed: the tables that are rebuilt from the
// commits are those in the database, and no transaction is torn.
func TestLedger(t *testing.T) {
	t.Parallel()
	server, err := postgrescluster.Start(t.Context(), postgrescluster.Options{Programs: os.Getenv("POSTGRES_PROGRAMS")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	writer, err := ledger.NewWriter(t.Context(), func(ctx context.Context) (*pgx.Conn, error) { return server.Connect(ctx, postgrescluster.Database) })
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	s := configure(postgrescluster.Database, ledger.Tables...)
	s.Postgres.Port, s.Postgres.IdleInterval = server.Port, settings.Duration(time.Second)
	s.Batch.MaxAge, s.Batch.MaxBytes = settings.Duration(30*time.Millisecond), 64<<10
	pach := pachtest.New(t)
	client := func(address string) *pachyderm.Client {
		parsed, err := pachyderm.ParseAddress(address)
		if err != nil {
			t.Fatal(err)
		}
		c, err := pachyderm.Connect(pachyderm.Options{Address: parsed, UserAgent: "ledger"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() }) //nolint:errcheck // the test is over
		return c
	}
	outside := client(pach.Address())
	if _, err := outside.PPS.CreatePipeline(t.Context(), &pps.CreatePipelineRequest{Pipeline: &pps.Pipeline{Project: &pfs.Project{Name: "default"}, Name: "ledger"},
		Transform: &pps.Transform{Image: "runner", Cmd: []string{"/spout-runner"}}, Spout: &pps.Spout{}}); err != nil {
		t.Fatal(err)
	}
	branch := outside.Branch("default", "ledger", "master")
	random, written := rand.New(rand.NewPCG(3, 4)), int64(0)
	write := func(n int) {
		for range n {
			writer.Write(t.Context(), random, random.IntN(12)+1)
			written++
		}
	}
	write(300)
	writer.Write(t.Context(), random, 3000) // larger than a round
	written++
	const lives = 12
	for life := range lives {
		sidecar := client(pach.Sidecar("default", "ledger"))
		log := hclog.NewNullLogger()
		if os.Getenv("SPOUT_TEST_LOG") != "" {
			log = hclog.New(&hclog.LoggerOptions{Level: hclog.Debug})
		}
		in, err := ingest.New(ingest.Config{Settings: s, Client: sidecar, Branch: sidecar.Branch("default", "ledger", "master"), Writer: "writer", Log: log, Metrics: ingest.NewMetrics(),
			NewSource: func() (source.Source, error) {
				return postgres.Make(s, source.Options{Memory: ingest.SourceShare(s), Log: log})
			}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- in.Run(ctx) }()
		write(40)
		if life < lives-1 {
			switch life % 4 {
			case 1:
				pach.Inject(pachtest.Fault{Method: "FinishCommit", Side: pachtest.Sidecar, Nth: 2, LoseReply: true})
			case 2:
				pach.Inject(pachtest.Fault{Method: "AddFileSet", Side: pachtest.Sidecar, Nth: 2, Before: status.Error(codes.Unavailable, "away")})
			case 3:
				server.Kill()
				if err := server.Launch(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Duration(random.IntN(600)) * time.Millisecond) // wherever it is then
			cancel()
			if err := <-ended; source.IsStop(err) {
				t.Fatal(err)
			}
			continue
		}
		deadline := time.Now().Add(2 * patience)
		for {
			_, d, err := ingest.LastCommit(t.Context(), branch)
			if err != nil {
				t.Fatal(err)
			}
			if p, err := positions.Parse(d.Position); err == nil {
				if all, _ := ledger.Reached(p, written); all {
					break
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("of %d transactions, not all are there: %s", written, d.Position)
			}
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
		<-ended //nolint:errcheck // it was ended
	}
	conn, err := server.Connect(t.Context(), postgrescluster.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // only read
	report, err := ledger.Audit(t.Context(), branch, conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	if !report.OK() || report.Transactions != written || report.Commits < lives {
		t.Error(report)
	}
}
