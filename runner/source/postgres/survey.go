// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// identity is what tells one server and database from another.
type identity struct {
	system   string
	timeline uint32
	end      positions.LSN // of its log
	database uint32
	version  int // as server_version_num
}

// identify asks a server who it is.
func (v *server) identify(ctx context.Context) (id identity, err error) {
	conn, err := v.connectReplication(ctx)
	if err != nil {
		return id, err
	}
	defer hangUp(conn)
	row, err := one(ctx, conn, "IDENTIFY_SYSTEM", 4)
	if err != nil || row == nil {
		return id, v.explained(fmt.Errorf("IDENTIFY_SYSTEM: %w", err))
	}
	timeline, _ := strconv.ParseUint(row[1], 10, 32)
	id.system, id.timeline = row[0], uint32(timeline)
	if id.end, err = positions.ParseLSN(row[2]); err != nil {
		return id, err
	}
	row, err = one(ctx, conn, "SELECT d.oid::text, current_setting('server_version_num'), current_setting('wal_level'), pg_encoding_to_char(d.encoding) FROM pg_catalog.pg_database d WHERE d.datname = current_database()", 4)
	if err != nil || row == nil {
		return id, v.explained(fmt.Errorf("its settings: %w", err))
	}
	id.database = parseOID(row[0])
	id.version, _ = strconv.Atoi(row[1])
	switch {
	case id.version < 130000:
		return id, stopf("PostgreSQL at %s is of version %s, which is too old: version 13 is the oldest that can be read", v.settings.Host, row[1])
	case row[2] != "logical":
		return id, stopf("PostgreSQL at %s has wal_level=%s: set wal_level = logical in its configuration, and restart it", v.settings.Host, row[2])
	case row[3] == "SQL_ASCII":
		return id, stopf("the database %s has the encoding SQL_ASCII, so that nobody knows which characters its bytes are: it cannot be read", v.settings.Database)
	}
	return id, nil
}

// resetError says that what is there is not what was read.
type resetError struct{ text string }

func (e *resetError) Error() string { return e.text }

func resetf(format string, args ...any) error { return &resetError{fmt.Sprintf(format, args...)} }

// compare says whether reading can go on from a position at a server.
func (id identity) compare(p *positions.Position) error {
	switch {
	case id.system != p.System:
		return resetf("this is the database system %s at %s, and what was read to %s is %s", id.system, id.end, p.LSN, p.System)
	case id.database != p.Database:
		return resetf("the database was made again: its OID is %d, and that of what was read to %s is %d", id.database, p.LSN, p.Database)
	case id.timeline < p.Timeline:
		return resetf("the server is on timeline %d at %s, and what was read to %s was on timeline %d: an older backup was restored, or another server is the primary", id.timeline, id.end, p.LSN, p.Timeline)
	case id.end < p.LSN:
		return resetf("the server's log ends at %s, before %s up to which it was read: an older backup was restored, or a failover has lost what came last", id.end, p.LSN)
	}
	return nil
}

// slot is a replication slot as the server has it.
type slot struct {
	there     bool
	plugin    string
	database  string
	pid       string // of who reads it, "" for nobody
	confirmed positions.LSN
	status    string // of the log that it needs
	retained  int64  // bytes of it
}

func (v *server) readSlot(ctx context.Context, conn *pgconn.PgConn) (s slot, err error) {
	row, err := one(ctx, conn, "SELECT coalesce(plugin, ''), coalesce(database, ''), coalesce(active_pid::text, ''), coalesce(confirmed_flush_lsn::text, '0/0'), coalesce(wal_status, ''), "+
		"coalesce(pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn() ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn), 0)::bigint::text "+
		"FROM pg_catalog.pg_replication_slots WHERE slot_name = "+literal(v.settings.Slot), 6)
	if err != nil || row == nil {
		return s, err
	}
	s = slot{there: true, plugin: row[0], database: row[1], pid: row[2], status: row[4]}
	if s.confirmed, err = positions.ParseLSN(row[3]); err != nil {
		return s, err
	}
	s.retained, _ = strconv.ParseInt(row[5], 10, 64)
	return s, nil
}

