// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/record"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// segment is a part of a batch on its way to the uploader. Most batches are
// one; a batch that outgrows its share of the memory is several.
type segment struct {
	files   []encode.File
	schemas []schemaFile
	memory  int       // that the files take
	end     *batchEnd // set in a batch's last segment
}

// schemaFile is a schema of the registry beside the data that was written with it.
type schemaFile struct{ path, content string }

// batchEnd is what is known of a batch once it is complete.
type batchEnd struct {
	reason   spoutcommit.Reason
	position json.RawMessage
	counts   counts
	gaps     []spoutcommit.StreamGap
	began    time.Time // when its first record was read
}

// counts are what has become of a batch's records.
type counts struct {
	written      int64 // in its files
	filtered     int64 // left out
	deadLettered int64 // refused, and in files of dead letters
}

// batcher reads a source and sorts its records into the files of batches.
type batcher struct {
	source  source.Source
	encoder *encode.Encoder
	rules   *record.Rules // nil if records are taken as they are
	schemas *schemas      // nil if values are bytes
	limits  settings.Batch
	paths   paths
	refused string // what to do with records that are refused
	share   int    // memory that the files being filled may take
	out     chan<- *segment
	metrics *Metrics
	health  *health

	open   map[fileKey]openFile
	rows   map[*schema.Rows]bool // of the open files
	recent []openFile            // by the index of the stream: where its last records went
	dead   map[source.Stream]*encode.DeadLetters
	order  []encode.File
	memory int // of the open files
	told   int // what of it the metrics know
	bytes  int // of the batch, in earlier segments too
	files  int // as bytes
	counts counts
	gaps   []spoutcommit.StreamGap
	began  time.Time // when the batch's first record was read that is not left out
	moved  time.Time // since when the position has moved without such a record

	single [1]source.Record // what addOne passes on

	timer     context.Context // ends when the batch must be committed
	timed     time.Time       // when the timer ends
	stopTimer context.CancelFunc
}

// paths is what the batcher needs to know of the files' paths.
type paths struct {
	grain     time.Duration // how long records share a path, 0 for ever
	ingestion bool          // it is the time of ingestion that they show
	each      bool          // each record has a file of its own
}

func newPaths(s settings.File) paths {
	return paths{grain: s.Path.TimeGrain(), ingestion: s.PathTime == "ingestion", each: s.Format == "raw"}
}

// fileKey tells the files of a segment apart: one for each stream and, if
// paths show a time or values of the records, for each of those.
type fileKey struct {
	stream source.Stream
	span   int64
	values string
	rows   *schema.Rows
}

type openFile struct {
	key  fileKey
	file encode.File // nil for none
}

// run reads until ctx ends or the source fails.
func (b *batcher) run(ctx context.Context) error {
	b.open, b.rows, b.dead, b.stopTimer = map[fileKey]openFile{}, map[*schema.Rows]bool{}, map[source.Stream]*encode.DeadLetters{}, func() {}
	defer func() { b.stopTimer() }()
	for {
		chunk, err := b.next(ctx)
		if err == nil {
			done := b.health.working()
			err = b.take(ctx, chunk)
			chunk.Release()
			done()
		} else if ctx.Err() == nil && b.overdue() {
			err = nil
		}
		if err == nil && b.overdue() {
			err = b.flush(ctx, spoutcommit.ReasonAge)
		}
		if err != nil {
			return err
		}
	}
}

// next waits for the next chunk, at most until the batch must be committed.
func (b *batcher) next(ctx context.Context) (*source.Chunk, error) {
	due := b.due()
	if due.IsZero() {
		return b.read(ctx)
	}
	if b.timed != due {
		b.stopTimer()
		b.timed = due
		b.timer, b.stopTimer = context.WithDeadline(ctx, due)
	}
	return b.read(b.timer)
}

func (b *batcher) read(ctx context.Context) (*source.Chunk, error) {
	chunk, err := b.source.Next(ctx)
	if err != nil {
		return nil, &sourceError{err}
	}
	return chunk, nil
}

// movedAge is how long a position may move without records, as over aborted
// transactions, before it is committed alone: so that retention does not
// overtake it, and a restart does not read all of that again.
const movedAge = 5 * time.Minute

// due returns when the batch must be committed, zero if there is nothing to commit.
func (b *batcher) due() time.Time {
	switch {
	case !b.began.IsZero():
		return b.began.Add(b.limits.MaxAge.Std())
	case !b.moved.IsZero():
		return b.moved.Add(max(movedAge, b.limits.MaxAge.Std()))
	}
	return time.Time{}
}

// overdue says whether the batch has reached its age.
func (b *batcher) overdue() bool {
	due := b.due()
	return !due.IsZero() && !time.Now().Before(due)
}

