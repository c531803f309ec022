// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// segment is a part of a batch on its way to the uploader. Most batches are
// one; a batch that outgrows its share of the memory is several.
type segment struct {
	files  []*encode.File
	memory int       // that they take
	end    *batchEnd // set in a batch's last segment
}

// batchEnd is what is known of a batch once it is complete.
type batchEnd struct {
	reason   spoutcommit.Reason
	position json.RawMessage
	records  int64
	gaps     []spoutcommit.StreamGap
	began    time.Time // when its first record was read
}

// batcher reads a source and sorts its records into the files of batches.
type batcher struct {
	source  source.Source
	encoder *encode.Encoder
	limits  settings.Batch
	grain   time.Duration // of the paths' time
	share   int           // memory that the files being filled may take
	out     chan<- *segment
	metrics *Metrics

	files   map[fileKey]*encode.File
	order   []*encode.File
	memory  int // of the open files
	bytes   int // of the batch, in earlier segments too
	records int64
	gaps    []spoutcommit.StreamGap
	began   time.Time // when the batch's first record was read
	moved   time.Time // since when the position has moved without a record

	timer     context.Context // ends when the batch must be committed
	timed     time.Time       // when the timer ends
	stopTimer context.CancelFunc
}

// fileKey tells the files of a segment apart: one for each stream and, if
// paths show a time, for each span of it.
type fileKey struct {
	stream source.Stream
	span   int64
}

// run reads until ctx ends or the source fails.
func (b *batcher) run(ctx context.Context) error {
	b.files, b.stopTimer = map[fileKey]*encode.File{}, func() {}
	defer func() { b.stopTimer() }()
	for {
		chunk, err := b.next(ctx)
		if err == nil {
			err = b.take(ctx, chunk)
			chunk.Release()
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
		if b.began.IsZero() && b.moved.IsZero() {
			b.moved = time.Now()
		}
	}
	for at := 0; at < len(chunk.Records); {
		b.begin()
		n, err := b.add(chunk.Stream, chunk.Records[at:])
		if err != nil {
			return err
		}
		at += n
		b.source.Consume(chunk, at)
		if reason := b.full(); reason != "" {
			err = b.flush(ctx, reason)
		} else if b.memory >= b.share {
			err = b.hand(ctx, nil)
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

// add appends the records that go into one file and fit the limits.
func (b *batcher) add(stream source.Stream, records []source.Record) (int, error) {
	key := fileKey{stream: stream}
	if b.grain > 0 {
		key.span = span(records[0].Timestamp, b.grain)
		for i := range records {
			if span(records[i].Timestamp, b.grain) != key.span {
				records = records[:i]
				break
			}
		}
	}
	if b.limits.MaxRecords > 0 {
		records = records[:min(int64(len(records)), int64(b.limits.MaxRecords)-b.records)]
	}
	file := b.files[key]
	if file == nil {
		file = b.encoder.NewFile(stream, time.UnixMilli(key.span*b.grain.Milliseconds()))
		b.files[key] = file
		b.order = append(b.order, file)
	}
	size, memory := file.Size(), file.Memory()
	room := min(int(b.limits.MaxBytes)-b.bytes, b.share-b.memory)
	n, err := file.Append(records, size+max(room, 0))
	b.bytes += file.Size() - size
	b.memory += file.Memory() - memory
	b.metrics.filesMemory.Add(int64(file.Memory() - memory))
	b.metrics.read.Add(int64(n))
	b.records += int64(n)
	return n, err
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
	case b.limits.MaxRecords > 0 && b.records >= int64(b.limits.MaxRecords):
		return spoutcommit.ReasonRecords
	}
	return ""
}

// flush ends the batch at the source's position.
func (b *batcher) flush(ctx context.Context, reason spoutcommit.Reason) error {
	end := &batchEnd{reason: reason, position: b.source.Position(), records: b.records, gaps: b.gaps, began: b.began}
	b.bytes, b.records, b.gaps, b.began, b.moved = 0, 0, nil, time.Time{}, time.Time{}
	return b.hand(ctx, end)
}

// hand gives the open files to the uploader; it blocks while that is busy,
// which is what keeps the memory bounded.
func (b *batcher) hand(ctx context.Context, end *batchEnd) error {
	s := &segment{files: b.order, memory: b.memory, end: end}
	clear(b.files)
	b.order, b.memory = nil, 0
	select {
	case b.out <- s:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("batch: %w", ctx.Err())
	}
}