// usable says whether changes after a place can still be had from the slot.
func (s slot) usable(name string, from positions.LSN) error {
	switch {
	case !s.there:
		return resetf("the replication slot %s, which was read to %s, does not exist any more. What was changed since cannot be read", name, from)
	case s.status == "lost":
		return resetf("the replication slot %s was invalidated: the server has removed WAL that comes after %s, as max_slot_wal_keep_size allows. The slot's place is %s", name, from, s.confirmed)
	case s.confirmed > from:
		return resetf("the replication slot %s is at %s, after %s up to which it was read: it was made again, or somebody else has moved it. What lies between cannot be read", name, s.confirmed, from)
	}
	return nil
}

// ours says whether the slot can be the spout's.
func (s slot) ours(config settings.Postgres) error {
	switch {
	case s.there && s.plugin != "pgoutput":
		return stopf("the replication slot %s is one of the plugin %s, and not of pgoutput: choose another name (SPOUT_POSTGRES_SLOT)", config.Slot, s.plugin)
	case s.there && s.database != config.Database:
		return stopf("the replication slot %s belongs to the database %s, and not to %s: choose another name (SPOUT_POSTGRES_SLOT)", config.Slot, s.database, config.Database)
	}
	return nil
}

// makeSlot makes the slot, once the transactions have ended that run now.
func (v *server) makeSlot(ctx context.Context) error {
	conn, err := v.connectReplication(ctx)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	_, err = query(ctx, conn, "CREATE_REPLICATION_SLOT "+identifier(v.settings.Slot)+" LOGICAL pgoutput NOEXPORT_SNAPSHOT", 0)
	switch {
	case hasCode(err, codeTooManySlots):
		return stopf("the replication slot %s cannot be made: %w. Raise max_replication_slots, or drop slots that nobody needs", v.settings.Slot, err)
	case hasCode(err, codeDuplicateName):
		return nil // it has come about meanwhile
	case err != nil:
		return v.explained(fmt.Errorf("make the replication slot %s: %w", v.settings.Slot, err))
	}
	return nil
}

// table is a table of the publication.
type table struct {
	id           uint32
	schema, name string
	partitioned  bool
	identity     byte
	columns      []string // that are published; nil for all
	filter       string   // of rows, as SQL; "" for none
}

// identityOf is the replica identity that a text stands for, by default that by
// the primary key.
func identityOf(text string) byte { return (text + "d")[0] }

func (t *table) label() string { return t.schema + "." + t.name }

// sql names the table.
func (t *table) sql() string {
	name := identifier(t.schema) + "." + identifier(t.name)
	if t.partitioned {
		return name
	}
	return "ONLY " + name // those that inherit are tables of their own
}

// tables lists the publication's tables.
func (v *server) tables(ctx context.Context, conn *pgconn.PgConn, version int) (list []*table, err error) {
	more := "'', ''"
	if version >= 150000 {
		more = "coalesce(pg_catalog.array_to_json(p.attnames)::text, ''), coalesce(p.rowfilter, '')"
	}
	rows, err := query(ctx, conn, "SELECT c.oid::text, n.nspname, c.relname, c.relkind::text, c.relreplident::text, "+more+
		" FROM pg_catalog.pg_publication_tables p JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename"+
		" WHERE p.pubname = "+literal(v.settings.PublicationName())+" ORDER BY 2, 3", 7)
	if err != nil {
		return nil, fmt.Errorf("the tables of the publication %s: %w", v.settings.PublicationName(), err)
	}
	for _, row := range rows {
		t := &table{id: parseOID(row[0]), schema: row[1], name: row[2], partitioned: row[3] == "p", identity: identityOf(row[4]), filter: row[6]}
		if row[5] != "" {
			if err := json.Unmarshal([]byte(row[5]), &t.columns); err != nil {
				return nil, fmt.Errorf("the columns of table %s: %w", t.label(), err)
			}
		}
		list = append(list, t)
	}
	return list, nil
}

