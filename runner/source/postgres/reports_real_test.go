// SPDX-License-Identifier: Apache-2.0

//go:build brokers

package postgres_test

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/postgrescluster"
)

// These are cases of what others have reported of readers of PostgreSQL, and
// name where.

// What an operator has set for a database decides neither how values look nor
// how long reading takes (eulerto/wal2json#299, MaterializeInc/materialize#16123,
// dimitri/pgcopydb#116, airbytehq/airbyte#28303 and #20930).
func TestSettingsOfTheDatabase(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	var version int
	if err := conn.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		t.Fatal(err)
	}
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY, b bytea, d date, tz timestamptz, iv interval, f float8, m money, n numeric, l date[])",
		"INSERT INTO t VALUES (1, '\\x00ff', '2026-02-01', '2026-02-01 12:00:00+00', '1 day 2 hours', 0.1::float8 + 0.2, '1.5', 7e3, NULL)")
	values := map[string]string{"bytea_output": "escape", "datestyle": "'German, DMY'", "timezone": "'Asia/Tokyo'", "intervalstyle": "sql_standard", "extra_float_digits": "0", "lc_monetary": "'C'",
		"search_path": "pg_temp", "statement_timeout": "'200ms'", "lock_timeout": "'200ms'", "idle_in_transaction_session_timeout": "'200ms'", "default_transaction_read_only": "on", "default_transaction_isolation": "serializable"}
	if version >= 140000 {
		values["idle_session_timeout"] = "'1s'"
	}
	if version >= 170000 {
		values["transaction_timeout"] = "'200ms'"
	}
	for name, value := range values {
		run(t, conn, "ALTER DATABASE "+database+" SET "+name+" = "+value)
	}
	r := start(t, configure(database, "t"))
	time.Sleep(1200 * time.Millisecond) // longer than all of these
	run(t, conn, "INSERT INTO t SELECT 2, b, d, tz, iv, f, m, n, l FROM t")
	r.read(2)
	const want = `"b":"AP8=","d":"2026-02-01","tz":"2026-02-01T12:00:00Z","iv":"P1DT2H","f":0.30000000000000004,"m":"$1.50","n":"7000","l":null}`
	for i, rec := range r.records {
		if rec.value != fmt.Sprintf(`{"id":%d,`, i+1)+want {
			t.Errorf("%s", rec)
		}
	}
}

