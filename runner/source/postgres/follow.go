// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/postgres/pgoutput"
)

const (
	// progressEvery is how often it is told that the place moves without records.
	progressEvery = time.Second
	// lookEvery is how often new tables of the publication are looked for. A
	// change of one is noticed at once.
	lookEvery = 30 * time.Second
)

// follow decodes what comes, until there is something to copy or the connection
// is lost.
func (w *worker) follow(ctx context.Context) error {
	l := w.link
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		var b *block
		select {
		case b = <-l.blocks:
		default:
			if w.tx == nil && w.round.records > 0 {
				if err := w.flush(ctx, true); err != nil {
					return err
				}
			}
			select {
			case b = <-l.blocks:
			case <-l.ended:
				select {
				case b = <-l.blocks: // what came before
				default:
					return w.lost(l.err)
				}
			case <-ticker.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if b != nil {
			err := w.decode(ctx, b)
			w.source.memory.Add(-int64(cap(b.data)))
			b.free()
			if err != nil {
				return err
			}
		}
		if w.tx != nil {
			continue
		}
		if w.read > w.told && w.round.records == 0 && time.Since(w.toldAt) >= progressEvery || w.news() {
			if err := w.flush(ctx, true); err != nil {
				return err
			}
		}
		if w.recheck || time.Since(w.looked) >= lookEvery {
			w.recheck = true
			if w.round.records > 0 {
				if err := w.flush(ctx, true); err != nil {
					return err
				}
			}
			return nil
		}
	}
}

// lost says why a connection was.
func (w *worker) lost(err error) error {
	if hasCode(err, codeNoRight, codeNoObject, codeNotInState) {
		return w.refused(err)
	}
	return explainLarge(err)
}

// explainLarge says what to do about a row that is larger than may be held.
func explainLarge(err error) error {
	var large *pgproto3.ExceededMaxBodyLenErr
	if errors.As(err, &large) {
		return stopf("a row is larger than may be held: a message of the server has %d bytes, and at most %d may. Raise SPOUT_MEMORY_BUDGET, to %d times the larger one at least", large.ActualBodyLen, large.MaxExpectedBodyLen, 4*messageShare)
	}
	return err
}

// decode takes a block's messages.
func (w *worker) decode(ctx context.Context, b *block) error {
	from := 0
	for _, to := range b.ends {
		m := b.data[from:to:to]
		from = to
		var err error
		switch m[0] {
		case pgoutput.KindKeepalive:
			err = w.keepalive(m)
		case pgoutput.KindData:
			err = w.data(ctx, m)
		default:
			err = pgoutput.ErrMalformed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keepalive notes how far the server has come: between transactions, there is
// nothing to read before that.
func (w *worker) keepalive(m []byte) error {
	k, err := pgoutput.ParseKeepalive(m)
	if err != nil {
		return err
	}
	w.source.seen.serverEnd(k.End)
	if w.tx == nil && k.End > w.read {
		w.read = k.End
	}
	return nil
}

func (w *worker) data(ctx context.Context, m []byte) error {
	d, err := pgoutput.ParseData(m)
	if err != nil {
		return err
	}
	switch d.Message[0] {
	case pgoutput.KindBegin:
		begin, err := pgoutput.ParseBegin(d.Message)
		if err != nil || w.tx != nil {
			return pgoutput.ErrMalformed
		}
		w.tx = &transaction{id: begin.Commit.Append(nil), millis: begin.Millis, xid: uint64(begin.XID), commit: uint64(begin.Commit)}
		return nil
	case pgoutput.KindCommit:
		commit, err := pgoutput.ParseCommit(d.Message)
		if err != nil || w.tx == nil || uint64(commit.Commit) != w.tx.commit {
			return pgoutput.ErrMalformed
		}
		w.source.seen.transaction(commit.End, w.tx.millis)
		w.tx, w.read = nil, commit.End
		if w.partial || w.round.records >= w.most || w.round.bytes >= roundBytes || w.round.full() {
			return w.flush(ctx, true)
		}
		return nil
	case pgoutput.KindRelation:
		r, err := pgoutput.ParseRelation(d.Message)
		if err == nil {
			_, err = w.relation(ctx, r)
		}
		return err
	case pgoutput.KindInsert, pgoutput.KindUpdate, pgoutput.KindDelete, pgoutput.KindTruncate:
		if w.tx == nil {
			return pgoutput.ErrMalformed
		}
		if err := w.change.Parse(d.Message); err != nil {
			return err
		}
		return w.take(ctx)
	}
	return nil // types, origins and messages
}

var ops = map[byte]source.Op{pgoutput.KindInsert: source.OpInsert, pgoutput.KindUpdate: source.OpUpdate, pgoutput.KindDelete: source.OpDelete}

// take makes records of a change.
func (w *worker) take(ctx context.Context) error {
	c := &w.change
	if c.Kind == pgoutput.KindTruncate {
		for _, id := range c.Relations { // as many as the server likes, and the same one several times
			r := w.relations[id]
			if r == nil {
				return fmt.Errorf("%w: a table is truncated that it says nothing of", pgoutput.ErrMalformed)
			}
			if !w.counts(r) {
				continue
			}
			if err := w.hand(ctx, &row{relation: r, op: source.OpTruncate, tx: w.tx}); err != nil {
				return err
			}
		}
		return nil
	}
	r := w.relations[c.Relation]
	if r == nil {
		return fmt.Errorf("%w: a row changes of a table that it says nothing of", pgoutput.ErrMalformed)
	}
	if !w.counts(r) {
		return nil
	}
	change := row{relation: r, op: ops[c.Kind], whole: c.OldWhole, tx: w.tx}
	if len(c.New) > 0 || c.Kind != pgoutput.KindDelete {
		change.new = c.New
	}
	if len(c.Old) > 0 {
		change.old = c.Old
	}
	return w.hand(ctx, &change)
}

// hand adds a row to the round, and hands that over if it is full.
func (w *worker) hand(ctx context.Context, r *row) error {
	if w.add(r); w.round.full() {
		return w.flush(ctx, false)
	}
	return w.fits()
}

// counts says whether a change of a relation counts in the transaction, or is in
// the copy that was made, or will be.
func (w *worker) counts(r *relation) bool {
	place := w.places[r.id]
	switch {
	case place != nil:
		return w.tx.commit >= uint64(place.Copied)
	case w.copies:
		w.recheck = true
		return false
	}
	w.setPlace(r.id, &positions.Relation{})
	return true
}

// setPlace notes from where on a relation's changes count, for the position too.
func (w *worker) setPlace(id uint32, place *positions.Relation) {
	w.places[id], w.changed[id] = place, place
}
