// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/postgrescluster"
	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/crash"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/ledger"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
)

// TestPostgresExample applies the example of PostgreSQL. Random transactions are
// written while the runner is killed, and the tables that are rebuilt from the
// commits are those in the database. A destroy drops the slot and the publication.
func TestPostgresExample(t *testing.T) {
	c := cluster.Start(t)
	server, err := postgrescluster.Start(t.Context(), postgrescluster.Options{Fast: true, Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	connect := func(ctx context.Context) (*pgx.Conn, error) { return server.Connect(ctx, postgrescluster.Database) }
	writer, err := ledger.NewWriter(t.Context(), connect)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if err := server.Exec(t.Context(), "CREATE ROLE spout LOGIN REPLICATION PASSWORD 'sesame'", "GRANT CREATE ON DATABASE app TO spout", "ALTER TABLE account OWNER TO spout", "ALTER TABLE line OWNER TO spout", "ALTER TABLE journal OWNER TO spout"); err != nil {
		t.Fatal(err)
	}
	conn, err := connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // the test is over

	root, err := artifacts.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "examples", "postgres"))); err != nil {
		t.Fatal(err)
	}
	w, err := built.cli.NewWorkspace(dir, built.provider, providerVersion, map[string]string{"PACHD_ADDRESS": c.Address()})
	if err != nil {
		t.Fatal(err)
	}
	name := "shop-tables"
	if err := w.Write("terraform.tfvars", fmt.Sprintf("name = %q\nimage = %q\nforce_destroy = true\nhost = %q\nport = %d\ndatabase = \"app\"\ntables = [\"account\", \"line\", \"public.journal\"]\nuser = \"spout\"\npassword = \"sesame\"\nformat = \"jsonl\"\n",
		name, image, server.Host, server.Port)); err != nil {
		t.Fatal(err)
	}
	if err := w.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	destroyed := false
	defer func() {
		if err := w.Destroy(context.Background()); err != nil && !destroyed {
			t.Errorf("destroy: %v", err)
		}
	}()
	random := rand.New(rand.NewPCG(1, 2))
	const transactions = 400
	for range transactions / 2 { // some are copied
		writer.Write(t.Context(), random, random.IntN(8)+1)
	}
	if err := w.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	planIsEmpty(t, w)
	for n := range transactions / 2 {
		writer.Write(t.Context(), random, random.IntN(8)+1)
		if n != transactions/4 {
			continue
		}
		if err := c.KillUserCode("default", name, syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
	}
	branch := newClient(t, c).Branch("default", name, "master")
	deadline, written := time.Now().Add(patience), int64(transactions)
	for shown := ""; ; {
		last, d, err := ingest.LastCommit(t.Context(), branch)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := positions.Parse(d.Position); err == nil && last.ID != shown {
			shown = last.ID
			all, oneMore := ledger.Reached(p, written)
			if all {
				break
			}
			if oneMore {
				writer.Write(t.Context(), random, 1)
				written++
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the last position is %s", d.Position)
		}
		time.Sleep(100 * time.Millisecond)
	}
	report, err := ledger.Audit(t.Context(), branch, conn)
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() || report.Transactions != written {
		t.Error(report)
	}
	if err := w.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	destroyed = true
	var slots, publications int
	if err := conn.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_publication)").Scan(&slots, &publications); err != nil || slots != 0 || publications != 0 {
		t.Errorf("after the destroy there are %d slots and %d publications: %v", slots, publications, err)
	}
}

// TestPostgresCrash does a few rounds of the crash campaign; "make crash
// SOURCE=postgres" does more.
func TestPostgresCrash(t *testing.T) {
	const rounds = 4
	c := cluster.Start(t)
	if err := c.SetImage(crash.Image, built.image); err != nil {
		t.Fatal(err)
	}
	result, err := crash.Run(t.Context(), crash.Options{Cluster: c, Runner: built.image + "/spout-runner", Source: "postgres", Dir: t.TempDir(),
		Seed: rand.Uint64N(1e9), Rounds: rounds, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	if !result.OK() || result.Rounds != rounds || result.Records == 0 {
		t.Errorf("%s\n%v", result, result.Problems)
	}
}
