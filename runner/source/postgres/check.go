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
	bad := func(err error) { findings = append(findings, source.Finding{Text: err.Error()}) }
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
	if s.config.OwnsPublication() {
		_, unfit, err := s.server.resolve(ctx, conn)
		if err != nil {
			return []source.Finding{{Text: err.Error()}}
		}
		for _, problem := range unfit {
			findings = append(findings, source.Finding{Text: problem.Error()})
		}
	} else if err := s.server.ensurePublication(ctx, conn); err != nil { // it only looks
		return []source.Finding{{Text: err.Error()}}
	}
	tables, err := s.server.tables(ctx, conn, version)
	if err != nil {
		return []source.Finding{{Text: err.Error()}}
	}
	for _, t := range tables {
		row, err := one(ctx, conn, "SELECT (pg_catalog.has_schema_privilege(relnamespace, 'USAGE') AND pg_catalog.has_any_column_privilege(oid, 'SELECT'))::text FROM pg_catalog.pg_class WHERE oid = "+strconv.FormatUint(uint64(t.id), 10), 1)
		switch {
		case err != nil:
			findings = append(findings, source.Finding{Text: err.Error()})
		case row != nil && row[0] != "true" && s.config.Snapshot == "initial":
			findings = append(findings, source.Finding{Text: fmt.Sprintf("the table %s may not be read: run GRANT SELECT ON %s.%s TO %s", t.label(), identifier(t.schema), identifier(t.name), identifier(s.config.Name()))})
		}
	}
	return append(findings, source.Finding{OK: true, Text: fmt.Sprintf("the publication %s has %d tables", s.config.PublicationName(), len(tables))})
}
