// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgconn"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// What is known of tables that the publication has lost is forgotten: a position
// would else grow with each table that was ever made and dropped.

// end is how far the server's log goes, 0 if it does not say.
func (v *server) end(ctx context.Context, conn *pgconn.PgConn) (positions.LSN, error) {
	row, err := one(ctx, conn, "SELECT coalesce(CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn() ELSE pg_catalog.pg_current_wal_lsn() END, '0/0')::text", 1)
	if err != nil || row == nil {
		return 0, err
	}
	return positions.ParseLSN(row[0])
}

// compare compares the publication's tables, as they are while the server's log
// ends at a place, with those that are read. It returns those that are to be
// copied. The round is empty.
func (w *worker) compare(all []*table, end positions.LSN) (list []*table) {
	there, names := map[uint32]bool{}, map[string]bool{}
	for _, t := range all {
		there[t.id], names[settings.PostgresStream(t.schema, t.name)] = true, true
		if place := w.places[t.id]; w.copies && (place == nil || place.Absent) {
			list = append(list, t)
		}
	}
	for id, place := range w.places {
		if there[id] {
			delete(w.gone, id)
			continue
		}
		if !place.Absent {
			w.setPlace(id, &positions.Relation{Copied: place.Copied, Absent: true})
		}
		switch since, known := w.gone[id]; {
		case known && w.read >= since: // changes of it that came before were read
			w.forget(id)
		case !known && end > 0:
			w.gone[id] = end
		}
	}
	if len(w.streams) > manyStreams {
		for name, s := range w.streams {
			if !names[name] {
				w.forgetStream(name, s)
			}
		}
	}
	return list
}

// manyStreams is how many tables are remembered by their names, whether or not
// they are still there, so that one that is made again is numbered on.
const manyStreams = mostTables / 2

// forget forgets a relation. If it comes back, it is copied as a new one is.
func (w *worker) forget(id uint32) {
	delete(w.gone, id)
	delete(w.places, id)
	w.changed[id] = nil
	if r := w.relations[id]; r != nil { // the server says again what it is like if it comes back
		w.described -= r.memory()
		delete(w.relations, id)
		delete(w.messages, id)
	}
}

// forgetStream forgets a table's numbers. Those of tables that are new begin
// after them from now on, so that no two records of a name have the same.
func (w *worker) forgetStream(name string, s *stream) {
	w.floor.Next, w.floor.Schema = max(w.floor.Next, s.next), max(w.floor.Schema, s.count)
	w.forgotten = append(w.forgotten, name)
	w.free = append(w.free, s.index)
	w.nameBytes -= len(name)
	delete(w.streams, name)
	w.source.seen.forget(s.Stream)
	for _, r := range w.relations {
		if r.stream == s {
			r.stream, r.number = nil, 0
		}
	}
}

// fits says whether what was read fits into a commit's description.
func (w *worker) fits() error {
	const ofStream, ofRelation, most = 100, 30, 1 << 20
	if w.nameBytes+ofStream*len(w.streams)+ofRelation*len(w.places) <= most {
		return nil
	}
	return stopf("changes come of %d tables, and what was read of so many does not fit into a commit's description. Divide them among several publications and spouts", len(w.streams))
}
