// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/tlsconfig"
)

const (
	connectTimeout = 20 * time.Second
	// senderTimeout is how long the server waits for a word of the runner: a
	// connection that was cut keeps the slot for as long.
	senderTimeout = 30 * time.Second
)

// server connects to the database.
type server struct {
	settings settings.Postgres
	config   *pgconn.Config
	largest  int    // bytes of a message
	appName  string // by which the server knows its connections
	invalid  error  // what is wrong with the settings
}

func newServer(s settings.Postgres, largest int) *server {
	v := &server{settings: s, largest: largest, appName: "spout-runner/" + s.Slot}
	v.config, v.invalid = v.makeConfig()
	return v
}

func (v *server) makeConfig() (*pgconn.Config, error) {
	c, err := pgconn.ParseConfig("host=localhost user=none sslmode=disable") // nothing of the environment
	if err != nil {
		return nil, err
	}
	s := v.settings
	hosts := s.Hosts()
	c.Host, c.Port, c.Database, c.User, c.Password = hosts[0], uint16(s.Port), s.Database, s.Name(), s.Password
	c.Fallbacks, c.RequireAuth, c.ConnectTimeout = nil, "", connectTimeout
	c.MaxProtocolMessageBodyLen = v.largest
	c.DialFunc = (&net.Dialer{KeepAlive: senderTimeout / 2}).DialContext
	if !s.MayShowPassword() {
		c.RequireAuth = "scram-sha-256,none"
	}
	if s.TLS.Enabled {
		if c.TLSConfig, err = tlsconfig.Client(s.TLS.TLS, "SPOUT_POSTGRES_TLS"); err != nil {
			return nil, err
		}
	}
	named := c.TLSConfig
	c.TLSConfig = certifiedAs(named, hosts[0])
	for _, host := range hosts[1:] {
		c.Fallbacks = append(c.Fallbacks, &pgconn.FallbackConfig{Host: host, Port: c.Port, TLSConfig: certifiedAs(named, host)})
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	// The text of values depends on these, and how long a copy may take, wherever
	// they come from.
	c.RuntimeParams = map[string]string{
		"application_name": v.appName[:min(len(v.appName), 63)], "client_encoding": "UTF8", "datestyle": "ISO", "intervalstyle": "iso_8601", "timezone": "UTC",
		"extra_float_digits": "3", "bytea_output": "hex", "search_path": "", "standard_conforming_strings": "on", "lc_monetary": "C",
		"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0", "row_security": "off",
		"default_transaction_read_only": "off", "default_transaction_isolation": "read committed",
	}
	return c, nil
}

// certifiedAs is a configuration of TLS for a server, whose certificate has its
// name unless another one is set.
func certifiedAs(config *tls.Config, host string) *tls.Config {
	if config == nil || config.ServerName != "" {
		return config
	}
	config = config.Clone()
	config.ServerName = host
	return config
}

// connect opens a connection for queries.
func (v *server) connect(ctx context.Context) (*pgconn.PgConn, error) {
	return v.open(ctx, v.config.RuntimeParams, nil)
}

// readBuffer is how much is read at once of a connection with changes: each row
// is a packet of its own.
const readBuffer = 128 << 10

// connectReplication opens one for commands of the replication protocol.
func (v *server) connectReplication(ctx context.Context) (*pgconn.PgConn, error) {
	conn, _, err := v.connectBuffered(ctx)
	return conn, err
}

// connectBuffered does that, and returns what is read ahead.
func (v *server) connectBuffered(ctx context.Context) (conn *pgconn.PgConn, ahead *bufio.Reader, err error) {
	params := map[string]string{"replication": "database", "wal_sender_timeout": fmt.Sprint(senderTimeout.Milliseconds())}
	for name, value := range v.config.RuntimeParams {
		params[name] = value
	}
	conn, err = v.open(ctx, params, func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		ahead = bufio.NewReaderSize(r, readBuffer)
		return pgproto3.NewFrontend(ahead, w)
	})
	return conn, ahead, err
}

func (v *server) open(ctx context.Context, params map[string]string, frontend pgconn.BuildFrontendFunc) (*pgconn.PgConn, error) {
	if v.invalid != nil {
		return nil, &source.Stop{Err: v.invalid}
	}
	c := v.config.Copy()
	c.RuntimeParams = params
	if frontend == nil {
		frontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend { return pgproto3.NewFrontend(r, w) }
	}
	c.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend { return frontend(&guard{Reader: r}, w) }
	conn, err := pgconn.ConnectConfig(ctx, c)
	if err != nil {
		return nil, v.explained(err)
	}
	if _, err := query(ctx, conn, noTimeouts, 0); err != nil {
		hangUp(conn)
		return nil, v.explained(err)
	}
	return conn, nil
}

