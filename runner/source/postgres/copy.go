// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/postgres/pgoutput"
)

// copyNew copies the tables of the publication that are new.
func (w *worker) copyNew(ctx context.Context) error {
	pending, err := retry(ctx, w.source, "tables", func() ([]*table, error) { return w.newTables(ctx) })
	if err != nil {
		return err
	}
	w.recheck, w.looked = false, time.Now()
	for _, t := range pending {
		if err := w.copyTable(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// newTables are those of the publication that are not read yet. It notes which
// ones the publication has lost.
func (w *worker) newTables(ctx context.Context) (list []*table, err error) {
	conn, err := w.question(ctx)
	if err != nil {
		return nil, err
	}
	all, err := w.server.tables(ctx, conn, w.version)
	if err != nil {
		w.hangUpQuestion()
		return nil, err
	}
	if len(all) > mostTables {
		return nil, stopf("the publication %s has %d tables, and what was read of more than %d does not fit into a commit's description. Divide them among several publications and spouts", w.server.settings.PublicationName(), len(all), mostTables)
	}
	end, err := w.server.end(ctx, conn)
	if err != nil {
		w.hangUpQuestion()
		return nil, err
	}
	return w.compare(all, end), nil
}

// mostTables bounds the tables: the position tells of each, and is kept in the
// description of a commit, which holds 1 MiB.
const mostTables = 4000

// exportTimeout is how long a snapshot is waited for at first, while the table
// is locked against being altered. Whoever waits for that lock with a
// transaction keeps the snapshot from coming about, so that it is given up, and
// tried again for twice as long.
const exportTimeout = 30 * time.Second

// copyTable copies a table and hands it over.
func (w *worker) copyTable(ctx context.Context, t *table) error {
	timeout := exportTimeout
	_, err := retry(ctx, w.source, "copy", func() (bool, error) {
		err := w.tryCopy(ctx, t, timeout)
		timeout *= 2
		switch {
		case err == nil || source.IsStop(err):
		case w.partial:
			err = &partialError{err} // the loop begins again from the last commit
		default:
			w.drop()
		}
		if partial := (*partialError)(nil); errors.As(err, &partial) {
			return false, &source.Stop{Err: partial}
		}
		return true, err
	})
	var partial *partialError
	if errors.As(err, &partial) {
		return partial.cause
	}
	return err
}

// partialError ends a copy of which a part was handed over.
type partialError struct{ cause error }

func (e *partialError) Error() string { return e.cause.Error() }

func (w *worker) tryCopy(ctx context.Context, t *table, timeout time.Duration) error {
	conn, err := w.server.connect(ctx)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	// The lock comes before the snapshot: a table that is altered or truncated
	// in between would look empty.
	if _, err := query(ctx, conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE "+t.sql()+" IN ACCESS SHARE MODE", 0); err != nil {
		return w.copyRefused(t, err)
	}
	exporting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	exporter, place, snapshot, err := w.server.export(exporting)
	if err != nil {
		if exporting.Err() != nil && ctx.Err() == nil {
			return fmt.Errorf("the copy of table %s waits for transactions to end that were running %s ago", t.label(), timeout)
		}
		return err
	}
	defer hangUp(exporter)
	if _, err := query(ctx, conn, "SET TRANSACTION SNAPSHOT "+literal(snapshot), 0); err != nil {
		return fmt.Errorf("the snapshot for table %s: %w", t.label(), err)
	}
	m, millis, err := w.describe(ctx, conn, t)
	if err != nil || m == nil {
		return err // it is gone
	}
	r, err := w.relation(ctx, m) // changes that follow go into the same files
	if err != nil {
		return err
	}
	w.log.Info("copying a table", "table", t.label(), "snapshot_at", place.String())
	c := &copying{worker: w, ctx: ctx, relation: r, tx: &transaction{id: place.Append(nil), millis: millis, commit: uint64(place)}}
	if _, err := conn.CopyTo(ctx, c, copySQL(t, r)); err != nil {
		return w.copyRefused(t, explainLarge(err))
	}
	w.setPlace(t.id, &positions.Relation{Copied: place})
	if err := w.flush(ctx, true); err != nil {
		return err
	}
	w.log.Info("a table is copied", "table", t.label(), "rows", c.rows)
	return nil
}

func copySQL(t *table, r *relation) string {
	var columns []string
	for _, c := range r.columns {
		columns = append(columns, identifier(c.name))
	}
	sql := "SELECT " + strings.Join(columns, ", ") + " FROM " + t.sql()
	if t.filter != "" {
		sql += " WHERE " + t.filter
	}
	return "COPY (" + sql + ") TO STDOUT"
}

// copyRefused says what to do about a table that cannot be copied.
func (w *worker) copyRefused(t *table, err error) error {
	if hasCode(err, codeNoRight) {
		return stopf("the table %s cannot be copied: %w. Run GRANT SELECT ON %s TO %s; if the table has policies for rows, the user needs BYPASSRLS", t.label(), err, identifier(t.schema)+"."+identifier(t.name), identifier(w.server.settings.Name()))
	}
	if hasCode(err, codeNoTable) {
		w.recheck = true
		return nil // it was dropped
	}
	return fmt.Errorf("copy table %s: %w", t.label(), err)
}

// describe reads what a table is like, as the changes that follow will say it.
func (w *worker) describe(ctx context.Context, conn *pgconn.PgConn, t *table) (*pgoutput.Relation, int64, error) {
	generated := "a.attgenerated = ''"
	if w.version >= 180000 {
		generated = "(a.attgenerated = '' OR a.attgenerated = 's' AND EXISTS (SELECT FROM pg_catalog.pg_publication p WHERE p.pubname = " + literal(w.server.settings.PublicationName()) + " AND p.pubgencols = 's'))"
	}
	rows, err := query(ctx, conn, "SELECT a.attname, a.atttypid::text, a.atttypmod::text, EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND a.attnum = ANY (i.indkey) AND (CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END))::text, "+
		"c.relreplident::text, (extract(epoch FROM pg_catalog.transaction_timestamp()) * 1000)::bigint::text FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid "+
		"WHERE a.attrelid = "+strconv.FormatUint(uint64(t.id), 10)+" AND a.attnum > 0 AND NOT a.attisdropped AND "+generated+" ORDER BY a.attnum", 6)
	if err != nil || len(rows) == 0 {
		return nil, 0, err
	}
	m := &pgoutput.Relation{ID: t.id, Schema: t.schema, Name: t.name, Identity: identityOf(rows[0][4])}
	for _, row := range rows {
		if t.columns == nil || slices.Contains(t.columns, row[0]) {
			m.Columns = append(m.Columns, pgoutput.Column{Key: row[3] == "true", Name: row[0], Type: parseOID(row[1]), Modifier: parseModifier(row[2])})
		}
	}
	millis, _ := strconv.ParseInt(rows[0][5], 10, 64)
	return m, millis, nil
}

func parseModifier(text string) int32 {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return noModifier
	}
	return int32(n)
}

// export makes a temporary slot and returns its place and a snapshot: what
// committed before the place is in the snapshot, and nothing else. Both last as
// long as the connection.
func (v *server) export(ctx context.Context) (_ *pgconn.PgConn, place positions.LSN, snapshot string, err error) {
	conn, err := v.connectReplication(ctx)
	if err != nil {
		return nil, 0, "", err
	}
	defer func() {
		if err != nil {
			hangUp(conn)
		}
	}()
	var random [4]byte
	rand.Read(random[:]) //nolint:errcheck // it never fails
	name := v.settings.Slot[:min(len(v.settings.Slot), 48)] + "_copy_" + hex.EncodeToString(random[:])
	row, err := one(ctx, conn, "CREATE_REPLICATION_SLOT "+identifier(name)+" TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT", 4)
	switch {
	case hasCode(err, codeTooManySlots):
		return nil, 0, "", stopf("a table cannot be copied: %w. The copy needs one more slot for a while: raise max_replication_slots, or drop slots that nobody needs", err)
	case err != nil:
		return nil, 0, "", fmt.Errorf("a temporary replication slot: %w", err)
	case row == nil:
		return nil, 0, "", errors.New("the server says nothing of the temporary replication slot")
	}
	place, err = positions.ParseLSN(row[1])
	return conn, place, row[2], err
}

// copying takes the rows of a copy.
type copying struct {
	*worker
	ctx      context.Context //nolint:containedctx // of one copy
	relation *relation
	tx       *transaction
	text     copyText
	rest     []byte // of a line that has not come whole
	rows     int64
}

// Write implements io.Writer.
func (c *copying) Write(data []byte) (int, error) {
	n := len(data)
	for {
		line, rest, whole := bytes.Cut(data, []byte{'\n'})
		if most := c.server.largest; len(c.rest)+len(line) > most {
			return 0, stopf("a row of the table %s is larger than may be held: it has more than %d bytes. Raise SPOUT_MEMORY_BUDGET, to %d times the larger one at least", c.relation.label(), most, 4*messageShare)
		}
		if !whole {
			c.rest = append(c.rest, line...)
			return n, nil
		}
		if len(c.rest) > 0 {
			c.rest = append(c.rest, line...)
			line = c.rest
		}
		values, err := c.text.line(line, len(c.relation.columns))
		if err != nil {
			return 0, err
		}
		c.add(&row{relation: c.relation, op: source.OpRead, new: values, tx: c.tx})
		c.rows++
		c.rest, data = c.rest[:0], rest
		if c.round.full() {
			if err := c.flush(c.ctx, false); err != nil {
				return 0, err
			}
		}
	}
}
