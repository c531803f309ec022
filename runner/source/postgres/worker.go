// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5/pgconn"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/postgres/pgoutput"
)

// worker reads, in one goroutine.
type worker struct {
	source  *Source
	server  *server
	log     hclog.Logger
	version int
	encoder encoder
	rows    bool // chunks have schemas
	copies  bool // of new tables
	most    int  // records of a round
	resumed bool // there was a position
	home    identity
	again   error // why the slot and all copies are to be made again; nil if they are not

	sql       *pgconn.PgConn // for questions beside; nil while there is none
	types     map[uint32]userType
	streams   map[string]*stream
	relations map[uint32]*relation // as the connection has told
	described int                  // memory that they take
	messages  map[uint32]*pgoutput.Relation
	places    map[uint32]*positions.Relation // where changes of relations begin to count
	changed   map[uint32]*positions.Relation // places that the next boundary tells of; nil for one that is forgotten
	gone      map[uint32]positions.LSN       // where the log ended when the publication was seen without a relation
	floor     positions.Table                // see there
	forgotten []string                       // streams that the next boundary tells of
	free      []int                          // indexes of streams that were forgotten
	nameBytes int                            // of the names of streams

	mu   sync.Mutex
	link *link // nil while there is none; written by the worker only

	change  pgoutput.Change
	tx      *transaction  // nil between transactions
	read    positions.LSN // all before has been decoded
	told    positions.LSN // the last boundary
	toldAt  time.Time
	partial bool // chunks of the transaction were handed over
	round   round

	pending []*table
	recheck bool // a change came of a table that is not known
	looked  time.Time
}

func newWorker(s *Source, all settings.Settings) *worker {
	w := &worker{source: s, server: s.server, log: s.log, rows: all.File.HasRows(), copies: s.config.Snapshot == "initial", most: roundRecords,
		types: map[uint32]userType{}, streams: map[string]*stream{}, relations: map[uint32]*relation{}, messages: map[uint32]*pgoutput.Relation{},
		places: map[uint32]*positions.Relation{}, changed: map[uint32]*positions.Relation{}, gone: map[uint32]positions.LSN{}}
	if all.Batch.MaxRecords > 0 {
		w.most = min(w.most, all.Batch.MaxRecords)
	}
	w.encoder.database = s.config.Database
	switch {
	case w.rows:
		w.encoder.shape = shapeRows
	case s.config.Shape == "debezium", s.config.Shape == "" && all.File.Format != "jsonl":
		w.encoder.shape = shapeDebezium
	default:
		w.encoder.shape = shapeFlat
	}
	return w
}

// begin sets where reading begins.
func (w *worker) begin(p *positions.Position, resumed bool) {
	w.resumed, w.read, w.told = resumed, p.LSN, p.LSN
	w.home = identity{system: p.System, timeline: p.Timeline, database: p.Database}
	if p.Floor != nil {
		w.floor = *p.Floor
	}
	for name, t := range p.Tables {
		s := w.streamOf(name)
		s.next, s.last, s.count = t.Next, t.Columns, t.Schema
	}
	maps.Copy(w.places, p.Relations)
	w.recheck = true
}

func (w *worker) streamOf(name string) *stream {
	s := w.streams[name]
	if s == nil {
		s = &stream{Stream: source.Stream{Name: name}, index: len(w.streams), next: w.floor.Next, count: w.floor.Schema}
		if n := len(w.free); n > 0 {
			s.index, w.free = w.free[n-1], w.free[:n-1]
		}
		w.nameBytes += len(name)
		w.streams[name] = s
		w.source.seen.table(s.Stream)
	}
	return s
}

// end gives up all connections.
func (w *worker) end() {
	w.unlink()
	hangUp(w.sql)
}

func (w *worker) unlink() {
	w.mu.Lock()
	l := w.link
	w.link = nil
	w.mu.Unlock()
	l.close()
}

// tell has the server told what is durable.
func (w *worker) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.link != nil {
		w.link.tell()
	}
}

// run reads until ctx ends or something cannot be overcome here: then the loop
// begins again from the last commit.
func (w *worker) run(ctx context.Context) error {
	for {
		if w.recheck || len(w.pending) > 0 {
			if err := w.copyNew(ctx); err != nil {
				return err
			}
		}
		if w.link == nil {
			if _, err := retry(ctx, w.source, "replication", func() (bool, error) { return true, w.connect(ctx) }); err != nil {
				if w.again != nil {
					return w.again // the next Open begins again
				}
				return err
			}
		}
		if err := w.follow(ctx); err != nil {
			if ctx.Err() != nil || source.IsStop(err) || w.partial {
				return err
			}
			w.unlink()
			w.drop()
			w.source.seen.lost()
			w.log.Warn("the connection was lost; connecting again", "reason", w.source.quoted(err), "at", w.read.String())
		}
	}
}