// What is in a transaction besides rows: messages, what was rolled back, and
// rows of one COPY, which have one place in the log (debezium/debezium#7531).
// After a restart in the middle all is read again.
func TestWhatIsInTransactions(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	s := configure(database, "t")
	r := start(t, s)
	run(t, conn, "SELECT pg_logical_emit_message(true, 'p', 'with'), pg_logical_emit_message(false, 'p', 'without')")
	run(t, conn, "BEGIN; INSERT INTO t VALUES (1, 'kept'); SAVEPOINT a; INSERT INTO t VALUES (2, 'gone'); ROLLBACK TO a; SAVEPOINT b; INSERT INTO t VALUES (3, 'kept'); RELEASE b; SELECT pg_logical_emit_message(true, 'p', 'm'); COMMIT")
	run(t, conn, "BEGIN; INSERT INTO t VALUES (4, 'gone'); ROLLBACK")
	r.read(2)
	r.durable(conn)
	if _, err := conn.CopyFrom(t.Context(), pgx.Identifier{"t"}, []string{"id", "v"}, pgx.CopyFromSlice(3000, func(i int) ([]any, error) { return []any{10 + i, "copied"}, nil })); err != nil {
		t.Fatal(err)
	}
	position := r.Position()
	if err := r.next(); err != nil { // a part of the copy, perhaps
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	again := newReader(t, s).mustOpen(position)
	all := append(r.records[:2:2], again.read(3000)...)
	seen := map[string]bool{}
	for _, rec := range all {
		if seen[rec.value] || strings.Contains(rec.value, "gone") {
			t.Fatalf("again, or rolled back: %s", rec)
		}
		seen[rec.value] = true
	}
	if len(seen) != 3002 {
		t.Errorf("%d rows", len(seen))
	}
}

// A transaction in two phases is told of when it is committed, in its order.
func TestPreparedTransactions(t *testing.T) {
	t.Parallel()
	server, err := postgrescluster.Start(t.Context(), postgrescluster.Options{Fast: true, Programs: os.Getenv("POSTGRES_PROGRAMS"), Progress: io.Discard, Config: map[string]string{"max_prepared_transactions": "4"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	exec := func(statements ...string) {
		t.Helper()
		if err := server.Exec(t.Context(), statements...); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE t (id int PRIMARY KEY)")
	s := configure(postgrescluster.Database, "t")
	s.Postgres.Host, s.Postgres.Port = server.Host, server.Port
	r := start(t, s)
	exec("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'one'", "BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'two'", "INSERT INTO t VALUES (3)", "ROLLBACK PREPARED 'two'", "COMMIT PREPARED 'one'")
	expect(t, r.read(2), `public.t 0 insert key={"id":3} value={"id":3} before= unchanged=[]`, `public.t 1 insert key={"id":1} value={"id":1} before= unchanged=[]`)
	// A transaction that is prepared before the spout exists, and is committed
	// after its copy.
	exec("CREATE TABLE u (id int PRIMARY KEY)", "BEGIN; INSERT INTO u VALUES (1); PREPARE TRANSACTION 'early'")
	u := configure(postgrescluster.Database, "u")
	u.Postgres.Host, u.Postgres.Port, u.Postgres.Slot = server.Host, server.Port, "of_u"
	opened := make(chan *reader, 1)
	go func() { opened <- newReader(t, u).mustOpen(nil) }()
	time.Sleep(300 * time.Millisecond) // it waits for the transaction, or does not
	exec("INSERT INTO u VALUES (2)", "COMMIT PREPARED 'early'", "INSERT INTO u VALUES (3)")
	of := <-opened
	of.copied(1)
	ids := map[string]bool{}
	for _, rec := range of.read(3) {
		ids[rec.key] = true
	}
	if len(ids) != 3 || len(of.records) != 3 {
		t.Errorf("%v", of.records)
	}
}

// Columns that were dropped before the copy, types that change with a rewrite
// of the table, keys that are an index, and TRUNCATE of several tables.
func TestTablesWithAPast(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (gone int, id int PRIMARY KEY, also text, v int)", "INSERT INTO t VALUES (0, 1, 'x', 10)", "ALTER TABLE t DROP COLUMN gone, DROP COLUMN also",
		"CREATE TABLE i (a int NOT NULL, b text NOT NULL, c text)", "CREATE UNIQUE INDEX i_key ON i (b)", "ALTER TABLE i REPLICA IDENTITY USING INDEX i_key",
		"CREATE TABLE c (id int PRIMARY KEY REFERENCES t)", "CREATE TABLE other (id int PRIMARY KEY REFERENCES t)")
	r := start(t, configure(database, "t", "i", "c"))
	run(t, conn, "INSERT INTO t VALUES (2, 20)", "ALTER TABLE t ALTER v TYPE bigint USING v * 1000000000000", "INSERT INTO t VALUES (3, 30)", "UPDATE t SET v = v + 1 WHERE id = 1",
		"ALTER TABLE t RENAME COLUMN v TO w", "INSERT INTO t VALUES (4, 40)",
		"INSERT INTO i VALUES (1, 'k', 'c')", "UPDATE i SET b = 'l'", "UPDATE i SET a = 2", "DELETE FROM i", "TRUNCATE t CASCADE")
	all := slices.Clone(r.read(11)) // of each table in order
	slices.SortStableFunc(all, func(a, b record) int { return strings.Compare(a.stream, b.stream) })
	expect(t, all,
		`public.c 0 truncate key= value= before= unchanged=[]`,
		`public.i 0 insert key={"b":"k"} value={"a":1,"b":"k","c":"c"} before= unchanged=[]`,
		`public.i 1 update key={"b":"l"} value={"a":1,"b":"l","c":"c"} before={"b":"k"} unchanged=[]`,
		`public.i 2 update key={"b":"l"} value={"a":2,"b":"l","c":"c"} before= unchanged=[]`,
		`public.i 3 delete key={"b":"l"} value={"b":"l"} before= unchanged=[]`,
		`public.t 0 read key={"id":1} value={"id":1,"v":10} before= unchanged=[]`,
		`public.t 1 insert key={"id":2} value={"id":2,"v":20} before= unchanged=[]`,
		`public.t 2 insert key={"id":3} value={"id":3,"v":30} before= unchanged=[]`,
		`public.t 3 update key={"id":1} value={"id":1,"v":10000000000001} before= unchanged=[]`,
		`public.t 4 insert key={"id":4} value={"id":4,"w":40} before= unchanged=[]`,
		`public.t 5 truncate key= value= before= unchanged=[]`)
}
