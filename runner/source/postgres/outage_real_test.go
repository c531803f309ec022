// SPDX-License-Identifier: Apache-2.0

//go:build brokers

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/authority"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/postgrescluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// A server that is killed and comes back is read on, and each row is there once.
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	server, err := postgrescluster.Start(t.Context(), postgrescluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	exec := func(statement string) {
		t.Helper()
		if err := server.Exec(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE t (id int PRIMARY KEY)")
	s := configure(postgrescluster.Database, "t")
	s.Postgres.Port = server.Port
	r := start(t, s)
	for i := range 3 {
		exec(fmt.Sprintf("INSERT INTO t SELECT * FROM generate_series(%d, %d)", 100*i, 100*i+49))
		r.read(100*i + 50)
		server.Kill()
		if err := server.Launch(t.Context()); err != nil {
			t.Fatal(err)
		}
		exec(fmt.Sprintf("INSERT INTO t SELECT * FROM generate_series(%d, %d)", 100*i+50, 100*i+99))
		r.read(100*i + 100)
	}
	for i, rec := range r.records {
		if want := fmt.Sprintf(`{"id":%d}`, i); rec.value != want || rec.offset != int64(i) {
			t.Fatalf("record %d is %s", i, rec)
		}
	}
}

// tunnel leads to the server, and can be cut so that nobody notices.
type tunnel struct {
	listener net.Listener
	to       string
	mu       sync.Mutex
	conns    []net.Conn
	frozen   chan struct{} // closed while nothing is let through
}

func newTunnel(t testing.TB, to string) *tunnel {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &tunnel{listener: listener, to: to, frozen: make(chan struct{})}
	go n.serve()
	t.Cleanup(func() {
		listener.Close() //nolint:errcheck // the test is over
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, c := range n.conns {
			c.Close() //nolint:errcheck // the test is over
		}
	})
	return n
}

func (n *tunnel) port() int { return n.listener.Addr().(*net.TCPAddr).Port }

func (n *tunnel) serve() {
	for {
		in, err := n.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", n.to)
		if err != nil {
			in.Close() //nolint:errcheck // the server is away
			continue
		}
		n.mu.Lock()
		n.conns = append(n.conns, in, out)
		frozen := n.frozen
		n.mu.Unlock()
		go n.copy(in, out, frozen)
		go n.copy(out, in, frozen)
	}
}

// copy passes bytes on; a connection that is frozen stays, and says nothing.
func (n *tunnel) copy(to, from net.Conn, frozen chan struct{}) {
	buffer := make([]byte, 32<<10)
	for {
		count, err := from.Read(buffer)
		select {
		case <-frozen:
			if err == nil || errors.Is(err, io.EOF) {
				swallow(from)
			}
			return
		default:
		}
		if count > 0 {
			if _, err := to.Write(buffer[:count]); err != nil {
				return
			}
		}
		if err != nil {
			to.Close() //nolint:errcheck // the other side is gone
			return
		}
	}
}

// swallow swallows what comes until the test ends.
func swallow(from net.Conn) {
	io.Copy(io.Discard, from) //nolint:errcheck // nobody hears of it
}

// freeze has all connections that there are pass nothing on any more.
func (n *tunnel) freeze() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.frozen)
	n.frozen = make(chan struct{})
}

// A runner that is gone without a word does not keep the next one waiting until
// the server has noticed: its connection is ended.
func TestStaleConnection(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY)")
	s := configure(database, "t")
	way := newTunnel(t, net.JoinHostPort(shared.Host, strconv.Itoa(shared.Port)))
	lost := s
	lost.Postgres.Port = way.port()
	r := start(t, lost)
	run(t, conn, "INSERT INTO t VALUES (1)")
	r.read(1)
	position := r.Position()
	way.freeze()
	begun := time.Now()
	next := newReader(t, s).mustOpen(position)
	run(t, conn, "INSERT INTO t VALUES (2)")
	if got := next.read(1); got[0].value != `{"id":2}` {
		t.Error(got[0])
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

// While a commit takes long, nothing is read, and the server does not give the
// runner up.
func TestSlowCommits(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for longer than a server does")
	}
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	r := start(t, configure(database, "t"))
	run(t, conn, "INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) n")
	if err := r.next(); err != nil {
		t.Fatal(err)
	}
	var pid int
	sql := "SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1"
	if err := conn.QueryRow(t.Context(), sql, r.settings.Postgres.Slot).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	time.Sleep(40 * time.Second) // longer than wal_sender_timeout of the session
	var after int
	if err := conn.QueryRow(t.Context(), sql, r.settings.Postgres.Slot).Scan(&after); err != nil || after != pid {
		t.Fatalf("process %d had the slot, and now has %d: %v", pid, after, err)
	}
	r.read(20_000)
	if reconnects := r.Source.(source.Observed).Observe().Totals.Reconnects; reconnects != 0 {
		t.Errorf("it has connected %d times more", reconnects)
	}
}