// ensurePublication makes the publication what the settings say, if it is the
// runner's own, and checks that it is there.
func (v *server) ensurePublication(ctx context.Context, conn *pgconn.PgConn) error {
	name := v.settings.PublicationName()
	row, err := one(ctx, conn, "SELECT oid::text FROM pg_catalog.pg_publication WHERE pubname = "+literal(name), 1)
	if err != nil {
		return err
	}
	if !v.settings.OwnsPublication() {
		if row == nil {
			return stopf("the database %s has no publication %s: make it, for example by CREATE PUBLICATION %s FOR TABLE …, or change SPOUT_POSTGRES_PUBLICATION", v.settings.Database, name, identifier(name))
		}
		return nil
	}
	wanted, unfit, err := v.resolve(ctx, conn)
	if err != nil {
		return err
	}
	if len(unfit) > 0 {
		return &source.Stop{Err: errors.Join(unfit...)}
	}
	statement := "CREATE PUBLICATION " + identifier(name) + " FOR TABLE " + wanted.sql() + " WITH (publish_via_partition_root = true)"
	if row != nil {
		present, err := query(ctx, conn, "SELECT r.prrelid::text FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = "+row[0]+
			" AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_publication_rel o ON o.prrelid = i.inhparent AND o.prpubid = r.prpubid WHERE i.inhrelid = r.prrelid)", 1)
		if err != nil {
			return err
		}
		var oids []string
		for _, r := range present {
			oids = append(oids, r[0])
		}
		slices.Sort(oids)
		if slices.Equal(oids, wanted.oids()) {
			return nil
		}
		statement = "ALTER PUBLICATION " + identifier(name) + " SET TABLE " + wanted.sql()
	}
	if _, err := query(ctx, conn, statement, 0); hasCode(err, codeNoRight) {
		return stopf("the publication %s cannot be made or changed: %w. Have an owner of the tables run %q and set SPOUT_POSTGRES_PUBLICATION to a publication, or give the user these rights", name, err, statement)
	} else if err != nil && !hasCode(err, codeDuplicateName) {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

type resolved []*table

func (r resolved) sql() string {
	var names []string
	for _, t := range r {
		names = append(names, identifier(t.schema)+"."+identifier(t.name))
	}
	return strings.Join(names, ", ")
}

func (r resolved) oids() (list []string) {
	for _, t := range r {
		list = append(list, strconv.FormatUint(uint64(t.id), 10))
	}
	slices.Sort(list)
	return list
}

// resolve finds the tables that the settings name, and says what is wrong with
// those that are not fit for being published: without a replica identity the
// database would refuse to change them.
func (v *server) resolve(ctx context.Context, conn *pgconn.PgConn) (list resolved, unfit []error, err error) {
	for _, text := range v.settings.Tables {
		schema, name, _ := settings.PostgresTable(text)
		row, err := one(ctx, conn, "SELECT c.oid::text, c.relkind::text, c.relreplident::text, EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND (CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END))::text, c.relpersistence::text "+
			"FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = "+literal(schema)+" AND c.relname = "+literal(name), 5)
		switch {
		case err != nil:
			return nil, nil, err
		case row == nil:
			unfit = append(unfit, fmt.Errorf("the database %s has no table %s.%s: make it, or take it out of SPOUT_POSTGRES_TABLES", v.settings.Database, schema, name))
		case row[1] != "r" && row[1] != "p" || row[4] != "p":
			unfit = append(unfit, fmt.Errorf("%s.%s cannot be read: only ordinary and partitioned tables have changes, no views, foreign, temporary or unlogged tables. Take it out of SPOUT_POSTGRES_TABLES", schema, name))
		case row[2] != "f" && (row[2] == "n" || row[3] != "true"):
			unfit = append(unfit, fmt.Errorf("the table %s.%s has no primary key and no replica identity, so that the database would refuse every UPDATE and DELETE of it once it is published. Run ALTER TABLE %s.%s REPLICA IDENTITY FULL, give it a primary key, or make a publication of inserts alone (WITH (publish = 'insert')) and set SPOUT_POSTGRES_PUBLICATION",
				schema, name, identifier(schema), identifier(name)))
		default:
			list = append(list, &table{id: parseOID(row[0]), schema: schema, name: name})
		}
	}
	return list, unfit, nil
}
