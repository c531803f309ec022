// SPDX-License-Identifier: Apache-2.0

//go:build brokers

package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

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
