// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/record"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// paths is what the batcher needs to know of the files' paths.
type paths struct {
	grain     time.Duration // how long records share a path, 0 for ever
	ingestion bool          // it is the time of ingestion that they show
	each      bool          // each record has a file of its own
}

func newPaths(s settings.Settings) paths {
	return paths{grain: s.FilePath().TimeGrain(), ingestion: s.File.PathTime == "ingestion", each: s.File.Format == "raw"}
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
	if most := b.cut().MaxRecords; most > 0 {
		records = records[:min(int64(len(records)), int64(most)-b.counts.written-b.counts.deadLettered)]
	}
	rows, err := b.rowsOf(chunk.Schema)
	if err != nil {
		return 0, err
	}
	if len(records[0].Value) > largeRecord {
		records = records[:1]
		if err := b.makeRoom(ctx, len(records[0].Value)); err != nil {
			return 0, err
		}
	}
	n, err := b.append(b.file(chunk, span, nil, rows), records)
	var refused *record.Refused
	if errors.As(err, &refused) {
		return n + 1, b.refuse(ctx, chunk.Stream, &records[n], refused.Reason)
	}
	return n, err
}

// Schemas of chunks that are kept ready though no open file has them: so many,
// and a part of what files may take. Who may alter a table makes another one
// each time.
const (
	maxRowSchemas  = 1000
	rowSchemaShare = 3
)

// rowsOf returns the rows of a chunk's schema, nil if its values are bytes.
func (b *batcher) rowsOf(of *source.RowSchema) (*schema.Rows, error) {
	if of == b.lastSchema {
		return b.lastRows, nil
	}
	rows := b.rows[of]
	if rows == nil && of != nil {
		var err error
		if rows, err = schema.OfSource(of, b.layout); err == nil {
			err = b.encoder.CheckRows(rows)
		}
		if err != nil {
			return nil, fmt.Errorf("the source's schema: %w", &sourceError{err})
		}
		b.boundRows()
		b.rows[of] = rows
	}
	b.lastSchema, b.lastRows = of, rows
	return rows, nil
}

// boundRows forgets the schemas that no open file has if they are too many. Were
// others made anew, each time there would be another file.
func (b *batcher) boundRows() {
	count, memory := 0, 0
	for _, rows := range b.rows {
		if !b.openRows[rows] { // else it counts with the files
			count++
			memory += rows.Memory()
		}
	}
	if count >= maxRowSchemas || memory > b.share/rowSchemaShare {
		maps.DeleteFunc(b.rows, func(_ *source.RowSchema, rows *schema.Rows) bool { return !b.openRows[rows] })
	}
}

// addEach is [batcher.add] for records that have to be looked at one by one. It
// takes all of them unless the batch is full, or memory, or is due while it
// waits for a schema.
func (b *batcher) addEach(ctx context.Context, chunk *source.Chunk, records []source.Record) (int, error) {
	for i := range records {
		keep, err := b.addOne(ctx, chunk, records[i:])
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
		if b.full(b.cut()) != "" || b.memory >= b.share {
			return i + 1, nil
		}
	}
	return len(records), nil
}

// addOne puts the first of some records into its file; keep is false if it is
// to be left out.
func (b *batcher) addOne(ctx context.Context, chunk *source.Chunk, records []source.Record) (keep bool, err error) {
	b.single[0] = records[0]
	r := &b.single[0]
	if b.schemas == nil && chunk.Schema == nil {
		return b.addPlain(ctx, chunk, r)
	}
	due, _ := b.due()
	if b.schemas != nil && b.schemas.keys {
		fresh := b.schemas.freshBytes
		err = b.schemas.decodeKey(ctx, due, chunk.Stream.Name, r, records[1:])
		b.memory += b.schemas.freshBytes - fresh
		if err != nil {
			return false, err
		}
	}
	if b.rules != nil {
		if keep, err := b.rules.ApplyUndecoded(r); !keep || err != nil {
			return false, err
		}
	}
	rows, err := b.rowsOf(chunk.Schema)
	if err != nil {
		return false, err
	}
	if b.schemas != nil {
		fresh := b.schemas.freshBytes
		rows, err = b.schemas.decode(ctx, due, chunk.Stream.Name, r, records[1:])
		b.memory += b.schemas.freshBytes - fresh
		if err != nil {
			return false, err
		}
	}
	return b.addDecoded(ctx, chunk, r, rows)
}

