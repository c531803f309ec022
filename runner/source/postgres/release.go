// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Release implements [source.Releaser]: it drops the slot, and the publication
// if that is the runner's own.
func (s *Source) Release(ctx context.Context) error {
	_, err := retry(ctx, s, "release", func() (bool, error) {
		conn, err := s.server.connect(ctx)
		if err != nil {
			return false, err
		}
		defer hangUp(conn)
		at, err := s.server.readSlot(ctx, conn)
		if err != nil {
			return false, err
		}
		if err := at.ours(s.config); err != nil {
			return false, err
		}
		if at.there {
			if err := s.server.dropSlot(ctx, conn); err != nil {
				return false, err
			}
			s.log.Info("the replication slot is dropped", "slot", s.config.Slot)
		}
		if !s.config.OwnsPublication() {
			return true, nil
		}
		_, err = query(ctx, conn, "DROP PUBLICATION IF EXISTS "+identifier(s.config.PublicationName()), 0)
		if hasCode(err, codeNoRight) {
			return false, stopf("the publication %s cannot be dropped: %w. Have its owner run DROP PUBLICATION %s", s.config.PublicationName(), err, identifier(s.config.PublicationName()))
		}
		return true, err
	})
	if err != nil && !source.IsStop(err) {
		err = fmt.Errorf("%w. Still there is the replication slot %s: run SELECT pg_drop_replication_slot(%s) in the database %s", err, s.config.Slot, literal(s.config.Slot), s.config.Database)
	}
	return err
}

// dropSlot drops the slot, and ends what a runner has left that reads it.
func (v *server) dropSlot(ctx context.Context, conn *pgconn.PgConn) error {
	_, err := query(ctx, conn, "SELECT pg_catalog.pg_drop_replication_slot("+literal(v.settings.Slot)+")", 0)
	switch {
	case hasCode(err, codeObjectInUse):
		_, ended := query(ctx, conn, "SELECT pg_catalog.pg_terminate_backend(s.active_pid) FROM pg_catalog.pg_replication_slots s JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid WHERE s.slot_name = "+literal(v.settings.Slot)+
			" AND a.application_name = "+literal(v.config.RuntimeParams["application_name"])+" AND a.usename = current_user", 0)
		if ended != nil && !hasCode(ended, codeNoRight) {
			return ended
		}
		return fmt.Errorf("the replication slot %s: %w", v.settings.Slot, err)
	case hasCode(err, codeNoObject):
		return nil
	}
	return err
}
