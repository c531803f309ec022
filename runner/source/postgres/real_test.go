// SPDX-License-Identifier: Apache-2.0

//go:build brokers

package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
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

// What there is is copied, and all kinds of changes follow.
func TestChanges(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'one'), (2, NULL)")
	r := start(t, configure(database, "t"))
	r.read(2)
	run(t, conn, "INSERT INTO t VALUES (3, 'a\"b\\c'||chr(10))", "UPDATE t SET v = 'two' WHERE id = 2", "UPDATE t SET id = 4 WHERE id = 1", "DELETE FROM t WHERE id = 3", "TRUNCATE t")
	expect(t, r.read(7),
		`public.t 0 read key={"id":1} value={"id":1,"v":"one"} before= unchanged=[]`,
		`public.t 1 read key={"id":2} value={"id":2,"v":null} before= unchanged=[]`,
		`public.t 2 insert key={"id":3} value={"id":3,"v":"a\"b\\c\n"} before= unchanged=[]`,
		`public.t 3 update key={"id":2} value={"id":2,"v":"two"} before= unchanged=[]`,
		`public.t 4 update key={"id":4} value={"id":4,"v":"one"} before={"id":1} unchanged=[]`,
		`public.t 5 delete key={"id":3} value={"id":3} before= unchanged=[]`,
		`public.t 6 truncate key= value= before= unchanged=[]`)
	if r.records[0].id == "" || r.records[2].id == r.records[3].id || r.records[2].transaction == 0 || r.records[0].transaction != 0 {
		t.Errorf("places and transactions: %+v", r.records)
	}
}

// With REPLICA IDENTITY FULL, changes have the row before.
func TestFullIdentity(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int, v text)", "ALTER TABLE t REPLICA IDENTITY FULL")
	r := start(t, configure(database, "t"))
	run(t, conn, "INSERT INTO t VALUES (1, 'one')", "UPDATE t SET v = 'two'", "DELETE FROM t")
	expect(t, r.read(3),
		`public.t 0 insert key= value={"id":1,"v":"one"} before= unchanged=[]`,
		`public.t 1 update key= value={"id":1,"v":"two"} before={"id":1,"v":"one"} unchanged=[]`,
		`public.t 2 delete key= value={"id":1,"v":"two"} before={"id":1,"v":"two"} unchanged=[]`)
}

// Large values that an update leaves alone are not sent: they are named, and
// not null. With the row before they are known.
func TestLargeValuesThatStay(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY, large text, n int)", "ALTER TABLE t ALTER large SET STORAGE EXTERNAL",
		"CREATE TABLE f (id int PRIMARY KEY, large text, n int)", "ALTER TABLE f ALTER large SET STORAGE EXTERNAL, REPLICA IDENTITY FULL")
	r := start(t, configure(database, "t", "f"))
	for _, table := range []string{"t", "f"} {
		run(t, conn, "INSERT INTO "+table+" VALUES (1, repeat('x', 10000), 1)", "UPDATE "+table+" SET n = 2", "UPDATE "+table+" SET large = NULL")
	}
	r.read(6)
	large := strings.Repeat("x", 10000)
	for i := range r.records {
		r.records[i].value = strings.ReplaceAll(r.records[i].value, large, "LARGE")
		r.records[i].before = strings.ReplaceAll(r.records[i].before, large, "LARGE")
	}
	expect(t, r.records,
		`public.t 0 insert key={"id":1} value={"id":1,"large":"LARGE","n":1} before= unchanged=[]`,
		`public.t 1 update key={"id":1} value={"id":1,"n":2} before= unchanged=[large]`,
		`public.t 2 update key={"id":1} value={"id":1,"large":null,"n":2} before= unchanged=[]`,
		`public.f 0 insert key= value={"id":1,"large":"LARGE","n":1} before= unchanged=[]`,
		`public.f 1 update key= value={"id":1,"large":"LARGE","n":2} before={"id":1,"large":"LARGE","n":1} unchanged=[]`,
		`public.f 2 update key= value={"id":1,"large":null,"n":2} before={"id":1,"large":"LARGE","n":2} unchanged=[]`)
}

// A transaction of any size comes whole, and takes no more memory than a small
// one.
func TestLargeTransaction(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	r := start(t, configure(database, "t"))
	run(t, conn, "INSERT INTO t SELECT n, repeat('v', 1000) FROM generate_series(1, 100000) n")
	most, boundaries := int64(0), 0
	for n := 0; n < 100_000; {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		chunk, err := r.Next(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, r.Source.(source.Observed).Observe().Memory)
		if n > 0 && chunk.Boundary {
			boundaries++
		}
		n += len(chunk.Records)
		r.Consume(chunk, len(chunk.Records))
		chunk.Release()
	}
	if boundaries > 1 {
		t.Errorf("a commit could end at %d places of one transaction", boundaries)
	}
	if most == 0 || most > 8<<20 {
		t.Errorf("it takes %d bytes", most)
	}
}

