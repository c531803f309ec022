// SPDX-License-Identifier: Apache-2.0

//go:build brokers

package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Generated columns are in neither copies nor changes, so that both have the
// same columns.
func TestGeneratedColumns(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED, v text)", "INSERT INTO t VALUES (1, DEFAULT, 'a')")
	s := configure(database, "t")
	s.File.Format = "avro"
	r := start(t, s)
	run(t, conn, "INSERT INTO t VALUES (2, DEFAULT, 'b')")
	r.read(2)
	if r.records[0].schema != r.records[1].schema || strings.Contains(r.records[0].schema.Avro, "twice") {
		t.Errorf("%s\n%s", r.records[0].schema.Avro, r.records[1].schema.Avro)
	}
}

// What a publication leaves out, columns and rows, is in no copy either.
func TestColumnsAndFilters(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	var version int
	if err := conn.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		t.Fatal(err)
	}
	if version < 150000 {
		t.Skip("publications of that version have neither")
	}
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY, secret text, v text)", "INSERT INTO t VALUES (1, 's', 'a'), (-1, 's', 'b')", "CREATE PUBLICATION p FOR TABLE t (id, v) WHERE (id > 0)")
	s := configure(database)
	s.Postgres.Publication = "p"
	r := newReader(t, s).mustOpen(nil)
	r.copied(1)
	run(t, conn, "INSERT INTO t VALUES (2, 's', 'c'), (-2, 's', 'd')")
	expect(t, r.read(2),
		`public.t 0 read key={"id":1} value={"id":1,"v":"a"} before= unchanged=[]`,
		`public.t 1 insert key={"id":2} value={"id":2,"v":"c"} before= unchanged=[]`)
}

// A publication of inserts alone may have tables that nobody could change
// otherwise, and a table with a policy for rows is refused rather than copied in
// part.
func TestTablesOfOthers(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE log (line text)", "CREATE PUBLICATION p FOR TABLE log WITH (publish = 'insert')", "INSERT INTO log VALUES ('a')")
	s := configure(database)
	s.Postgres.Publication = "p"
	r := newReader(t, s).mustOpen(nil)
	r.copied(1)
	run(t, conn, "INSERT INTO log VALUES ('b')", "UPDATE log SET line = 'c'")
	expect(t, r.read(2),
		`public.log 0 read key= value={"line":"a"} before= unchanged=[]`,
		`public.log 1 insert key= value={"line":"b"} before= unchanged=[]`)

	role := "role_" + database
	run(t, conn, fmt.Sprintf("CREATE ROLE %s LOGIN REPLICATION", role), "CREATE TABLE mine (id int PRIMARY KEY)", "ALTER TABLE mine ENABLE ROW LEVEL SECURITY", "GRANT SELECT ON mine TO "+role, "CREATE PUBLICATION q FOR TABLE mine")
	defer run(t, conn, "DROP OWNED BY "+role, "DROP ROLE "+role)
	s.Postgres.User, s.Postgres.Publication, s.Postgres.Slot = role, "q", s.Postgres.Slot+"_q"
	if _, err := conn.Exec(t.Context(), "ALTER ROLE "+role+" PASSWORD 'sesame'"); err != nil {
		t.Fatal(err)
	}
	s.Postgres.Password = "sesame"
	r = newReader(t, s).mustOpen(nil)
	if why := r.stopped(); !strings.Contains(why, "BYPASSRLS") {
		t.Error(why)
	}
	r.Close() //nolint:errcheck // it has stopped
}

// With the policy never, a table begins with its first change.
func TestWithoutCopies(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	s := configure(database, "t")
	s.Postgres.Snapshot = "never"
	r := newReader(t, s).mustOpen(nil)
	run(t, conn, "INSERT INTO t VALUES (2)")
	if got := r.read(1); got[0].value != `{"id":2}` || got[0].op != source.OpInsert {
		t.Error(got)
	}
}

// Debezium's envelope has what its readers look for.
func TestEnvelopes(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY, v text, large text)", "ALTER TABLE t ALTER large SET STORAGE EXTERNAL", "INSERT INTO t VALUES (1, 'a', repeat('x', 5000))")
	s := configure(database, "t")
	s.File.Format = "lines"
	r := start(t, s)
	run(t, conn, "UPDATE t SET v = 'b'", "DELETE FROM t", "TRUNCATE t")
	r.read(4)
	for i, want := range [][]string{
		{`{"before":null,"after":{"id":1,"v":"a","large":"xxx`, `"snapshot":"true","db":"` + database + `","schema":"public","table":"t","txId":null`, `"op":"r"`},
		{`{"before":null,"after":{"id":1,"v":"b","large":"__debezium_unavailable_value"}`, `"snapshot":"false"`, `"op":"u"`},
		{`{"before":{"id":1},"after":null,`, `"op":"d"`},
		{`{"before":null,"after":null,`, `"op":"t"`},
	} {
		for _, text := range want {
			if !strings.Contains(r.records[i].value, text) {
				t.Errorf("%s lacks %s", r.records[i].value, text)
			}
		}
	}
}
