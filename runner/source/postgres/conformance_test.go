// SPDX-License-Identifier: Apache-2.0

//go:build brokers

package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/postgrescluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/conformance"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/postgres"
)

// shared is the server of these tests, each of which has a database of its own.
var shared *postgrescluster.Server

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		shared, err = postgrescluster.Start(context.Background(), postgrescluster.Options{Fast: true, Progress: os.Stderr, Programs: os.Getenv("POSTGRES_PROGRAMS")})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer shared.Stop()
		return m.Run()
	}())
}

var databases struct {
	sync.Mutex
	made int
}

// newDatabase makes a database, and drops it with its slots at the end.
func newDatabase(t testing.TB) (name string, conn *pgx.Conn) {
	t.Helper()
	databases.Lock()
	databases.made++
	name = fmt.Sprintf("test_%d", databases.made)
	databases.Unlock()
	admin := connect(t, "postgres")
	if _, err := admin.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		admin, err := shared.Connect(ctx, "postgres")
		if err != nil {
			t.Error(err)
			return
		}
		defer admin.Close(ctx) //nolint:errcheck // it is done
		for {
			_, err := admin.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
			if err == nil {
				_, err = admin.Exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1 AND NOT temporary", name)
			}
			if err == nil {
				_, err = admin.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
			}
			if err == nil {
				return
			}
			select {
			case <-ctx.Done():
				t.Errorf("database %s is left: %v", name, err)
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	return name, connect(t, name)
}

func connect(t testing.TB, database string) *pgx.Conn {
	t.Helper()
	conn, err := shared.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) }) //nolint:errcheck // the test is over
	return conn
}

// configure are the settings of a spout that reads tables of a database.
func configure(database string, tables ...string) settings.Settings {
	s := settings.Default()
	s.Source, s.File.Format = "postgres", "jsonl"
	s.Postgres.Host, s.Postgres.Port, s.Postgres.Database, s.Postgres.User = shared.Host, shared.Port, database, postgrescluster.Superuser
	s.Postgres.Tables, s.Postgres.Slot = tables, "slot_"+database
	return s
}

// tableSide is a database with tables that rows are inserted into, some per
// transaction. Those that are there at first are copied, or are changes since a
// slot was made.
type tableSide struct {
	*audit.Produced
	t        testing.TB
	database string
	tables   []string
	copies   bool
	conn     *pgx.Conn

	mu     sync.Mutex
	keeps  bool
	values []string
	last   map[string]bool // values that end a transaction
}

func newTableSide(t testing.TB, tables int, copies bool) *tableSide {
	s := &tableSide{t: t, copies: copies, last: map[string]bool{}, Produced: audit.NewProduced(audit.OffsetsOf("postgres"))}
	s.database, s.conn = newDatabase(t)
	for i := range tables {
		s.tables = append(s.tables, fmt.Sprintf("t%d", i))
		s.exec("CREATE TABLE " + s.tables[i] + " (n int PRIMARY KEY)")
	}
	s.exec("CREATE TABLE other (n int PRIMARY KEY)")
	if !copies {
		s.exec("CREATE PUBLICATION slot_"+s.database+" FOR TABLE "+strings.Join(s.tables, ", "), "SELECT pg_create_logical_replication_slot('slot_"+s.database+"', 'pgoutput')")
	}
	return s
}

func (s *tableSide) exec(statements ...string) {
	s.t.Helper()
	for _, statement := range statements {
		if _, err := s.conn.Exec(context.Background(), statement); err != nil {
			s.t.Errorf("%s: %v", statement, err)
		}
	}
}

func (s *tableSide) Settings() settings.Settings {
	all := configure(s.database, s.tables...)
	if !s.copies {
		all.Postgres.Snapshot = "never"
	}
	all.Postgres.IdleInterval = settings.Duration(30 * time.Millisecond)
	return all
}

func (s *tableSide) New(all settings.Settings, o source.Options) (source.Source, error) {
	src, err := postgres.Make(all, o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keeps {
		src = deaf{src}
	}
	return src, err
}

// Keep implements conformance.Keeper.
func (s *tableSide) Keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keeps = true
}

// deaf is a source whose slot stays where it is.
type deaf struct{ source.Source }

func (deaf) Acknowledge(context.Context, json.RawMessage) {}

// Produce inserts rows in transactions of three, into one table after the other.
func (s *tableSide) Produce(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n > 0 {
		some := min(n, 3)
		n -= some
		from, table := len(s.values), s.tables[len(s.last)%len(s.tables)]
		s.exec(fmt.Sprintf("INSERT INTO %s SELECT * FROM generate_series(%d, %d)", table, from, from+some-1))
		stream := source.Stream{Name: "public." + table}
		for i := range some {
			value := fmt.Sprintf(`{"n":%d}`, from+i)
			s.values = append(s.values, value)
			s.Add(stream, s.Ends()[stream], value)
		}
		s.last[s.values[len(s.values)-1]] = true
	}
}

func (s *tableSide) Values() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.values...)
}

// Torn implements conformance.Whole.
func (s *tableSide) Torn(values []string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := map[string]bool{}
	for _, value := range values {
		in[value] = true
	}
	for i, value := range s.values { // the next one is of the same transaction
		if in[value] && !s.last[value] && !in[s.values[i+1]] {
			return "it has a part of a transaction"
		}
	}
	return ""
}

// Reset implements conformance.Resetter: the slot is made again.
func (s *tableSide) Reset() {
	slot := "slot_" + s.database
	deadline := time.Now().Add(time.Minute)
	for {
		_, err := s.conn.Exec(context.Background(), "SELECT pg_drop_replication_slot('"+slot+"')")
		if err == nil {
			break
		}
		if time.Now().After(deadline) || !strings.Contains(err.Error(), "is active") {
			s.t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.exec("INSERT INTO other SELECT coalesce(max(n), 0) + 1 FROM other", "SELECT pg_create_logical_replication_slot('"+slot+"', 'pgoutput')")
}

// Move implements conformance.Mover: somebody else writes.
func (s *tableSide) Move() { s.exec("INSERT INTO other SELECT coalesce(max(n), 0) + 1 FROM other") }

// Offsets implements audit.Truth: a table without a record yet is in no position.
func (s *tableSide) Offsets(position json.RawMessage) (map[source.Stream]int64, error) {
	offsets, err := s.Produced.Offsets(position)
	if err != nil {
		return nil, err
	}
	for _, table := range s.tables {
		if stream := (source.Stream{Name: "public." + table}); offsets[stream] == 0 {
			offsets[stream] = 0
		}
	}
	return offsets, nil
}

// TestConformance is not parallel: see conformance. Nor is the next one.
func TestConformance(t *testing.T) {
	conformance.Run(t, func(t testing.TB) conformance.Side { return newTableSide(t, 1, false) })
}

func TestConformanceWithCopies(t *testing.T) {
	conformance.Run(t, func(t testing.TB) conformance.Side { return newTableSide(t, 5, true) })
}