// addPlain puts a record whose value is bytes into its file.
func (b *batcher) addPlain(ctx context.Context, chunk *source.Chunk, r *source.Record) (keep bool, err error) {
	var values []byte
	if b.rules != nil {
		if keep, err := b.rules.Apply(r); !keep || err != nil {
			return false, err
		}
		values = b.rules.Route(r)
	}
	return true, b.put(ctx, chunk, r, values, nil)
}

// addDecoded puts a record whose value is one of rows, or JSON or nothing if
// there are none, into its file.
func (b *batcher) addDecoded(ctx context.Context, chunk *source.Chunk, r *source.Record, rows *schema.Rows) (keep bool, err error) {
	var values []byte
	switch {
	case b.rules == nil:
	case rows == nil:
		if keep, err := b.rules.Apply(r); !keep || err != nil {
			return false, err
		}
		values = b.rules.Route(r)
	default:
		if rows, keep, err = b.rules.ApplyRows(r, rows); !keep || err != nil {
			return false, err
		}
		if values, err = b.rules.RouteRow(r); err != nil {
			return false, err
		}
	}
	if s := b.schemas; s != nil {
		if s.json && rows != nil {
			if err := s.jsonOf(r, rows); err != nil {
				return false, err
			}
			rows = nil
		}
		if s.keys {
			if rows, err = s.placeKey(chunk.Stream.Name, r, rows); err != nil {
				return false, err
			}
		}
	}
	return true, b.put(ctx, chunk, r, values, rows)
}

// put puts the single record, as it is now, into the file for those values and
// rows.
func (b *batcher) put(ctx context.Context, chunk *source.Chunk, r *source.Record, values []byte, rows *schema.Rows) error {
	b.begin()
	if len(r.Value) > largeRecord {
		if err := b.makeRoom(ctx, len(r.Value)); err != nil {
			return err
		}
	}
	_, err := b.append(b.file(chunk, b.span(r), values, rows), b.single[:])
	return err
}

// largeRecord is how large records are that find room, or wait for it.
const largeRecord = 1 << 20

// makeRoom hands the open files to the uploader if they would take more than
// their share with a large record.
func (b *batcher) makeRoom(ctx context.Context, need int) error {
	if len(b.order) == 0 || b.memory+need <= b.share {
		return nil
	}
	return b.hand(ctx, nil)
}

// maxReason is how long a reason is that is told of a record: some repeat what
// producers and schemas say, and each dead letter has one.
const maxReason = 1000

// refuse does with a record that cannot be written what the policy says.
func (b *batcher) refuse(ctx context.Context, stream source.Stream, r *source.Record, why string) error {
	if len(why) > maxReason {
		why = strings.ToValidUTF8(why[:maxReason], "") + "…"
	}
	if b.refused != "dead_letter" {
		return &source.Stop{Err: fmt.Errorf("the record of %s cannot be written: %s. Change the settings, or set SPOUT_RECORD_ON_REFUSED to dead_letter to have such records written to a folder of their own",
			b.layout.Record(stream.Name, stream.Partition, r.Offset), why)}
	}
	b.begin()
	if need := encode.DeadLetterMemory(r); need > largeRecord { // as what is refused is likely to be
		if err := b.makeRoom(ctx, need); err != nil {
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
	for rows := key.rows; rows != nil && !b.openRows[rows]; rows = rows.Origin() {
		b.openRows[rows] = true
		b.memory += rows.Memory()
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
		records = records[:min(len(records), b.cut().MaxFiles-b.files)]
	}
	size, memory := file.Size(), file.Memory()
	room := min(int(b.cut().MaxBytes)-b.bytes, b.share-b.memory)
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