// take puts a chunk's records into files and hands batches on as they fill up.
func (b *batcher) take(ctx context.Context, chunk *source.Chunk) error {
	if chunk.Gap != nil {
		b.begin()
		b.gaps = append(b.gaps, spoutcommit.StreamGap{Topic: chunk.Stream.Topic, Partition: chunk.Stream.Partition,
			From: chunk.Gap.From, To: chunk.Gap.To, Reason: chunk.Gap.Reason})
	}
	if len(chunk.Records) == 0 {
		b.source.Consume(chunk, 0)
		b.move()
	}
	for at := 0; at < len(chunk.Records); {
		n, err := b.addSome(ctx, chunk, chunk.Records[at:])
		if err != nil {
			return err
		}
		at += n
		b.source.Consume(chunk, at)
		b.metrics.read.Add(int64(n))
		b.metrics.filesMemory.Add(int64(b.memory - b.told))
		b.told = b.memory
		if reason := b.full(); reason != "" {
			err = b.flush(ctx, reason)
		} else if b.memory >= b.share {
			err = b.hand(ctx, nil)
		} else if n == 0 && b.overdue() {
			err = b.flush(ctx, spoutcommit.ReasonAge)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *batcher) begin() {
	if b.began.IsZero() {
		b.began = time.Now()
	}
}

// move notes that the position moves without a record.
func (b *batcher) move() {
	if b.began.IsZero() && b.moved.IsZero() {
		b.moved = time.Now()
	}
}

// addSome puts some of the records into files; none if the batch is due first.
func (b *batcher) addSome(ctx context.Context, chunk *source.Chunk, records []source.Record) (int, error) {
	if b.rules == nil && b.schemas == nil {
		return b.add(ctx, chunk, records)
	}
	return b.addEach(ctx, chunk, records)
}

// add appends the records that go into one file and fit the limits.
func (b *batcher) add(ctx context.Context, chunk *source.Chunk, records []source.Record) (int, error) {
	b.begin()
	span := b.span(&records[0])
	if b.paths.grain > 0 && !b.paths.ingestion {
		for i := range records {
			if b.span(&records[i]) != span {
				records = records[:i]
				break
			}
		}
	}
	if b.limits.MaxRecords > 0 {
		records = records[:min(int64(len(records)), int64(b.limits.MaxRecords)-b.counts.written-b.counts.deadLettered)]
	}
	n, err := b.append(b.file(chunk, span, nil, nil), records)
	var refused *record.Refused
	if errors.As(err, &refused) {
		return n + 1, b.refuse(ctx, chunk.Stream, &records[n], refused.Reason)
	}
	return n, err
}

// addEach is [batcher.add] for records that have to be looked at one by one. It
// takes all of them unless the batch is full, or memory, or is due while it
// waits for a schema.
func (b *batcher) addEach(ctx context.Context, chunk *source.Chunk, records []source.Record) (int, error) {
	for i := range records {
		keep, err := b.addOne(ctx, chunk, records[i])
		var refused *record.Refused
		switch {
		case errors.As(err, &refused):
			err = b.refuse(ctx, chunk.Stream, &records[i], refused.Reason)
		case errors.Is(err, errDue):
			return i, nil
		case err == nil && !keep:
			b.move()
			b.counts.filtered++
			continue
		}
		if err != nil {
			return i, err
		}
		if b.full() != "" || b.memory >= b.share {
			return i + 1, nil
		}
	}
	return len(records), nil
}

// addOne puts a record into its file; keep is false if it is to be left out.
func (b *batcher) addOne(ctx context.Context, chunk *source.Chunk, r source.Record) (keep bool, err error) {
	if b.rules != nil {
		if keep, err := b.rules.Apply(&r); !keep || err != nil {
			return false, err
		}
	}
	var rows *schema.Rows
	if b.schemas != nil {
		fresh := b.schemas.freshBytes
		rows, err = b.schemas.decode(ctx, b.due(), chunk.Stream.Topic, &r)
		b.memory += b.schemas.freshBytes - fresh
		if err != nil {
			return false, err
		}
	}
	b.begin()
	var values []byte
	if b.rules != nil {
		values = b.rules.Route(&r)
	}
	b.single[0] = r
	_, err = b.append(b.file(chunk, b.span(&r), values, rows), b.single[:])
	return true, err
}

// largeLetter is how large dead letters are that find room, or wait for it:
// what is refused is likely to be as large as it can be.
const largeLetter = 1 << 20

// refuse does with a record that cannot be written what the policy says.
func (b *batcher) refuse(ctx context.Context, stream source.Stream, r *source.Record, why string) error {
	if b.refused != "dead_letter" {
		return &source.Stop{Err: fmt.Errorf("the record of topic %s, partition %d, offset %d cannot be written: %s. Change the settings, or set SPOUT_RECORD_ON_REFUSED to dead_letter to have such records written to a folder of their own",
			stream.Topic, stream.Partition, r.Offset, why)}
	}
	b.begin()
	if need := encode.DeadLetterMemory(r); b.memory > 0 && need > largeLetter && b.memory+need > b.share {
		if err := b.hand(ctx, nil); err != nil {
			return err
		}
	}
	file := b.dead[stream]
	if file == nil {
		file = b.encoder.NewDeadLetters(stream)
		b.dead[stream] = file
		b.order = append(b.order, file)
		b.files++
	}
	size, memory := file.Size(), file.Memory()
	err := file.Add(*r, why)
	b.bytes += file.Size() - size
	b.memory += file.Memory() - memory
	b.counts.deadLettered++
	return err
}

// file returns the file for records of the chunk with that span, and those
// values and rows. Mostly it is where the stream's last ones went.
func (b *batcher) file(chunk *source.Chunk, span int64, values []byte, rows *schema.Rows) encode.File {
	if more := chunk.Index + 1 - len(b.recent); more > 0 {
		b.recent = append(b.recent, make([]openFile, more)...)
	}
	recent := &b.recent[chunk.Index]
	if k := &recent.key; recent.file != nil && k.stream == chunk.Stream && k.span == span && k.values == string(values) && k.rows == rows {
		return recent.file
	}
	open, ok := b.open[fileKey{stream: chunk.Stream, span: span, values: string(values), rows: rows}]
	if !ok {
		open = b.newFile(fileKey{stream: chunk.Stream, span: span, values: string(values), rows: rows})
	}
	*recent = open
	return open.file
}

func (b *batcher) newFile(key fileKey) openFile {
	file := b.encoder.NewFile(encode.Place{Stream: key.stream, Time: time.UnixMilli(key.span * b.paths.grain.Milliseconds()), Values: key.values, Rows: key.rows})
	open := openFile{key, file}
	b.open[key] = open
	if key.rows != nil && !b.rows[key.rows] {
		b.rows[key.rows] = true
		b.memory += key.rows.Memory()
	}
	b.order = append(b.order, file)
	if !b.paths.each {
		b.files++
	}
	return open
}

// append puts records into a file, as many as the batch has room for.
func (b *batcher) append(file encode.File, records []source.Record) (int, error) {
	if b.paths.each {
		records = records[:min(len(records), b.limits.MaxFiles-b.files)]
	}
	size, memory := file.Size(), file.Memory()
	room := min(int(b.limits.MaxBytes)-b.bytes, b.share-b.memory)
	n, err := file.Append(records, size+max(room, 0))
	b.bytes += file.Size() - size
	b.memory += file.Memory() - memory
	b.counts.written += int64(n)
	if b.paths.each {
		b.files += n
	}
	return n, err
}

// span numbers the stretch of time that a record's path shows.
func (b *batcher) span(r *source.Record) int64 {
	switch {
	case b.paths.grain == 0:
		return 0
	case b.paths.ingestion:
		return span(b.began.UnixMilli(), b.paths.grain)
	}
	return span(r.Timestamp, b.paths.grain)
}

// span numbers the stretches of time that share a path.
func span(timestamp int64, grain time.Duration) int64 {
	ms := grain.Milliseconds()
	n := timestamp / ms
	if timestamp%ms < 0 {
		n-- // before 1970
	}
	return n
}

func (b *batcher) full() spoutcommit.Reason {
	switch {
	case b.bytes >= int(b.limits.MaxBytes):
		return spoutcommit.ReasonBytes
	case b.limits.MaxRecords > 0 && b.counts.written+b.counts.deadLettered >= int64(b.limits.MaxRecords):
		return spoutcommit.ReasonRecords
	case b.limits.MaxFiles > 0 && b.files >= b.limits.MaxFiles:
		return spoutcommit.ReasonFiles
	}
	return ""
}

// flush ends the batch at the source's position.
func (b *batcher) flush(ctx context.Context, reason spoutcommit.Reason) error {
	end := &batchEnd{reason: reason, position: b.source.Position(), counts: b.counts, gaps: b.gaps, began: b.began}
	b.bytes, b.files, b.counts, b.gaps, b.began, b.moved = 0, 0, counts{}, nil, time.Time{}, time.Time{}
	return b.hand(ctx, end)
}

// hand gives the open files to the uploader; it blocks while that is busy,
// which is what keeps the memory bounded.
func (b *batcher) hand(ctx context.Context, end *batchEnd) error {
	s := &segment{files: b.order, memory: b.memory, end: end}
	if b.schemas != nil {
		s.schemas = b.schemas.takeNew()
	}
	clear(b.open)
	clear(b.rows)
	clear(b.recent)
	clear(b.dead)
	b.order, b.memory, b.told = nil, 0, 0
	select {
	case b.out <- s:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("batch: %w", ctx.Err())
	}
}
