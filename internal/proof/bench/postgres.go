// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/postgrescluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// postgresSupply is a table with changes that a slot has kept: rows inserted in
// transactions of a hundred.
type postgresSupply struct {
	server  *postgrescluster.Server
	records int
}

const (
	benchSlot = "bench"
	drained   = "drained" // another slot, for the other client
	together  = 100
)

func supplyPostgres(ctx context.Context, _ string, size, count int) (supply, error) {
	server, err := postgrescluster.Start(ctx, postgrescluster.Options{Fast: true, Config: map[string]string{"max_wal_size": "8GB", "logical_decoding_work_mem": "64MB"}})
	if err != nil {
		return nil, err
	}
	p := &postgresSupply{server: server, records: count}
	err = server.Exec(ctx, "CREATE TABLE t (id bigint PRIMARY KEY, v text)", "CREATE PUBLICATION "+benchSlot+" FOR TABLE t",
		"SELECT pg_create_logical_replication_slot('"+benchSlot+"', 'pgoutput')", "SELECT pg_create_logical_replication_slot('"+drained+"', 'pgoutput')")
	if err == nil {
		err = p.produce(ctx, size)
	}
	if err != nil {
		server.Stop()
		return nil, err
	}
	return p, nil
}

func (p *postgresSupply) produce(ctx context.Context, size int) error {
	conn, err := p.server.Connect(ctx, postgrescluster.Database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // it is done
	random := rand.New(rand.NewPCG(rand.Uint64(), 0))
	value := make([]byte, max(size-24, 1)) // with the key and the names, a record has about the size
	for n := 0; n < p.records; n += together {
		rows := make([][]any, min(together, p.records-n))
		for i := range rows {
			fill(random, value)
			rows[i] = []any{int64(n + i), string(value)}
		}
		if _, err := conn.CopyFrom(ctx, pgx.Identifier{"t"}, []string{"id", "v"}, pgx.CopyFromRows(rows)); err != nil {
			return err
		}
	}
	return nil
}

func (p *postgresSupply) configure(s *settings.Settings) {
	s.Postgres.Host, s.Postgres.Port, s.Postgres.Database, s.Postgres.User = p.server.Host, p.server.Port, postgrescluster.Database, postgrescluster.Superuser
	s.Postgres.Tables, s.Postgres.Slot, s.Postgres.Snapshot, s.Postgres.Shape = []string{"t"}, benchSlot, "never", ""
	s.File.Format = "jsonl"
}

// consume has a server decode all of it for a client that drops what comes.
func (p *postgresSupply) consume(ctx context.Context) (bytes int, err error) {
	config, err := pgconn.ParseConfig(p.server.URL(postgrescluster.Database))
	if err != nil {
		return 0, err
	}
	config.RuntimeParams["replication"] = "database"
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx) //nolint:errcheck // a measurement
	conn.Frontend().SendQuery(&pgproto3.Query{String: fmt.Sprintf("START_REPLICATION SLOT %s LOGICAL 0/0 (proto_version '1', publication_names '%s')", drained, benchSlot)})
	if err := conn.Frontend().Flush(); err != nil {
		return 0, err
	}
	for rows := 0; rows < p.records; {
		m, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return 0, err
		}
		switch m := m.(type) {
		case *pgproto3.CopyData:
			const head = 25 // of a part of the log
			if len(m.Data) > head && m.Data[0] == 'w' && m.Data[head] == 'I' {
				rows++
				bytes += len(m.Data) - head + jsonAround
			}
		case *pgproto3.ErrorResponse:
			return 0, fmt.Errorf("START_REPLICATION: %s", m.Message)
		}
	}
	return bytes, nil
}

// jsonAround is about what a line of JSON has besides the values of the row.
var jsonAround = len(`{"table":"public.t","ordinal":1234567,"lsn":"0/12345678","timestamp":1234567890123,"key":"{\"id\":1234567}","headers":[],"op":"insert","transaction":1234,"value":{"id":1234567,"v":""}}`) - len(strings.Repeat("x", 20))

func (p *postgresSupply) close() error {
	p.server.Stop()
	return nil
}