// noTimeouts unsets those that not all versions know, which would refuse a
// connection that names them.
const noTimeouts = "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN ('idle_session_timeout', 'transaction_timeout') AND setting <> '0'"

// Codes of errors that trying again does not solve.
const (
	codeBadPassword   = "28P01"
	codeNoAccess      = "28000"
	codeNoDatabase    = "3D000"
	codeNoRight       = "42501"
	codeObjectInUse   = "55006"
	codeNoTable       = "42P01"
	codeNoObject      = "42704"
	codeNotInState    = "55000" // as wal_level, or a slot that was invalidated
	codeTooManySlots  = "53400"
	codeDuplicateName = "42710"
)

// hasCode says whether an error is one of the server's.
func hasCode(err error, codes ...string) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	for _, code := range codes {
		if pg.Code == code {
			return true
		}
	}
	return false
}

// explained says what to do about what only an operator can.
func (v *server) explained(err error) error {
	var pg *pgconn.PgError
	errors.As(err, &pg)
	where := fmt.Sprintf("%s port %d", v.settings.Host, v.settings.Port)
	switch {
	case pg != nil && pg.Code == codeBadPassword:
		return stopf("PostgreSQL at %s refuses the password of the user %s: %s. Change the secret of SPOUT_POSTGRES_USERNAME and SPOUT_POSTGRES_PASSWORD", where, v.settings.Name(), pg.Message)
	case pg != nil && pg.Code == codeNoAccess:
		return stopf("PostgreSQL at %s does not let the user %s in: %s. pg_hba.conf must have an entry for the user and the database %s, since the keyword replication stands for physical replication only, and the user needs the attribute LOGIN", where, v.settings.Name(), pg.Message, v.settings.Database)
	case pg != nil && pg.Code == codeNoDatabase:
		return stopf("PostgreSQL at %s: %s. Change SPOUT_POSTGRES_DATABASE", where, pg.Message)
	case pg != nil && pg.Code == codeNoRight:
		return stopf("PostgreSQL at %s: %s. The user %s needs the attribute REPLICATION, for example by ALTER ROLE %s REPLICATION", where, pg.Message, v.settings.Name(), identifier(v.settings.Name()))
	case pg == nil && strings.Contains(err.Error(), "require_auth"):
		return stopf("PostgreSQL at %s asks for the password in a way that others can read: %w. Use SPOUT_POSTGRES_TLS, have the server use scram-sha-256, or set SPOUT_POSTGRES_ALLOW_CLEARTEXT_CREDENTIALS", where, err)
	}
	return fmt.Errorf("PostgreSQL at %s: %w", where, err)
}

func stopf(format string, args ...any) error { return &source.Stop{Err: fmt.Errorf(format, args...)} }

// query runs SQL by the simple protocol, which a connection for replication
// knows too, and returns rows of at least so many columns. Null is "".
func query(ctx context.Context, conn *pgconn.PgConn, sql string, columns int) ([][]string, error) {
	results := conn.Exec(ctx, sql)
	var rows [][]string
	size := 0
	give := func(format string, args ...any) ([][]string, error) {
		hangUp(conn) // the rest is not read
		return nil, fmt.Errorf(format, args...)
	}
	for results.NextResult() {
		if size += rowMemory; size > maxAnswer {
			return give("the server's answer has results that take more than %d bytes", maxAnswer)
		}
		for result := results.ResultReader(); result.NextRow(); {
			values := result.Values()
			if len(values) < columns {
				return give("the server answers with %d columns, and should with %d", len(values), columns)
			}
			row := make([]string, len(values))
			size += rowMemory
			for i, value := range values {
				row[i] = string(value)
				size += len(value) + valueMemory
			}
			if size > maxAnswer {
				return give("the server's answer takes more than %d bytes", maxAnswer)
			}
			rows = append(rows, row)
		}
	}
	if err := results.Close(); err != nil {
		return nil, err
	}
	return rows, nil
}

// Answers to questions are bounded. That about the tables of a publication is
// the longest.
const (
	maxAnswer   = 16 << 20
	valueMemory = 48
	rowMemory   = 64
)

// one runs SQL that returns a row of so many columns, or none.
func one(ctx context.Context, conn *pgconn.PgConn, sql string, columns int) ([]string, error) {
	rows, err := query(ctx, conn, sql, columns)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// identifier and literal quote names and texts in SQL.
func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
func literal(text string) string    { return `'` + strings.ReplaceAll(text, `'`, `''`) + `'` }

// hangUp closes a connection without waiting for the server.
func hangUp(conn *pgconn.PgConn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn.Close(ctx) //nolint:errcheck // it is not needed any more
}
