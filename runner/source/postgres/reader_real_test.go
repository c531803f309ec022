// SPDX-License-Identifier: Apache-2.0

//go:build brokers

package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/postgres"
)

const patience = time.Minute

// reader reads a database as the loop does.
type reader struct {
	testing.TB
	source.Source
	settings settings.Settings
	records  []record // of all chunks so far
	open     bool     // records of a transaction that has not ended
}

// record is one as a test looks at it.
type record struct {
	stream, key, value, before string
	op                         source.Op
	offset                     int64
	unchanged                  []string
	transaction                uint64
	id                         string
	version                    int
	schema                     *source.RowSchema
	raw                        []byte
}

func (r record) String() string {
	return fmt.Sprintf("%s %d %s key=%s value=%s before=%s unchanged=%v", r.stream, r.offset, r.op, r.key, r.value, r.before, r.unchanged)
}

func newReader(t testing.TB, s settings.Settings) *reader {
	t.Helper()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	var out io.Writer = io.Discard
	if os.Getenv("SPOUT_TEST_LOG") != "" {
		out = os.Stderr
	}
	src, err := postgres.Make(s, source.Options{Memory: 64 << 20, Log: hclog.New(&hclog.LoggerOptions{Output: out, Level: hclog.Debug})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() }) //nolint:errcheck // the test is over
	return &reader{TB: t, Source: src, settings: s}
}

func (r *reader) mustOpen(position json.RawMessage) *reader {
	r.Helper()
	if err := r.Open(r.Context(), position); err != nil {
		r.Fatal(err)
	}
	return r
}

// start opens a reader at the beginning, and reads until the tables are copied
// that the settings name.
func start(t testing.TB, s settings.Settings) *reader {
	t.Helper()
	r := newReader(t, s).mustOpen(nil)
	r.copied(len(s.Postgres.Tables))
	return r
}

// copied reads until so many tables are copied.
func (r *reader) copied(n int) {
	r.Helper()
	for {
		var p struct{ Relations map[string]string }
		if err := json.Unmarshal(r.Position(), &p); err != nil {
			r.Fatal(err)
		}
		if len(p.Relations) >= n {
			return
		}
		if err := r.next(); err != nil {
			r.Fatalf("%d of %d tables are copied: %v", len(p.Relations), n, err)
		}
	}
}

// next takes one chunk.
func (r *reader) next() error {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	chunk, err := r.Next(ctx)
	if err != nil {
		return err
	}
	for i := range chunk.Records {
		rec := &chunk.Records[i]
		one := record{stream: chunk.Stream.Name, key: string(rec.Key), value: string(rec.Value), op: rec.Detail.Op, offset: rec.Offset, before: string(rec.Detail.Before),
			unchanged: rec.Detail.Unchanged, transaction: rec.Detail.Transaction, id: string(rec.Detail.ID), schema: chunk.Schema, raw: append([]byte(nil), rec.Value...)}
		if chunk.Schema != nil {
			one.version = chunk.Schema.Version
		}
		r.records = append(r.records, one)
	}
	r.open = !chunk.Boundary
	r.Consume(chunk, len(chunk.Records))
	chunk.Release()
	return nil
}

// read takes chunks until there are so many records, and no transaction is half
// read.
func (r *reader) read(n int) []record {
	r.Helper()
	for len(r.records) < n || r.open {
		if err := r.next(); err != nil {
			r.Fatalf("after %d records, of %d: %v", len(r.records), n, err)
		}
	}
	return r.records
}

// stopped waits for the source to stop, and returns why.
func (r *reader) stopped() string {
	r.Helper()
	for {
		err := r.next()
		switch {
		case err == nil:
		case source.IsStop(err):
			return err.Error()
		default:
			r.Fatalf("it ends with what is not a reason to stop: %v", err)
		}
	}
}

// durable acknowledges what was read, and waits until the server knows.
func (r *reader) durable(conn *pgx.Conn) {
	r.Helper()
	position := r.Position()
	r.Acknowledge(r.Context(), position)
	var p struct{ LSN string }
	if err := json.Unmarshal(position, &p); err != nil {
		r.Fatal(err)
	}
	r.await(conn, "SELECT confirmed_flush_lsn >= $1::pg_lsn FROM pg_replication_slots WHERE slot_name = $2", p.LSN, r.settings.Postgres.Slot)
}

// await waits until a query says true.
func (r *reader) await(conn *pgx.Conn, sql string, args ...any) {
	r.Helper()
	await(r, conn, sql, args...)
}

func await(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		var ok bool
		err := conn.QueryRow(context.Background(), sql, args...).Scan(&ok)
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v, %v", sql, ok, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func run(t testing.TB, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := conn.Exec(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func expect(t testing.TB, got []record, want ...string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want):
			t.Errorf("and %s", got[i])
		case i >= len(got):
			t.Errorf("lacks %s", want[i])
		case got[i].String() != want[i]:
			t.Errorf("has  %s\nwant %s", got[i], want[i])
		}
	}
}
