// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// watchEvery is how often the server is asked what it keeps for the slot.
const watchEvery = 15 * time.Second

// watchSlot notes how much log the server keeps for the slot, also while a
// commit takes long: that is when it grows. It asks by a connection of its own.
func (s *Source) watchSlot(ctx context.Context) {
	var conn *pgconn.PgConn
	defer func() { hangUp(conn) }()
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		retained := int64(0) // unknown
		asking, cancel := context.WithTimeout(ctx, watchEvery)
		if conn == nil {
			conn, _ = s.server.connect(asking) //nolint:errcheck // the worker tells of what is wrong
		}
		if conn != nil {
			if at, err := s.server.readSlot(asking, conn); err == nil {
				retained = at.retained
			} else {
				hangUp(conn)
				conn = nil
			}
		}
		cancel()
		s.seen.retains(retained)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// retains notes what the server keeps.
func (o *observed) retains(bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.retained = bytes
}