// drop forgets what was read of a transaction that was not handed over: it comes
// again.
func (w *worker) drop() {
	for _, p := range w.round.parts {
		if len(p.records) > 0 {
			p.after.stream.next = min(p.after.stream.next, p.records[0].Offset)
		}
	}
	w.close(&w.round)
	w.tx, w.read = nil, w.told
}

// close begins with a new round.
func (w *worker) close(r *round) {
	for _, rel := range w.relations {
		rel.open = nil
	}
	*r = round{}
}

// connect begins to follow the slot.
func (w *worker) connect(ctx context.Context) error {
	id, err := w.server.identify(ctx)
	if err != nil {
		return err
	}
	conn, err := w.question(ctx)
	if err != nil {
		return err
	}
	if err = id.compare(&positions.Position{System: w.home.system, Timeline: w.home.timeline, Database: w.home.database, LSN: w.read}); err == nil {
		var at slot
		if at, err = w.server.readSlot(ctx, conn); err != nil {
			w.hangUpQuestion()
			return err
		}
		if err = at.usable(w.server.settings.Slot, w.read); err == nil {
			err = w.await(ctx, conn, at)
		}
	}
	var reset *resetError
	if errors.As(err, &reset) {
		if w.server.settings.OnReset == "restart" {
			w.again = err
			return stopf("%w", err) // which ends the attempts
		}
		return stopf("%w. Use another output branch or another spout, or set SPOUT_POSTGRES_ON_RESET to restart to have all tables copied again", err)
	}
	if err != nil {
		return err
	}
	replication, ahead, err := w.server.connectBuffered(ctx)
	if err != nil {
		return err
	}
	command := fmt.Sprintf("START_REPLICATION SLOT %s LOGICAL %s (proto_version '1', publication_names %s)",
		identifier(w.server.settings.Slot), w.read, literal(identifier(w.server.settings.PublicationName())))
	begun, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	l, err := follow(begun, replication, ahead, command, &w.source.durable, &w.source.memory)
	if err != nil {
		hangUp(replication)
		return w.refused(err)
	}
	w.mu.Lock()
	w.link = l
	w.mu.Unlock()
	w.log.Info("following the replication slot", "slot", w.server.settings.Slot, "from", w.read.String(), "server_end", id.end.String())
	w.source.seen.serverEnd(id.end)
	return nil
}

// refused says what to do about a server that does not let the slot be followed.
func (w *worker) refused(err error) error {
	switch {
	case hasCode(err, codeNoRight):
		return w.server.explained(err)
	case hasCode(err, codeNoObject):
		return stopf("%w. The publication must be older than what is decoded with it: if it was made again, the slot must be, too", err)
	case hasCode(err, codeNotInState):
		return stopf("%w. Set SPOUT_POSTGRES_ON_RESET to restart to have the slot made again and all tables copied, or use another output branch or another spout", err)
	}
	return err
}

// await waits until nobody reads the slot. What a killed runner has left is
// ended: it would stay until the server misses its words.
func (w *worker) await(ctx context.Context, conn *pgconn.PgConn, at slot) error {
	if at.pid == "" {
		return nil
	}
	if w.resumed { // a position says that the slot is this spout's
		w.resumed = false // once: a newer runner must not be ended by an older one
		w.log.Warn("ending a connection that holds the slot, such as a killed runner leaves", "slot", w.server.settings.Slot, "pid", at.pid)
		_, err := query(ctx, conn, "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE pid = "+at.pid+
			" AND application_name = "+literal(w.server.config.RuntimeParams["application_name"])+" AND usename = current_user", 0)
		if err != nil && !hasCode(err, codeNoRight) {
			return err
		}
	}
	return fmt.Errorf("the replication slot %s is being read by the server's process %s; waiting for its end, which takes as long as wal_sender_timeout if the runner that has it was killed", w.server.settings.Slot, at.pid)
}

// question is a connection for questions beside.
func (w *worker) question(ctx context.Context) (*pgconn.PgConn, error) {
	if w.sql != nil && !w.sql.IsClosed() && w.sql.Ping(ctx) == nil {
		return w.sql, nil
	}
	w.hangUpQuestion()
	var err error
	w.sql, err = w.server.connect(ctx)
	return w.sql, err
}

func (w *worker) hangUpQuestion() {
	hangUp(w.sql)
	w.sql = nil
}

// mostTypes is how many types are kept in mind.
const mostTypes = 10_000