// A slot moves on while only others write: tables that are not read, and other
// databases.
func TestIdleSlots(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	_, other := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE noise (v text)")
	run(t, other, "CREATE TABLE noise (v text)")
	r := start(t, configure(database, "t"))
	for _, c := range []func(){
		func() { run(t, conn, "INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, 1000)") },
		func() { run(t, other, "INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, 1000)") },
	} {
		c()
		var end string
		if err := conn.QueryRow(t.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&end); err != nil {
			t.Fatal(err)
		}
		for {
			if err := r.next(); err != nil {
				t.Fatal(err)
			}
			var past bool
			if err := conn.QueryRow(t.Context(), "SELECT ($1::json ->> 'lsn')::pg_lsn >= $2::pg_lsn", string(r.Position()), end).Scan(&past); err != nil {
				t.Fatal(err)
			}
			if past {
				break
			}
		}
		r.durable(conn)
	}
	if len(r.records) > 0 {
		t.Error(r.records)
	}
}

// Logins: SCRAM, TLS with names that are checked, client certificates; and a
// password is not shown to whoever asks for it.
func TestLogins(t *testing.T) {
	t.Parallel()
	trusted := authority.ForTest(t, "postgres")
	own, client := trusted.IssueForTest(t, "server", "127.0.0.1"), trusted.IssueForTest(t, "robot")
	server, err := postgrescluster.Start(t.Context(), postgrescluster.Options{Fast: true,
		Files:  map[string]string{"server.crt": own.Chain, "server.key": own.Key, "ca.crt": trusted.PEM},
		Config: map[string]string{"ssl": "on", "ssl_cert_file": "../server.crt", "ssl_key_file": "../server.key", "ssl_ca_file": "../ca.crt"},
		Access: []string{"hostssl all robot all cert", "hostssl replication robot all cert", "host all clear all password", "host replication clear all password",
			"host replication outsider all scram-sha-256", "host all outsider all reject"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	if err := server.Exec(t.Context(), "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)", "CREATE PUBLICATION p FOR TABLE t",
		"CREATE ROLE reader LOGIN REPLICATION PASSWORD 'sesame'", "CREATE ROLE robot LOGIN REPLICATION", "CREATE ROLE clear LOGIN REPLICATION PASSWORD 'sesame'", "CREATE ROLE weak LOGIN PASSWORD 'sesame'",
		"CREATE ROLE outsider LOGIN REPLICATION PASSWORD 'sesame'",
		"GRANT SELECT ON t TO reader, robot, clear"); err != nil {
		t.Fatal(err)
	}
	base := func(user string) settings.Settings {
		s := configure(postgrescluster.Database)
		s.Postgres.Port, s.Postgres.User, s.Postgres.Publication, s.Postgres.Slot, s.Postgres.Password = server.Port, user, "p", "slot_"+user, "sesame"
		return s
	}
	withTLS := func(s settings.Settings) settings.Settings {
		s.Postgres.TLS.Enabled, s.Postgres.TLS.CA, s.Postgres.Slot = true, trusted.PEM, s.Postgres.Slot+"_tls"
		return s
	}
	certified := withTLS(base("robot"))
	certified.Postgres.Password, certified.Postgres.TLS.Cert, certified.Postgres.TLS.Key = "", client.Chain, client.Key
	for _, s := range []settings.Settings{base("reader"), withTLS(base("reader")), certified, base("clear")} {
		r := newReader(t, s).mustOpen(nil)
		if got := r.read(1); got[0].value != `{"id":1}` {
			t.Errorf("%s: %v", s.Postgres.Slot, got)
		}
		r.Close() //nolint:errcheck // the next one
	}
	wrong := base("reader")
	wrong.Postgres.Password = "other"
	if err := newReader(t, wrong).Open(t.Context(), nil); !source.IsStop(err) || !strings.Contains(err.Error(), "SPOUT_POSTGRES_PASSWORD") || strings.Contains(err.Error(), "other") {
		t.Error(err)
	}
	if err := newReader(t, base("weak")).Open(t.Context(), nil); !source.IsStop(err) || !strings.Contains(err.Error(), "REPLICATION") {
		t.Error(err)
	}
	// The entry for replication does not let it in.
	if err := newReader(t, base("outsider")).Open(t.Context(), nil); !source.IsStop(err) || !strings.Contains(err.Error(), "pg_hba.conf must have an entry for the user and the database "+postgrescluster.Database) {
		t.Error(err)
	}
	name := withTLS(base("reader"))
	name.Postgres.TLS.ServerName = "other.example.com"
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := newReader(t, name).Open(ctx, nil); err == nil {
		t.Error("a server with another name was taken")
	}
}

// Of several hosts, one that does not answer and a standby are passed over.
func TestHosts(t *testing.T) {
	t.Parallel()
	primary, err := postgrescluster.Start(t.Context(), postgrescluster.Options{Fast: true, Programs: os.Getenv("POSTGRES_PROGRAMS")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(primary.Stop)
	standby, err := postgrescluster.Start(t.Context(), postgrescluster.Options{Fast: true, Programs: os.Getenv("POSTGRES_PROGRAMS"), Address: net.JoinHostPort("127.0.0.2", strconv.Itoa(primary.Port))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.Stop)
	standby.Shutdown()
	if err := os.WriteFile(standby.Path("data/standby.signal"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := standby.Launch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := primary.Exec(t.Context(), "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	s := configure(postgrescluster.Database, "t")
	s.Postgres.Host, s.Postgres.Port = "127.0.0.3,127.0.0.2,"+primary.Host, primary.Port
	if got := start(t, s).read(1); got[0].value != `{"id":1}` {
		t.Errorf("%v", got)
	}
}

// How much log the server keeps for the slot can be seen.
func TestRetained(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY)")
	r := start(t, configure(database, "t"))
	for deadline := time.Now().Add(patience); r.Source.(source.Observed).Observe().Retained <= 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is not known")
		}
	}
}

// What is missing is found by a check, which changes nothing.
func TestCheck(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE log (id int)", "CREATE VIEW v AS SELECT 1")
	check := func(s settings.Settings) (good, bad string) {
		for _, f := range newReader(t, s).Source.(source.Checker).Check(t.Context(), nil) {
			if f.OK {
				good += f.Text + "\n"
			} else {
				bad += f.Text + "\n"
			}
		}
		return good, bad
	}
	if good, bad := check(configure(database, "t")); bad != "" || !strings.Contains(good, "is not there yet") {
		t.Errorf("%s\n%s", good, bad)
	}
	for table, want := range map[string]string{"log": "REPLICA IDENTITY", "v": "only ordinary", "none": "has no table public.none"} {
		if _, bad := check(configure(database, table)); !strings.Contains(bad, want) {
			t.Errorf("%s: %s", table, bad)
		}
	}
	if _, bad := check(configure(database, "log", "v", "none")); strings.Count(bad, "\n") != 3 {
		t.Errorf("of three things, it finds\n%s", bad)
	}
	run(t, conn, "CREATE SCHEMA s", "CREATE TABLE s.t (id int PRIMARY KEY)", "CREATE ROLE poor_"+database+" LOGIN REPLICATION PASSWORD 'sesame'")
	poor := configure(database, "s.t", "t")
	poor.Postgres.User, poor.Postgres.Password = "poor_"+database, "sesame"
	if _, bad := check(poor); strings.Count(bad, "\n") != 6 || !strings.Contains(bad, "GRANT CREATE ON DATABASE") || !strings.Contains(bad, "GRANT USAGE ON SCHEMA \"s\"") ||
		!strings.Contains(bad, `GRANT SELECT ON "s"."t"`) || !strings.Contains(bad, `ALTER TABLE "public"."t" OWNER TO "poor_`) {
		t.Errorf("of a user without rights, it says\n%s", bad)
	}
	run(t, conn, "DROP ROLE poor_"+database)
	var slots int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_replication_slots WHERE database = $1", database).Scan(&slots); err != nil || slots != 0 {
		t.Errorf("%d slots, %v", slots, err)
	}
	start(t, configure(database, "t")).Close() //nolint:errcheck // its slot is what is looked at
	if good, bad := check(configure(database, "t")); bad != "" || !strings.Contains(good, "has 1 tables") {
		t.Errorf("%s\n%s", good, bad)
	}
}

// Release drops the slot and the publication that the runner has made, and
// nothing if it was done before.
func TestRelease(t *testing.T) {
	t.Parallel()
	database, conn := newDatabase(t)
	run(t, conn, "CREATE TABLE t (id int PRIMARY KEY)", "CREATE PUBLICATION mine FOR TABLE t")
	s := configure(database, "t")
	start(t, s).Close() //nolint:errcheck // it is released
	theirs := configure(database)
	theirs.Postgres.Publication, theirs.Postgres.Slot = "mine", s.Postgres.Slot+"_2"
	r := newReader(t, theirs).mustOpen(nil)
	r.copied(1)
	r.Close() //nolint:errcheck // it is released
	for _, s := range []settings.Settings{s, theirs, s} {
		if err := newReader(t, s).Source.(source.Releaser).Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var slots, publications int
	if err := conn.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = $1), (SELECT count(*) FROM pg_publication)", database).Scan(&slots, &publications); err != nil || slots != 0 || publications != 1 {
		t.Errorf("%d slots, %d publications, %v", slots, publications, err)
	}
}