// A row that is larger than the memory stops the source, which says what to do.
func TestRowThatIsTooLarge(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	r := start(t, configure(database, "t"))
	run(t, conn, "INSERT INTO t SELECT 1, repeat('v', 20000000)")
	if why := r.stopped(); !strings.Contains(why, "SPOUT_MEMORY_BUDGET") {
		t.Error(why)
	}
}

// Partitions are read as their table; schemas and names of all kinds have
// streams that are fit for paths.
func TestNamesAndPartitions(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id)", "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)", "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)",
		`CREATE SCHEMA "Größe/x"`, `CREATE TABLE "Größe/x"."a.b ""c" ("id 1" int PRIMARY KEY, "Ü" text, "a-b" int, "a_b" int)`, "INSERT INTO p VALUES (1), (11)")
	r := start(t, configure(database, "p", `Größe/x.a.b "c`))
	r.read(2)
	run(t, conn, "INSERT INTO p VALUES (2), (12)", "UPDATE p SET id = 3 WHERE id = 2", `INSERT INTO "Größe/x"."a.b ""c" VALUES (1, 'x', 2, 3)`, "TRUNCATE p")
	r.read(7)
	seen := map[string]string{}
	for _, r := range r.records {
		seen[r.stream] += r.op.String() + " "
		if r.op == source.OpInsert && r.stream != "public.p" && r.value != `{"id 1":1,"Ü":"x","a-b":2,"a_b":3}` {
			t.Error(r.value)
		}
	}
	if len(seen) != 2 || seen["public.p"] != "read read insert insert update truncate " || seen[`Größe/x.a%2Eb "c`] != "insert " {
		t.Errorf("%q", seen)
	}
}