// lookup asks the catalogue for a type.
func (w *worker) lookup(ctx context.Context) func(uint32) (userType, error) {
	return func(oid uint32) (userType, error) {
		if t, ok := w.types[oid]; ok {
			return t, nil
		}
		return retry(ctx, w.source, "types", func() (t userType, err error) {
			conn, err := w.question(ctx)
			if err != nil {
				return t, err
			}
			row, err := one(ctx, conn, fmt.Sprintf("SELECT CASE typtype WHEN 'd' THEN typbasetype ELSE 0 END::text, typtypmod::text, CASE WHEN typcategory = 'A' AND typtype = 'b' THEN typelem ELSE 0 END::text FROM pg_catalog.pg_type WHERE oid = %d", oid), 3)
			if err != nil {
				w.hangUpQuestion()
				return t, err
			}
			if row != nil {
				t = userType{domainOf: parseOID(row[0]), modifier: parseModifier(row[1]), element: parseOID(row[2])}
			}
			if len(w.types) >= mostTypes {
				clear(w.types) // they can be asked for again
			}
			w.types[oid] = t
			return t, nil
		})
	}
}

// relation notes what a table is like from here on. One that is as before stays
// what it is, so that no new file begins.
func (w *worker) relation(ctx context.Context, m *pgoutput.Relation) (*relation, error) {
	if r := w.relations[m.ID]; r != nil && reflect.DeepEqual(w.messages[m.ID], m) {
		return r, nil
	}
	r, err := newRelation(m, w.lookup(ctx))
	if err != nil {
		return nil, err
	}
	if before := w.relations[m.ID]; before != nil {
		w.described -= before.memory()
	}
	if w.described += r.memory(); w.described > w.source.most {
		return nil, stopf("the tables that have changed have so many columns that what describes them takes more than %d bytes. Raise SPOUT_MEMORY_BUDGET, of which it may take a quarter, or divide the tables among several publications and spouts", w.source.most)
	}
	w.relations[m.ID], w.messages[m.ID] = r, m
	return r, nil
}

// settle gives a relation its stream and the number of its schema, with its
// first record.
func (w *worker) settle(r *relation) {
	if r.stream == nil {
		r.stream = w.streamOf(r.streamName())
	}
	if r.stream.last != r.fingerprint {
		r.stream.last, r.number, r.schemas = r.fingerprint, 0, [variants]*source.RowSchema{}
		r.stream.count++
	}
	if r.number == 0 {
		r.number = r.stream.count
	}
}

// add adds a row to the round.
func (w *worker) add(r *row) {
	if rel := r.relation; rel.stream == nil || rel.stream.last != rel.fingerprint {
		w.settle(rel)
		rel.open = nil
	}
	e := w.encoder.encode(r)
	if !w.rows {
		e.variant = 0
	}
	p := w.round.partOf(r.relation, e.variant, w.rows, &w.source.memory)
	before := p.chunk.Bytes
	p.add(e, r, r.relation.stream.next)
	r.relation.stream.next++
	w.round.records++
	w.round.bytes += len(e.value) + len(e.before) + len(e.key)
	w.source.memory.Add(int64(p.chunk.Bytes - before))
}

// flush hands the round over; with boundary, a commit may end after it.
func (w *worker) flush(ctx context.Context, boundary bool) error {
	parts := w.round.parts
	w.close(&w.round)
	if boundary {
		w.partial, w.told, w.toldAt = false, w.read, time.Now()
	} else {
		w.partial = w.partial || len(parts) > 0
	}
	if boundary && len(parts) == 0 {
		p := &part{}
		p.chunk.Init(source.Stream{}, nil)
		p.chunk.Full = w.read > positions.LSN(w.source.durable.Load())+fullBytes
		parts = append(parts, p)
	}
	for i, p := range parts {
		c := &p.chunk
		c.Records, c.Origin = p.records, &p.after
		if len(p.records) > 0 {
			c.Next = p.records[len(p.records)-1].Offset + 1
		}
		if boundary && i == len(parts)-1 {
			c.Boundary = true
			p.after.boundary, p.after.end = true, w.read
			if w.news() {
				p.after.copied, p.after.forgotten, p.after.floor = maps.Clone(w.changed), w.forgotten, w.floor
				clear(w.changed)
				w.forgotten = nil
			}
		}
		if err := w.source.push(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// news says whether the next boundary has more to tell than how far it is.
func (w *worker) news() bool { return len(w.changed) > 0 || len(w.forgotten) > 0 }

// fullBytes is how much log may be kept at the server before the position is
// committed without records.
const fullBytes = 256 << 20
