// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"
	"github.com/jackc/pgx/v5"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/postgrescluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/ledger"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
)

// showPostgres is the demo with a PostgreSQL: random transactions insert, update
// and delete rows while the runner is killed. In the end the tables are rebuilt
// from the commits' files and compared with those in the database.
func (d *demo) showPostgres(ctx context.Context) (exitCode int) {
	report, err := d.runPostgres(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
	}
	if report == nil {
		return 1
	}
	for _, problem := range report.Problems {
		fmt.Println(problem)
	}
	fmt.Printf("demo: transactions %d, rows %d, lost %d, duplicated %d, torn %d\n", report.Transactions, report.Rows, report.Lost, report.Duplicated, report.Torn)
	if err != nil || !report.OK() {
		return 1
	}
	return 0
}

// rowsInTransaction is about how many rows a transaction changes.
const rowsInTransaction = 8

func (d *demo) runPostgres(ctx context.Context) (report *ledger.Report, err error) {
	dir, err := os.MkdirTemp("", "spout-demo-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	var server *postgrescluster.Server
	defer func() {
		err = errors.Join(err, d.stop())
		if server != nil {
			server.Stop()
		}
	}()
	err = d.startWith(ctx, dir, "a PostgreSQL", "postgres", func() (string, error) {
		var err error
		if server, err = postgrescluster.Start(ctx, postgrescluster.Options{Progress: os.Stdout}); err != nil {
			return "", err
		}
		return fmt.Sprintf("name = %q\nimage = %q\nhost = %q\nport = %d\ndatabase = %q\ntables = [\"account\", \"line\", \"journal\"]\nuser = %q\npassword = \"none\"\nformat = \"jsonl\"\nforce_destroy = true\n",
			spout, image, server.Host, server.Port, postgrescluster.Database, postgrescluster.Superuser), nil
	})
	if err != nil {
		return nil, err
	}
	writer, err := ledger.NewWriter(ctx, func(ctx context.Context) (*pgx.Conn, error) { return server.Connect(ctx, postgrescluster.Database) })
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(rand.Uint64(), 0))
	before := d.rate / rowsInTransaction * 2
	d.say("writing %d transactions, whose rows are copied", before)
	for range before {
		writer.Write(ctx, random, random.IntN(2*rowsInTransaction)+1)
	}
	defer writer.Close()
	if err := d.apply(ctx); err != nil {
		return nil, err
	}
	written := int64(before)
	killed := make(chan error, 1)
	var killer sync.WaitGroup
	killing, stopKilling := context.WithCancel(ctx)
	killer.Go(func() { killed <- d.killRunner(killing) })
	defer func() { stopKilling(); killer.Wait() }()
	d.say("writing transactions for %d s", d.seconds)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for range d.seconds * int(time.Second/tick) {
		for range max(d.rate/rowsInTransaction/int(time.Second/tick), 1) {
			writer.Write(ctx, random, random.IntN(2*rowsInTransaction)+1)
			written++
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	d.say("all %d transactions are ordered", written)
	if err := <-killed; err != nil {
		return nil, err
	}
	err = d.awaitJournal(ctx, written, func() int64 {
		writer.Write(ctx, random, 1)
		written++
		return written
	})
	if err != nil {
		return nil, err
	}
	d.say("rebuilding the tables from the files of every commit, and comparing them with those in the database")
	conn, err := server.Connect(ctx, postgrescluster.Database)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx) //nolint:errcheck // only read
	if report, err = ledger.Audit(ctx, d.branch, conn); err != nil {
		return nil, err
	}
	d.say("audit: %s", report)
	d.say("terraform destroy, which drops the replication slot")
	if err := d.workspace.Destroy(ctx, tfexec.Refresh(true)); err != nil {
		return report, err
	}
	var slots int
	err = conn.QueryRow(ctx, "SELECT count(*) FROM pg_replication_slots").Scan(&slots)
	if err == nil && slots > 0 {
		err = fmt.Errorf("%d replication slots are left", slots)
	}
	return report, err
}

// awaitJournal shows commits as they come, until so many transactions are in
// them. It may ask for one more, and is told how many there are then.
func (d *demo) awaitJournal(ctx context.Context, transactions int64, oneMore func() int64) error {
	shown := ""
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		last, about, err := ingest.LastCommit(ctx, d.branch)
		if err != nil && !pachyderm.IsUnavailable(err) {
			return err
		}
		if last != nil && last.ID != shown {
			shown = last.ID
			p, err := positions.Parse(about.Position)
			if err != nil {
				return err
			}
			d.showTables(last, about, p, transactions)
			all, ask := ledger.Reached(p, transactions)
			if all {
				return nil
			}
			if ask {
				transactions = oneMore()
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func (d *demo) showTables(c *pachyderm.Commit, about spoutcommit.Description, p *positions.Position, transactions int64) {
	journal := p.Tables["public.journal"]
	if journal == nil {
		journal = &positions.Table{}
	}
	d.say("commit %.8s  %6d rows  %2d files  %7d bytes  up to %s  %d of %d transactions  (%s)", c.ID, about.Written, about.Files, about.Bytes, p.LSN, journal.Next, transactions, about.Reason)
}