// A reader that is killed in the third table reads the first two no more.
func TestCopiesAreHandedOver(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	var tables []string
	for i := range 5 {
		tables = append(tables, fmt.Sprintf("t%d", i))
		run(t, conn, "CREATE TABLE "+tables[i]+" (id int PRIMARY KEY)", "INSERT INTO "+tables[i]+" SELECT * FROM generate_series(1, 10000)")
	}
	r := newReader(t, configure(database, tables...)).mustOpen(nil)
	for len(r.records) < 20_000 {
		if err := r.next(); err != nil {
			t.Fatal(err)
		}
	}
	position := r.Position()
	if err := r.next(); err != nil { // of the third one
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	run(t, conn, "UPDATE t0 SET id = -1 WHERE id = 1", "UPDATE t4 SET id = -1 WHERE id = 1")
	r = newReader(t, configure(database, tables...)).mustOpen(position)
	r.read(30_001)
	count := map[string]int{}
	for _, rec := range r.records {
		count[rec.stream+" "+rec.op.String()]++
	}
	if len(count) != 4 || count["public.t2 read"] != 10_000 || count["public.t4 read"] != 10_000 || count["public.t0 update"] != 1 {
		t.Errorf("%v", count)
	}
}

// While tables are copied, others write: no row is lost or doubled.
func TestCopiesUnderWrites(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE a (id int PRIMARY KEY, n int)", "CREATE TABLE b (id int PRIMARY KEY, n int)", "INSERT INTO a SELECT n, 0 FROM generate_series(1, 5000) n", "INSERT INTO b SELECT n, 0 FROM generate_series(1, 5000) n")
	writer := connect(t, database)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := writer.Exec(context.Background(), fmt.Sprintf("BEGIN; UPDATE a SET n = %[1]d WHERE id = %[1]d %% 5000 + 1; UPDATE b SET n = %[1]d WHERE id = %[1]d %% 5000 + 1; INSERT INTO a VALUES (%[1]d + 10000, 1); DELETE FROM b WHERE id = %[1]d * 7 %% 5000; COMMIT", n)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	s := configure(database, "a", "b")
	r := newReader(t, s).mustOpen(nil)
	for reopened := 0; reopened < 6; { // the first ones end within copies
		if err := r.next(); err != nil {
			t.Fatal(err)
		}
		if !r.open {
			reopened++
			position := r.Position()
			records := r.records
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			r = newReader(t, s).mustOpen(position)
			r.records = records
		}
	}
	close(stop)
	<-done
	run(t, conn, "INSERT INTO a VALUES (-1, -1)")
	for seen, found := 0, false; r.open || !found; {
		if err := r.next(); err != nil {
			t.Fatal(err)
		}
		found = found || slices.ContainsFunc(r.records[seen:], func(rec record) bool { return strings.HasPrefix(rec.value, `{"id":-1,`) })
		seen = len(r.records)
	}
	state := map[string]map[string]string{"public.a": {}, "public.b": {}}
	for _, rec := range r.records {
		if _, there := state[rec.stream][rec.key]; there == (rec.op == source.OpRead || rec.op == source.OpInsert) {
			t.Fatalf("what is there does not fit: %s", rec)
		}
		if state[rec.stream][rec.key] = rec.value; rec.op == source.OpDelete {
			delete(state[rec.stream], rec.key)
		}
	}
	for table, rows := range state {
		var count, sum, wantCount, wantSum int
		for _, value := range rows {
			var v struct{ N int }
			if err := json.Unmarshal([]byte(value), &v); err != nil {
				t.Fatal(err)
			}
			count, sum = count+1, sum+v.N
		}
		if err := conn.QueryRow(t.Context(), "SELECT count(*), sum(n) FROM "+table).Scan(&wantCount, &wantSum); err != nil {
			t.Fatal(err)
		}
		if count != wantCount || sum != wantSum {
			t.Errorf("%s has %d rows with the sum %d, and should have %d with %d", table, count, sum, wantCount, wantSum)
		}
	}
}

// Tables that a publication gets later are copied, whoever changes it; one that
// it has lost meanwhile is copied again.
func TestTablesLater(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)", "INSERT INTO b VALUES (1)", "CREATE PUBLICATION p FOR TABLE a")
	s := configure(database)
	s.Postgres.Publication = "p"
	r := newReader(t, s).mustOpen(nil)
	r.copied(1)
	run(t, conn, "ALTER PUBLICATION p ADD TABLE b", "INSERT INTO b VALUES (2)", "INSERT INTO a VALUES (1)")
	r.copied(2)
	run(t, conn, "INSERT INTO b VALUES (3)")
	r.read(4)
	if got := fmt.Sprint(r.records); strings.Count(got, "public.b") != 3 || strings.Count(got, " read ") != 2 || !strings.Contains(got, `public.b 2 insert key={"id":3}`) {
		t.Error(got)
	}
	run(t, conn, "ALTER PUBLICATION p DROP TABLE b", "INSERT INTO b VALUES (4)")
	position := r.Position()
	r.Close() //nolint:errcheck // another one goes on
	r = newReader(t, s).mustOpen(position)
	run(t, conn, "INSERT INTO a VALUES (2)")
	r.read(1)
	position = r.Position()
	r.Close() //nolint:errcheck // another one goes on
	run(t, conn, "ALTER PUBLICATION p ADD TABLE b")
	r = newReader(t, s).mustOpen(position)
	r.read(4)
	if got := fmt.Sprint(r.records); strings.Count(got, "public.b") != 4 || strings.Count(got, " read ") != 4 {
		t.Error(got)
	}
}

// The list in the settings is what the runner's own publication is.
func TestListOfTablesChanges(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)", "INSERT INTO b VALUES (1)")
	r := start(t, configure(database, "a"))
	position := r.Position()
	r.Close() //nolint:errcheck // another one goes on
	r = newReader(t, configure(database, "b")).mustOpen(position)
	run(t, conn, "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (2)")
	r.read(2)
	if got := fmt.Sprint(r.records); strings.Contains(got, "public.a") || !strings.Contains(got, `{"id":2}`) {
		t.Error(got)
	}
}

// A schema that changes has another number, from the first row on that has it;
// what follows after a restart is the same.
func TestSchemasChange(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	s := configure(database, "t")
	s.File.Format = "parquet"
	r := start(t, s)
	run(t, conn, "INSERT INTO t VALUES (1, 'a')", "ANALYZE t", "INSERT INTO t VALUES (2, 'a')", "BEGIN; INSERT INTO t VALUES (3, 'a'); ALTER TABLE t ADD COLUMN w numeric(10,2) DEFAULT 1.5; INSERT INTO t VALUES (4, 'a'); COMMIT")
	r.read(4)
	position := r.Position()
	r.Close() //nolint:errcheck // another one goes on
	first := r.records
	r = newReader(t, s).mustOpen(position)
	run(t, conn, "INSERT INTO t VALUES (5, 'a')", "ALTER TABLE t DROP COLUMN v", "INSERT INTO t VALUES (6)", "ALTER TABLE t RENAME TO u", "INSERT INTO u VALUES (7)")
	r.read(3)
	var got []string
	for _, rec := range append(first, r.records...) {
		got = append(got, fmt.Sprintf("%s:%d", rec.stream, rec.version))
	}
	if want := "public.t:1 public.t:1 public.t:1 public.t:2 public.t:2 public.t:3 public.u:1"; strings.Join(got, " ") != want {
		t.Errorf("%v", got)
	}
	if first[0].schema != first[2].schema || first[2].schema == first[3].schema || !strings.Contains(first[3].schema.Avro, `"precision":10,"scale":2`) {
		t.Error("a file has one schema, and all rows of it")
	}
}

