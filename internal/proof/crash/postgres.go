// SPDX-License-Identifier: Apache-2.0

//go:build linux

package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/postgrescluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/ledger"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
)

// postgresSide is a database that random transactions are written into. Tables
// that are rebuilt from the files must be the same, and no commit may have a part
// of a transaction.
type postgresSide struct {
	server  *postgrescluster.Server
	writer  *ledger.Writer
	name    string
	journal atomic.Int64 // transactions that are known
	records atomic.Int64
}

func startPostgres(ctx context.Context, s *spout, _ string) (side, error) {
	// It listens on a loopback address; what comes from a pod of a real Kubernetes has another.
	server, err := postgrescluster.Start(ctx, postgrescluster.Options{Progress: s.Log,
		Access: []string{"host all " + postgrescluster.Superuser + " all trust", "host replication " + postgrescluster.Superuser + " all trust"}})
	if err != nil {
		return nil, err
	}
	p := &postgresSide{server: server, name: "crash_" + fmt.Sprint(s.Seed%1_000_000)}
	if p.writer, err = ledger.NewWriter(ctx, p.connect); err != nil {
		server.Stop()
		return nil, err
	}
	p.produce(ctx, s.random, 300) // some are copied, some come while that goes on
	return p, nil
}

func (p *postgresSide) connect(ctx context.Context) (*pgx.Conn, error) {
	return p.server.Connect(ctx, postgrescluster.Database)
}

func (p *postgresSide) configure(v *settings.Settings) {
	v.Postgres.Host, v.Postgres.Port, v.Postgres.Database, v.Postgres.User = p.server.Host, p.server.Port, postgrescluster.Database, postgrescluster.Superuser
	v.Postgres.Tables, v.Postgres.Slot = ledger.Tables, p.name
	v.Postgres.IdleInterval = settings.Duration(2 * time.Second)
}

// produce writes transactions of up to eight rows.
func (p *postgresSide) produce(ctx context.Context, random *rand.Rand, n int) {
	for n > 0 {
		rows := min(n, random.IntN(8)+1)
		if random.IntN(200) == 0 {
			rows = 500 // one that is larger than a batch
		}
		p.writer.Write(ctx, random, rows)
		n -= rows
	}
}

func (p *postgresSide) settle(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		if p.writer.Open() > 0 {
			return false, nil
		}
		conn, err := p.connect(ctx)
		if err != nil {
			return false, nil // it is away
		}
		defer conn.Close(ctx) //nolint:errcheck // only read
		var transactions, rows int64
		if err := conn.QueryRow(ctx, "SELECT count(*), coalesce(sum(changes + 1), 0) FROM journal").Scan(&transactions, &rows); err != nil {
			return false, nil //nolint:nilerr // it is away again
		}
		p.journal.Store(transactions)
		p.records.Store(rows)
		return true, nil
	})
}

func (p *postgresSide) known() int64 { return p.records.Load() }

// reached looks at the journal: its rows are only ever inserted, and each
// transaction is whole in a commit. The position follows by itself where it was
// only copied.
func (p *postgresSide) reached(d spoutcommit.Description) (bool, error) {
	position, err := positions.Parse(d.Position)
	if err != nil {
		return false, err
	}
	all, _ := ledger.Reached(position, p.journal.Load())
	return all, nil
}

func (p *postgresSide) audit(ctx context.Context, branch *pachyderm.Branch) (*audit.Report, error) {
	if err := p.settle(ctx); err != nil {
		return nil, err
	}
	conn, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx) //nolint:errcheck // only read
	found, err := ledger.Audit(ctx, branch, conn)
	if err != nil {
		return nil, err
	}
	report := &audit.Report{Commits: found.Commits, RolledBack: found.RolledBack, Records: found.Rows, Lost: found.Lost, Duplicated: found.Duplicated, Problems: found.Problems}
	if found.Torn > 0 {
		report.Problems = append(report.Problems, fmt.Sprintf("%d transactions are torn", found.Torn))
	}
	if found.Transactions != p.journal.Load() {
		report.Problems = append(report.Problems, fmt.Sprintf("the database has %d transactions, and the files tell of %d", p.journal.Load(), found.Transactions))
	}
	return report, nil
}

func (p *postgresSide) signal(signal syscall.Signal) error { return p.server.Signal(signal) }

func (p *postgresSide) restart(ctx context.Context) error {
	p.server.Shutdown()
	return p.server.Launch(ctx)
}

func (p *postgresSide) kill(ctx context.Context) error {
	p.server.Kill()
	return p.server.Launch(ctx)
}

func (p *postgresSide) close() error {
	if p.server == nil {
		return errors.New("there is no server")
	}
	p.writer.Close()
	p.server.Stop()
	return nil
}
