// SPDX-License-Identifier: Apache-2.0

// Package postgres reads tables of a PostgreSQL database by logical
// replication: the rows that they hold, and then all changes.
//
// # One order of things
//
// A replication slot at the server keeps what was not read. Changes come from
// it as whole transactions, in the order of their commits (protocol version 1,
// so that the server gathers large ones), and a commit of the output branch
// ends only where one ends. The position is the end of the last transaction; the
// server leaves out what committed before it. It is told that a place is durable
// only after the commit with that position is FINISHED.
//
// A table that is new is copied first. A second, temporary slot exports a
// snapshot and says at which place: transactions that committed before are in
// the copy, those at it or after it come as changes. Their commits are compared
// with it, and never the rows' own places, which are in no order. Each copy is
// whole in a commit, and what was copied is in the position.
//
// # Goroutines
//
// Open asks the server and starts the worker, which copies and then follows the
// slot, and hands over chunks. A connection that is followed has two more: see
// link.
package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5/pgconn"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Source is a [source.Source] of PostgreSQL tables.
type Source struct {
	config  settings.Postgres
	log     hclog.Logger
	server  *server
	worker  *worker
	chunks  chan *source.Chunk
	large   chan struct{} // has an element while a large chunk is out
	done    chan struct{} // closed when the worker has ended
	err     error         // why; to be read after done
	cancel  context.CancelFunc
	closing sync.Once
	opened  bool

	position *positions.Position // of the consumer
	forget   map[string]bool     // tables that the next position does not name any more, of the consumer
	durable  atomic.Uint64       // LSN
	memory   atomic.Int64        // of chunks that are out
	most     int                 // that what describes tables may take
	seen     observed
}

var (
	_ source.Source   = (*Source)(nil)
	_ source.Checker  = (*Source)(nil)
	_ source.Releaser = (*Source)(nil)
	_ source.Observed = (*Source)(nil)
)

// chunkQueue is how many chunks may wait for Next, each of [roundLargest] or of
// one larger row.
const chunkQueue = 4

// push hands a chunk over. Of those that are larger than most, as of one large
// row, there is only one at a time.
func (s *Source) push(ctx context.Context, p *part) error {
	if p.chunk.Bytes > 2*roundLargest {
		select {
		case s.large <- struct{}{}:
			p.large = s.large
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case s.chunks <- &p.chunk:
		return nil
	case <-ctx.Done():
		p.chunk.Release()
		return ctx.Err()
	}
}

// messageShare is the part of the memory that one message may take: it may be
// in the network's buffer, in a block that waits, in one that is decoded, in a
// chunk, and in another one.
const messageShare = 5

// leastDescribed is what all that describes tables may take in any case.
const leastDescribed = 4 << 20

// Make is a [source.New].
func Make(s settings.Settings, o source.Options) (source.Source, error) {
	c := s.Postgres
	src := &Source{config: c, log: o.Log, server: newServer(c, max(int(o.Memory)/messageShare, 1<<20)), chunks: make(chan *source.Chunk, chunkQueue), large: make(chan struct{}, 1), done: make(chan struct{}), forget: map[string]bool{}}
	src.most = max(int(o.Memory), leastDescribed)
	src.worker = newWorker(src, s)
	return src, nil
}

// Traits implements [source.Source].
func (s *Source) Traits() source.Traits {
	return source.Traits{Kind: source.Replay, Boundaries: true, Idle: s.config.IdleInterval.Std()}
}

// Open implements [source.Source].
func (s *Source) Open(ctx context.Context, raw json.RawMessage) error {
	if s.opened {
		return errors.New("postgres: the source was opened before")
	}
	s.opened = true
	var known *positions.Position
	if raw != nil {
		var err error
		if known, err = positions.Parse(raw); err != nil {
			return stopf("the position %.200s is damaged: %w", raw, err)
		}
		if err := s.sameSettings(known); err != nil {
			return err
		}
	}
	p, err := retry(ctx, s, "open", func() (*positions.Position, error) { return s.settle(ctx, known) })
	if err != nil {
		return err
	}
	s.position = p
	s.durable.Store(uint64(p.LSN))
	running, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.worker.begin(p, known != nil)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		s.watchSlot(running)
	}()
	go func() {
		defer close(s.done)
		defer func() { <-watching }()
		defer cancel()
		defer s.worker.end()
		s.err = s.quoted(s.worker.run(running))
	}()
	return nil
}

// sameSettings says whether a position is one of these settings.
func (s *Source) sameSettings(p *positions.Position) error {
	if p.Slot != s.config.Slot {
		return stopf("the output branch holds what was read by the slot %s to %s, and SPOUT_POSTGRES_SLOT is %s, whose place says nothing of it. Set it back, or use another output branch or another spout", p.Slot, p.LSN, s.config.Slot)
	}
	return nil
}

// settle makes what has to be there at the server, and returns where reading
// begins.
func (s *Source) settle(ctx context.Context, known *positions.Position) (*positions.Position, error) {
	id, err := s.server.identify(ctx)
	if err != nil {
		return nil, err
	}
	s.worker.version = id.version
	conn, err := s.server.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer hangUp(conn)
	if known != nil {
		err = id.compare(known)
	}
	var at slot
	if err == nil {
		if at, err = s.server.readSlot(ctx, conn); err != nil {
			return nil, s.server.explained(err)
		}
		if err := at.ours(s.config); err != nil {
			return nil, err
		}
		if known != nil {
			err = at.usable(s.config.Slot, known.LSN)
		}
	}
	if err != nil {
		if known, err = s.reset(ctx, conn, known, err); err != nil {
			return nil, err
		}
	}
	// The publication must be older than what is decoded with it.
	if err := s.server.ensurePublication(ctx, conn); err != nil {
		return nil, err
	}
	p := positions.New()
	if known != nil {
		p = known
	}
	if known == nil || known.LSN == 0 {
		if at, err = s.readOrMakeSlot(ctx, conn); err != nil {
			return nil, err
		}
		p.LSN = at.confirmed
	}
	p.System, p.Timeline, p.Database, p.Slot, p.Publication = id.system, id.timeline, id.database, s.config.Slot, s.config.PublicationName()
	return p, nil
}