// A slot that is not where it was left stops the source, which names both places.
func TestSlotsThatAreNotTheSame(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]string{
		"made again": "SELECT pg_drop_replication_slot('SLOT'); INSERT INTO t VALUES (100); SELECT pg_create_logical_replication_slot('SLOT', 'pgoutput')",
		"moved":      "INSERT INTO t VALUES (100); CHECKPOINT; SELECT pg_replication_slot_advance('SLOT', pg_current_wal_lsn())",
		"gone":       "SELECT pg_drop_replication_slot('SLOT')",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database, conn := newDatabase(t)
			run(t, conn, "CREATE TABLE t (id int PRIMARY KEY)")
			s := configure(database, "t")
			r := start(t, s)
			run(t, conn, "INSERT INTO t VALUES (1)")
			r.read(1)
			position := r.Position()
			r.durable(conn)
			r.Close() //nolint:errcheck // another one goes on
			await(t, conn, "SELECT NOT active FROM pg_replication_slots WHERE slot_name = $1", s.Postgres.Slot)
			for _, statement := range strings.Split(harm, "; ") {
				run(t, conn, strings.ReplaceAll(statement, "SLOT", s.Postgres.Slot))
			}
			var p struct{ LSN string }
			if err := json.Unmarshal(position, &p); err != nil {
				t.Fatal(err)
			}
			err := newReader(t, s).Open(t.Context(), position)
			if !source.IsStop(err) || !strings.Contains(err.Error(), p.LSN) {
				t.Fatalf("from %s on: %v", p.LSN, err)
			}
			var confirmed string
			if conn.QueryRow(t.Context(), "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = $1", s.Postgres.Slot).Scan(&confirmed) == nil && !strings.Contains(err.Error(), confirmed) {
				t.Errorf("it does not name %s: %v", confirmed, err)
			}
			// Who says so gets all again.
			s.Postgres.OnReset = "restart"
			r = newReader(t, s).mustOpen(position)
			want := 1
			if name != "gone" {
				want++
			}
			r.read(want)
			if got := fmt.Sprint(r.records); strings.Count(got, " read ") != want || !strings.Contains(got, "public.t 1 read") {
				t.Error(got)
			}
		})
	}
}

// The identity of the server and of the database is looked at.
func TestOtherServers(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY)")
	s := configure(database, "t")
	r := start(t, s)
	position := string(r.Position())
	r.Close() //nolint:errcheck // others go on
	var p struct {
		System, LSN string
		Database    int
	}
	if err := json.Unmarshal([]byte(position), &p); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][3]string{
		{`"system":"` + p.System, `"system":"1`, "database system"},
		{fmt.Sprintf(`"database":%d`, p.Database), `"database":1`, "OID"},
		{`"timeline":1`, `"timeline":2`, "timeline"},
		{`"lsn":"` + p.LSN, `"lsn":"FF/0`, "before FF/0"},
	} {
		err := newReader(t, s).Open(t.Context(), json.RawMessage(strings.Replace(position, change[0], change[1], 1)))
		if !source.IsStop(err) || !strings.Contains(err.Error(), change[2]) {
			t.Errorf("%s: %v", change[1], err)
		}
	}
}

// A slot that is lost while it is followed ends the session with an error that
// is no reason to stop where the settings say so: the next Open begins again.
func TestSlotIsLostWhileFollowed(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	s := configure(database, "t")
	s.Postgres.OnReset = "restart"
	r := start(t, s)
	run(t, conn, "INSERT INTO t VALUES (2)")
	r.read(2)
	position := r.Position()
	drop := func() {
		t.Helper()
		deadline := time.Now().Add(patience)
		for {
			run(t, conn, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active AND slot_name = '"+s.Postgres.Slot+"'")
			if _, err := conn.Exec(context.Background(), "SELECT pg_drop_replication_slot('"+s.Postgres.Slot+"')"); err == nil {
				return
			} else if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
	drop()
	for {
		if err := r.next(); source.IsStop(err) {
			t.Fatalf("it stops: %v", err)
		} else if err != nil {
			break
		}
	}
	r.Close() //nolint:errcheck // another one goes on
	r = newReader(t, s).mustOpen(position)
	if got := r.read(2); got[0].op != source.OpRead || got[0].offset != 2 || got[1].offset != 3 {
		t.Error(got)
	}
}
