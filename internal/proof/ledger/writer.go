// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// Writer writes transactions, several at a time. It goes on trying while the
// server is away, and finds out what has become of a transaction whose commit
// was not answered.
type Writer struct {
	connect func(context.Context) (*pgx.Conn, error)
	orders  chan order
	group   sync.WaitGroup
	ids     atomic.Int64
	open    atomic.Int64 // transactions that are not committed yet
}

type order struct {
	ctx  context.Context //nolint:containedctx // of who wants it
	seed uint64
	size int
}

// writersAtOnce is how many transactions are written at a time: so that some
// begin early and commit late.
const writersAtOnce = 3

// NewWriter makes the tables, with some rows, and starts.
func NewWriter(ctx context.Context, connect func(context.Context) (*pgx.Conn, error)) (*Writer, error) {
	conn, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx) //nolint:errcheck // it is done
	for _, statement := range schema {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}
	w := &Writer{connect: connect, orders: make(chan order, 1<<16)}
	for range writersAtOnce {
		w.group.Go(w.work)
	}
	return w, nil
}

// Write orders a transaction of about so many rows, and does not wait for it.
func (w *Writer) Write(ctx context.Context, random *rand.Rand, rows int) {
	w.open.Add(1)
	w.orders <- order{ctx, random.Uint64(), rows}
}

// Open is how many transactions are not committed yet.
func (w *Writer) Open() int64 { return w.open.Load() }

// Close ends the writers, without what was not begun.
func (w *Writer) Close() {
	close(w.orders)
	w.group.Wait()
}

func (w *Writer) work() {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			conn.Close(context.Background()) //nolint:errcheck // it is done
		}
	}()
	for o := range w.orders {
		id := w.ids.Add(1)
		for attempt := uint64(0); o.ctx.Err() == nil; attempt++ {
			var err error
			if conn == nil {
				conn, err = w.connect(o.ctx)
			}
			committed := false
			if err == nil && attempt > 0 {
				err = conn.QueryRow(o.ctx, "SELECT EXISTS (SELECT FROM journal WHERE id = $1)", id).Scan(&committed)
			}
			if err == nil && !committed {
				err = transaction(o.ctx, conn, id, rand.New(rand.NewPCG(o.seed, attempt)), o.size)
			}
			if err == nil {
				break
			}
			if conn != nil {
				conn.Close(o.ctx) //nolint:errcheck // it may be lost
				conn = nil
			}
			select {
			case <-o.ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
		w.open.Add(-1)
	}
}

// transaction does some of all kinds of changes.
func transaction(ctx context.Context, conn *pgx.Conn, id int64, random *rand.Rand, size int) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // it is committed, or lost
	changes := int64(0)
	do := func(sql string, args ...any) {
		if err == nil {
			tag, failed := tx.Exec(ctx, sql, args...)
			changes, err = changes+tag.RowsAffected(), failed
		}
	}
	some := func() int64 { return random.Int64N(id*8) + 1 } // of the accounts that there may be
	for n := 0; changes < int64(size) && err == nil && n < size+20; n++ {
		account := id*8 + int64(n)
		switch random.IntN(10) {
		case 0, 1, 2:
			do("INSERT INTO account VALUES ($1, $2::numeric / 100, $3, clock_timestamp()) ON CONFLICT DO NOTHING", account, random.Int64N(1e6), note(random))
		case 3:
			do("INSERT INTO line SELECT $1, n, 'item ' || n, CASE WHEN n % 3 = 0 THEN NULL ELSE ARRAY['a', 'b,' || n] END FROM generate_series(1, $2::int) n ON CONFLICT DO NOTHING", account, random.IntN(size+1)+1)
		case 4, 5:
			do("UPDATE account SET balance = balance + 1 WHERE id = $1", some())
		case 6:
			do("UPDATE account SET note = $2, changed = NULL WHERE id = $1", some(), note(random))
		case 7:
			do("UPDATE account SET id = -id WHERE id = $1", some())
		case 8:
			do("DELETE FROM account WHERE id = $1", some())
		case 9:
			do("UPDATE line SET item = item || '!' WHERE account = $1", some())
			do("DELETE FROM line WHERE account = $1", some())
		}
	}
	do("INSERT INTO journal VALUES ($1, $2)", id, changes)
	if err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// note is short, or so long that it is stored apart.
func note(random *rand.Rand) *string {
	text := "note \"" + strings.Repeat("x", random.IntN(20)) + "\\"
	switch random.IntN(8) {
	case 0:
		return nil
	case 1:
		text = strings.Repeat(text, 400)
	}
	return &text
}
