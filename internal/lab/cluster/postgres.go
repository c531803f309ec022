// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/proc"
)

const (
	postgresUser     = "pachyderm"
	postgresPassword = "pachyderm" // never asked for
)

// Databases that pachd and its identity server want.
const (
	databasePachd    = "pachyderm"
	databaseIdentity = "dex"
)

// findPostgres returns the folder of PostgreSQL's programs: the machine's own or, if it has none, downloaded ones.
func findPostgres(ctx context.Context, progress io.Writer) (string, error) {
	var candidates []string
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if initdb, err = filepath.EvalSymlinks(initdb); err == nil {
			candidates = append(candidates, filepath.Dir(initdb))
		}
	}
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // Debian keeps them off PATH
	slices.SortFunc(installed, func(a, b string) int { return postgresVersion(b) - postgresVersion(a) })
	for _, dir := range append(candidates, installed...) {
		if hasPostgres(dir) {
			say(progress, "PostgreSQL of this machine, in %s", dir)
			return dir, nil
		}
	}
	return downloadPostgres(ctx, progress)
}

func postgresVersion(bin string) int {
	version, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return version
}

func hasPostgres(dir string) bool {
	for _, program := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(dir, program)); err != nil {
			return false
		}
	}
	return true
}

func (c *Cluster) startPostgres(ctx context.Context) error {
	data := c.layout.data("postgres")
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err != nil {
		if err := c.initPostgres(ctx, data); err != nil {
			return err
		}
	}
	if err := removeStaleLock(filepath.Join(data, "postmaster.pid")); err != nil {
		return err
	}
	args := []string{"-D", data, "-p", strconv.Itoa(portPostgres), "-c", "listen_addresses=" + strings.Join(c.listen, ","),
		"-c", "unix_socket_directories=", "-c", "max_connections=200"}
	if c.opts.Fast {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	cmd, err := postgresCommand(exec.Command(filepath.Join(c.postgresBin, "postgres"), args...))
	if err != nil {
		return err
	}
	p, err := startProcess("postgres", c.layout.log("postgres"), cmd, c.lost)
	if err != nil {
		return err
	}
	c.postgres.Store(p)
	return p.awaitReady(ctx, makeDatabases)
}

// removeStaleLock removes the lock of a PostgreSQL that was killed and that nobody has waited for yet, as happens where
// process 1 is no real init. PostgreSQL takes such a process for a live one.
func removeStaleLock(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if pid, err := strconv.Atoi(line); err == nil && proc.Runs(pid) {
		return nil
	}
	return os.Remove(path)
}

// initPostgres makes the data folder, which is no other user's to read.
func (c *Cluster) initPostgres(ctx context.Context, data string) error {
	if err := os.RemoveAll(data); err != nil { // what an interrupted one left
		return err
	}
	args := []string{"-D", data, "-U", postgresUser, "-A", "trust", "-E", "UTF8", "--locale=C"}
	if c.opts.Fast {
		args = append(args, "--no-sync")
	}
	cmd, err := postgresCommand(exec.CommandContext(ctx, filepath.Join(c.postgresBin, "initdb"), args...))
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w:\n%s", err, out)
	}
	if len(c.listen) > 1 { // for pods
		return appendTo(filepath.Join(data, "pg_hba.conf"), "host all all 0.0.0.0/0 trust\n")
	}
	return nil
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// postgresCommand prepares one of PostgreSQL's programs. They refuse to run as root; as root they therefore get a user
// namespace in which root is called postgres or nobody. To everyone outside its files are root's, so that the data may be
// in a folder that only root can enter.
func postgresCommand(cmd *exec.Cmd) (*exec.Cmd, error) {
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	if os.Geteuid() != 0 {
		return cmd, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL doesn't run as root, and there is no other user: %w", err)
	}
	uid, uidErr := strconv.Atoi(account.Uid)
	gid, gidErr := strconv.Atoi(account.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, fmt.Errorf("user %s: %w", account.Username, err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: 0, Size: 1}},
	}
	return cmd, nil
}

// makeDatabases makes the databases that are missing. It fails while PostgreSQL isn't ready.
func makeDatabases(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, fmt.Sprintf("postgres://%s@%s/postgres?sslmode=disable", postgresUser, addr(portPostgres)))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, name := range []string{databasePachd, databaseIdentity} {
		var there bool
		if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", name).Scan(&there); err != nil {
			return err
		}
		if !there {
			if _, err := conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize()); err != nil {
				return err
			}
		}
	}
	return nil
}

// RestartPostgres stops PostgreSQL as an operator would, closing all connections, and starts it again.
func (c *Cluster) RestartPostgres(ctx context.Context) error {
	c.postgres.Load().stop(syscall.SIGINT)
	if err := c.startPostgres(ctx); err != nil {
		return fmt.Errorf("restarting PostgreSQL: %w", err)
	}
	return nil
}
