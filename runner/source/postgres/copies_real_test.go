// SPDX-License-Identifier: Apache-2.0

//go:build brokers

package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

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