// reset does what the settings say with what is not what was read.
func (s *Source) reset(ctx context.Context, conn *pgconn.PgConn, known *positions.Position, cause error) (*positions.Position, error) {
	var reset *resetError
	if !errors.As(cause, &reset) {
		return nil, cause
	}
	if s.config.OnReset != "restart" {
		return nil, stopf("%w. Restore what was there, or use another output branch or another spout, or set SPOUT_POSTGRES_ON_RESET to restart to have all tables copied again", cause)
	}
	s.log.Error("starting over: copying all tables again", "reason", cause, "snapshot", s.config.Snapshot)
	if at, err := s.server.readSlot(ctx, conn); err != nil {
		return nil, err
	} else if at.there {
		if err := s.server.dropSlot(ctx, conn); err != nil {
			return nil, err
		}
	}
	p := positions.New()
	p.Tables, p.Floor = known.Tables, known.Floor // records go on being numbered
	return p, nil
}

func (s *Source) readOrMakeSlot(ctx context.Context, conn *pgconn.PgConn) (slot, error) {
	at, err := s.server.readSlot(ctx, conn)
	if err != nil || at.there {
		return at, err
	}
	s.log.Info("making the replication slot, once the transactions have ended that run now", "slot", s.config.Slot)
	if err := s.server.makeSlot(ctx); err != nil {
		return at, err
	}
	if at, err = s.server.readSlot(ctx, conn); err == nil && !at.there {
		err = fmt.Errorf("the replication slot %s was made, and is not there", s.config.Slot)
	}
	return at, err
}

// Pauses between attempts, doubled up to the second.
const (
	minPause = 100 * time.Millisecond
	maxPause = 10 * time.Second
)

// quoted is what may be shown of an error: the server may say in it what it
// likes, as the password that it was sent.
func (s *Source) quoted(err error) error { return source.Quoted(err, s.config.Password) }

// retry tries until it works, ctx ends or an operator is needed.
func retry[T any](ctx context.Context, s *Source, what string, try func() (T, error)) (T, error) {
	pause := minPause
	for {
		v, err := try()
		if err == nil {
			s.seen.works(what)
			return v, nil
		}
		err = s.quoted(err)
		if ctx.Err() != nil {
			return v, fmt.Errorf("postgres: %w", ctx.Err())
		}
		if source.IsStop(err) {
			return v, err
		}
		s.seen.fails(what, err)
		s.log.Warn("trying again", "reason", err, "in", pause.String())
		select {
		case <-ctx.Done():
			return v, fmt.Errorf("postgres: %w", ctx.Err())
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

// Next implements [source.Source].
func (s *Source) Next(ctx context.Context) (*source.Chunk, error) {
	select {
	case c := <-s.chunks:
		return c, nil
	default:
	}
	select {
	case c := <-s.chunks:
		return c, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("postgres: %w", ctx.Err())
	case <-s.done:
	}
	select { // what was there before the worker has ended
	case c := <-s.chunks:
		return c, nil
	default:
		return nil, s.err
	}
}

// Consume implements [source.Source].
func (s *Source) Consume(chunk *source.Chunk, n int) {
	to := chunk.Origin.(*after)
	if to.stream != nil {
		delete(s.forget, to.stream.Name)
		t := s.position.Tables[to.stream.Name]
		if t == nil {
			t = &positions.Table{}
			s.position.Tables[to.stream.Name] = t
		}
		t.Schema, t.Columns = to.schema, to.columns
		if t.Next = chunk.Next; n < len(chunk.Records) {
			t.Next = chunk.Records[n].Offset
		}
	}
	if n < len(chunk.Records) || !to.boundary {
		return
	}
	s.position.LSN = to.end
	for id, relation := range to.copied {
		if relation == nil {
			delete(s.position.Relations, id)
			continue
		}
		s.position.Relations[id] = relation
	}
	if len(to.forgotten) > 0 {
		s.position.Floor = &positions.Table{Next: to.floor.Next, Schema: to.floor.Schema}
		for _, name := range to.forgotten {
			s.forget[name] = true
		}
	}
}

// Position implements [source.Source]. That of a batch with records of a table
// names the table, even if it is forgotten since.
func (s *Source) Position() json.RawMessage {
	raw := s.position.Render()
	for name := range s.forget {
		delete(s.position.Tables, name)
	}
	clear(s.forget)
	return raw
}

// Acknowledge implements [source.Source].
func (s *Source) Acknowledge(_ context.Context, raw json.RawMessage) {
	p, err := positions.Parse(raw)
	if err != nil {
		return // it is one of ours
	}
	for {
		before := s.durable.Load()
		if before >= uint64(p.LSN) {
			return
		}
		if s.durable.CompareAndSwap(before, uint64(p.LSN)) {
			break
		}
	}
	s.seen.acknowledged(p.LSN)
	s.worker.tell()
}

// Close implements [source.Source].
func (s *Source) Close() error {
	s.closing.Do(func() {
		if s.cancel != nil {
			s.cancel()
			<-s.done
		}
	})
	return nil
}
