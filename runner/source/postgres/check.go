// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Check implements [source.Checker].
func (s *Source) Check(ctx context.Context, position json.RawMessage) (findings []source.Finding) {
	ok := func(format string, args ...any) {
		findings = append(findings, source.Finding{OK: true, Text: fmt.Sprintf(format, args...)})
	}
	bad := func(err error) { findings = append(findings, source.Finding{Text: s.quoted(err).Error()}) }
	var known *positions.Position
	if position != nil {
		var err error
		if known, err = positions.Parse(position); err != nil {
			bad(fmt.Errorf("the position %.200s is damaged: %w", position, err))
			return findings
		}
		if err := s.sameSettings(known); err != nil {
			bad(err)
		}
	}
	id, err := s.server.identify(ctx)
	if err != nil {
		bad(err)
		return findings
	}
	security := "no TLS"
	if s.config.TLS.Enabled {
		security = "TLS"
	}
	ok("PostgreSQL %d.%d at %s port %d (%s), database %s of the system %s, timeline %d, log up to %s", id.version/10000, id.version%10000, s.config.Host, s.config.Port, security, s.config.Database, id.system, id.timeline, id.end)
	conn, err := s.server.connect(ctx)
	if err != nil {
		bad(err)
		return findings
	}
	defer hangUp(conn)
	if known != nil {
		if err := id.compare(known); err != nil {
			bad(err)
		}
	}
	at, err := s.server.readSlot(ctx, conn)
	switch {
	case err != nil:
		bad(err)
	case at.ours(s.config) != nil:
		bad(at.ours(s.config))
	case known != nil && at.usable(s.config.Slot, known.LSN) != nil:
		bad(at.usable(s.config.Slot, known.LSN))
	case at.there:
		ok("the replication slot %s is at %s and keeps %d bytes of WAL (%s)", s.config.Slot, at.confirmed, at.retained, at.status)
	default:
		ok("the replication slot %s is not there yet: the runner makes it", s.config.Slot)
	}
	findings = append(findings, s.checkRoom(ctx, conn, at.there)...)
	findings = append(findings, s.checkTables(ctx, conn, id.version)...)
	return findings
}

// checkRoom looks at the server's limits.
func (s *Source) checkRoom(ctx context.Context, conn *pgconn.PgConn, there bool) (findings []source.Finding) {
	row, err := one(ctx, conn, "SELECT current_setting('max_replication_slots'), (SELECT count(*) FROM pg_catalog.pg_replication_slots)::text, current_setting('max_slot_wal_keep_size'), "+
		"(SELECT rolreplication OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)::text", 4)
	if err != nil || row == nil {
		return []source.Finding{{Text: fmt.Sprintf("the limits of the server: %v", err)}}
	}
	most, _ := strconv.Atoi(row[0])
	used, _ := strconv.Atoi(row[1])
	need := 1 // for copies
	if !there {
		need++
	}
	if most-used < need {
		findings = append(findings, source.Finding{Text: fmt.Sprintf("%d of %d replication slots are in use, and the runner needs %d more: raise max_replication_slots", used, most, need)})
	}
	if row[3] != "true" {
		findings = append(findings, source.Finding{Text: fmt.Sprintf("the user %s has not the attribute REPLICATION: run ALTER ROLE %s REPLICATION", s.config.Name(), identifier(s.config.Name()))})
	}
	if row[2] == "-1" {
		return append(findings, source.Finding{OK: true, Text: "max_slot_wal_keep_size is not set: while the spout does not read, the server keeps WAL until its disk is full"})
	}
	return append(findings, source.Finding{OK: true, Text: fmt.Sprintf("max_slot_wal_keep_size is %s: a spout that is further behind loses its slot", row[2])})
}

// checkTables looks at the publication, or what it is to be made of.
func (s *Source) checkTables(ctx context.Context, conn *pgconn.PgConn, version int) (findings []source.Finding) {
	bad := func(format string, args ...any) {
		findings = append(findings, source.Finding{Text: fmt.Sprintf(format, args...)})
	}
	publication, user := s.config.PublicationName(), identifier(s.config.Name())
	there, err := one(ctx, conn, "SELECT pubname FROM pg_catalog.pg_publication WHERE pubname = "+literal(publication), 1)
	if err != nil {
		return []source.Finding{{Text: err.Error()}}
	}
	var tables []*table
	if s.config.OwnsPublication() {
		var unfit []error
		if tables, unfit, err = s.server.resolve(ctx, conn); err != nil {
			return []source.Finding{{Text: err.Error()}}
		}
		for _, problem := range unfit {
			bad("%v", problem)
		}
	} else {
		if err := s.server.ensurePublication(ctx, conn); err != nil { // it only looks
			return []source.Finding{{Text: err.Error()}}
		}
		if tables, err = s.server.tables(ctx, conn, version); err != nil {
			return []source.Finding{{Text: err.Error()}}
		}
	}
	if there == nil {
		row, err := one(ctx, conn, "SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')::text", 1)
		if err != nil {
			bad("%v", err)
		} else if row != nil && row[0] != "true" {
			bad("the publication %s is not there, and the user may not make it: run GRANT CREATE ON DATABASE %s TO %s, or have somebody else make one and set SPOUT_POSTGRES_PUBLICATION", publication, identifier(s.config.Database), user)
		}
	}
	for _, t := range tables {
		row, err := one(ctx, conn, "SELECT pg_catalog.has_schema_privilege(relnamespace, 'USAGE')::text, pg_catalog.has_any_column_privilege(oid, 'SELECT')::text, pg_catalog.pg_has_role(relowner, 'USAGE')::text FROM pg_catalog.pg_class WHERE oid = "+strconv.FormatUint(uint64(t.id), 10), 3)
		if err != nil {
			bad("%v", err)
		}
		if row == nil {
			continue
		}
		if row[0] != "true" && s.config.Snapshot == "initial" {
			bad("the schema of the table %s may not be used: run GRANT USAGE ON SCHEMA %s TO %s", t.label(), identifier(t.schema), user)
		}
		if row[1] != "true" && s.config.Snapshot == "initial" {
			bad("the table %s may not be read: run GRANT SELECT ON %s.%s TO %s", t.label(), identifier(t.schema), identifier(t.name), user)
		}
		if row[2] != "true" && there == nil {
			bad("the user does not own the table %s, and so may not put it into a publication: run ALTER TABLE %s.%s OWNER TO %s, or have the owner make a publication and set SPOUT_POSTGRES_PUBLICATION", t.label(), identifier(t.schema), identifier(t.name), user)
		}
	}
	text := fmt.Sprintf("the publication %s has %d tables", publication, len(tables))
	if there == nil {
		text = fmt.Sprintf("the publication %s is not there yet: the runner makes it, of %d tables", publication, len(tables))
	}
	return append(findings, source.Finding{OK: true, Text: text})
}
