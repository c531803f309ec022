// SPDX-License-Identifier: Apache-2.0

//go:build brokers

package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

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
