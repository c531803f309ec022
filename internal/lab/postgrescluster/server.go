// SPDX-License-Identifier: Apache-2.0

//go:build linux

package postgrescluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/child"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/proc"
)

// Names that every server has.
const (
	Superuser = "admin" // whom the server trusts on loopback without a password
	Database  = "app"
)

// Options say what to start.
type Options struct {
	Programs string            // folder of PostgreSQL's programs; "" for those of this machine
	Address  string            // to listen on; "" for a loopback address and a free port
	Config   map[string]string // settings of the server, beside the defaults of this package
	Files    map[string]string // contents of files beside the server's data, which settings name as ../NAME
	Access   []string          // lines of pg_hba.conf that come first
	Fast     bool              // do not wait for the disk; what is committed may be lost with the machine
	Progress io.Writer         // gets lines about what is fetched; nil for none
}

// Server is a running server.
type Server struct {
	Host string
	Port int

	options  Options
	programs string
	dir      string
	process  *child.Server
}

// startTimeout is how long a server may take, on a busy machine, after a crash.
const startTimeout = 2 * time.Minute

// Start makes a server with an empty database and waits until it serves.
func Start(ctx context.Context, options Options) (_ *Server, err error) {
	if options.Progress == nil {
		options.Progress = io.Discard
	}
	s := &Server{options: options, programs: options.Programs}
	if s.programs == "" {
		if s.programs, err = cluster.FindPostgres(ctx, options.Progress); err != nil {
			return nil, err
		}
	}
	if err := s.chooseAddress(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "postgrescluster-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Stop()
		}
	}()
	if err := s.initialise(ctx); err != nil {
		return nil, err
	}
	if err := s.Launch(ctx); err != nil {
		return nil, err
	}
	conn, err := s.Connect(ctx, "postgres")
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx) //nolint:errcheck // it is done
	_, err = conn.Exec(ctx, "CREATE DATABASE "+Database)
	return s, err
}

func (s *Server) chooseAddress() error {
	address := s.options.Address
	if address == "" {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		address = listener.Addr().String()
		if err := listener.Close(); err != nil {
			return err
		}
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	s.Host = host
	s.Port, err = strconv.Atoi(port)
	return err
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Path is a file in the server's folder, which it can read.
func (s *Server) Path(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) initialise(ctx context.Context) error {
	cmd, err := cluster.PostgresCommand(exec.CommandContext(ctx, filepath.Join(s.programs, "initdb"), "-D", s.data(), "-U", Superuser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"))
	if err != nil {
		return err
	}
	cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+filepath.Join(filepath.Dir(s.programs), "lib"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w:\n%s", err, out)
	}
	for name, content := range s.options.Files {
		if err := os.WriteFile(s.Path(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	lines := append(slices.Clone(s.options.Access), "host all "+Superuser+" samehost trust", "host replication "+Superuser+" samehost trust",
		"host all all all scram-sha-256", "host replication all all scram-sha-256")
	return os.WriteFile(filepath.Join(s.data(), "pg_hba.conf"), []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// Launch starts a server that was ended, and waits until it serves.
func (s *Server) Launch(ctx context.Context) error {
	config := map[string]string{"listen_addresses": s.Host, "port": strconv.Itoa(s.Port), "unix_socket_directories": "", "wal_level": "logical", "max_connections": "100",
		"max_replication_slots": "20", "max_wal_senders": "20", "shared_buffers": "32MB", "max_wal_size": "256MB", "log_min_messages": "warning", "fsync": "on",
		"password_encryption": "scram-sha-256"}
	if s.options.Fast {
		config["fsync"], config["synchronous_commit"], config["full_page_writes"] = "off", "off", "off"
	}
	maps.Copy(config, s.options.Config)
	args := []string{"-D", s.data()}
	for _, name := range slices.Sorted(maps.Keys(config)) {
		args = append(args, "-c", name+"="+config[name])
	}
	if err := os.Remove(filepath.Join(s.data(), "postmaster.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // of a server that was killed
	}
	cmd, err := cluster.PostgresCommand(exec.Command(filepath.Join(s.programs, "postgres"), args...))
	if err != nil {
		return err
	}
	cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+filepath.Join(filepath.Dir(s.programs), "lib"))
	if s.process, err = child.StartServer(cmd, s.Path("log")); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	return s.awaitServing(ctx)
}

func (s *Server) awaitServing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := s.Connect(ctx, "postgres")
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ticker.C:
		case <-s.process.Ended():
			return fmt.Errorf("PostgreSQL has ended (%w):\n%s", s.process.Err(), s.process.LogTail(20))
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL does not serve: %w\n%s", err, s.process.LogTail(20))
		}
	}
}

// URL is that of a database, for the superuser.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", Superuser, net.JoinHostPort(s.Host, strconv.Itoa(s.Port)), database)
}

// Connect connects as the superuser.
func (s *Server) Connect(ctx context.Context, database string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(s.URL(database))
	if err != nil {
		return nil, err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	return pgx.ConnectConfig(ctx, config)
}

// Exec runs statements in the database, each in a transaction of its own.
func (s *Server) Exec(ctx context.Context, statements ...string) error {
	conn, err := s.Connect(ctx, Database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // it is done
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// Grace that a server is given to end.
const grace = 20 * time.Second

// Kill ends the server as kill -9 or a power cut does, its children too.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	children := proc.Children(s.process.PID())
	s.process.End(syscall.SIGKILL, grace)
	for _, c := range children { // they would end soon, and hold the memory until then
		_ = syscall.Kill(c.PID, syscall.SIGKILL) // an error means that it has ended
		for deadline := time.Now().Add(grace); proc.Runs(c.PID) && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}
}

// Shutdown ends the server as an operator does, with all connections.
func (s *Server) Shutdown() {
	if s.process != nil {
		s.process.End(syscall.SIGINT, grace)
	}
}

// Log is the end of the server's log.
func (s *Server) Log() string {
	if s.process == nil {
		return ""
	}
	return s.process.LogTail(30)
}

// Stop ends the server and removes its files.
func (s *Server) Stop() {
	s.Kill()
	_ = os.RemoveAll(s.dir)
}

// Signal sends a signal to the server and all its processes, as SIGSTOP, and
// does not wait.
func (s *Server) Signal(signal syscall.Signal) error {
	err := syscall.Kill(s.process.PID(), signal)
	for _, c := range proc.Children(s.process.PID()) {
		_ = syscall.Kill(c.PID, signal) // an error means that it has ended
	}
	return err
}
