// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
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
	memory  int           // that the files take
	end     *batchEnd     // set in a batch's last segment
	put     chan struct{} // closed once the files are at the server
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
	redelivered  int64 // in earlier commits already
}

// batcher reads a source and sorts its records into the files of batches.
type batcher struct {
	source  source.Source
	encoder *encode.Encoder
	rules   *record.Rules // nil if records are taken as they are
	schemas *schemas      // nil if values are bytes
	ends
	layout  settings.Layout
	paths   paths
	refused string // what to do with records that are refused
	share   int    // memory that the files being filled may take
	out     chan<- *segment
	metrics *Metrics
	health  *health

	inMemory
	recent []openFile // by the index of the stream: where its last records went
	order  []encode.File
	memory int // of the open files
	told   int // what of it the metrics know
	bytes  int // of the batch, in earlier segments too
	files  int // as bytes
	counts counts
	gaps   gaps

	single     [1]source.Record  // what addOne passes on
	lastSchema *source.RowSchema // of the last chunk
	lastRows   *schema.Rows      // its rows

	timer     context.Context // ends when the batch must be committed
	timed     time.Time       // when the timer ends
	stopTimer context.CancelFunc
}

// inMemory is what a batcher knows of what it has open.
type inMemory struct {
	open     map[fileKey]openFile
	openRows map[*schema.Rows]bool // of the open files
	dead     map[source.Stream]*encode.DeadLetters
	rows     map[*source.RowSchema]*schema.Rows
}

// keepInMemory begins with nothing open.
func (b *batcher) keepInMemory() {
	b.inMemory = inMemory{map[fileKey]openFile{}, map[*schema.Rows]bool{}, map[source.Stream]*encode.DeadLetters{}, map[*source.RowSchema]*schema.Rows{}}
	if b.rules != nil {
		b.rules.InUse(func(rows *schema.Rows) bool { return b.openRows[rows] })
	}
}

// run reads until ctx ends or the source fails.
func (b *batcher) run(ctx context.Context) error {
	b.keepInMemory()
	b.stopTimer = func() {}
	defer func() { b.stopTimer() }()
	for {
		chunk, err := b.next(ctx)
		if err == nil {
			done := b.health.working()
			err = b.take(ctx, chunk)
			chunk.Release()
			done()
		} else if ctx.Err() == nil && b.overdue() != "" {
			err = nil
		}
		if reason := b.overdue(); err == nil && reason != "" {
			err = b.flush(ctx, reason)
		}
		if err != nil {
			return err
		}
	}
}

// next waits for the next chunk, at most until the batch must be committed.
func (b *batcher) next(ctx context.Context) (*source.Chunk, error) {
	due, _ := b.due()
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

// take puts a chunk's records into files and hands batches on as they fill up.
func (b *batcher) take(ctx context.Context, chunk *source.Chunk) error {
	if chunk.Gap != nil {
		b.begin()
		b.gaps.add(chunk.Stream, spoutcommit.StreamGap{StreamWord: b.layout.Stream, PartitionWord: b.layout.Partition,
			Stream: chunk.Stream.Name, Partition: chunk.Stream.Partition, From: chunk.Gap.From, To: chunk.Gap.To, Reason: chunk.Gap.Reason})
	}
	b.counts.redelivered += chunk.Redelivered
	if len(chunk.Records) == 0 {
		b.move()
		b.consume(chunk, 0)
		if len(b.gaps.list) >= maxGaps && !b.inside {
			return b.flush(ctx, spoutcommit.ReasonGaps)
		}
	}
	for at := 0; at < len(chunk.Records); {
		n, err := b.addSome(ctx, chunk, chunk.Records[at:])
		if err != nil {
			return err
		}
		at += n
		b.consume(chunk, at)
		b.metrics.read.Add(int64(n))
		b.metrics.filesMemory.Add(int64(b.memory - b.told))
		b.told = b.memory
		if reason := b.full(&b.limits); reason != "" && !b.inside {
			err = b.flush(ctx, reason)
		} else if n == 0 || b.memory >= b.share { // the rest of the chunk may take long
			if reason = b.overdue(); reason != "" {
				err = b.flush(ctx, reason)
			} else if b.memory >= b.share {
				err = b.hand(ctx, nil)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// consume moves the position past a part of a chunk.
func (b *batcher) consume(chunk *source.Chunk, n int) {
	b.source.Consume(chunk, n)
	b.passed(chunk, n)
}

// full says which of the limits the batch has reached.
func (b *batcher) full(limits *settings.Batch) spoutcommit.Reason {
	switch {
	case b.bytes >= int(limits.MaxBytes):
		return spoutcommit.ReasonBytes
	case limits.MaxRecords > 0 && b.counts.written+b.counts.deadLettered >= int64(limits.MaxRecords):
		return spoutcommit.ReasonRecords
	case limits.MaxFiles > 0 && b.files >= limits.MaxFiles:
		return spoutcommit.ReasonFiles
	case len(b.gaps.list) >= maxGaps:
		return spoutcommit.ReasonGaps
	}
	return ""
}

// flush ends the batch at the source's position.
func (b *batcher) flush(ctx context.Context, reason spoutcommit.Reason) error {
	end := &batchEnd{reason: reason, position: b.source.Position(), counts: b.counts, gaps: b.gaps.list, began: b.began}
	b.bytes, b.files, b.counts, b.gaps = 0, 0, counts{}, gaps{}
	b.reset()
	return b.hand(ctx, end)
}

// hand gives the open files to the uploader; it blocks while that is busy,
// which is what keeps the memory bounded. What takes much more than its share,
// as one large row that becomes a Parquet file does, is waited for.
func (b *batcher) hand(ctx context.Context, end *batchEnd) error {
	s := &segment{files: b.order, memory: b.memory, end: end, put: make(chan struct{})}
	if b.schemas != nil {
		s.schemas = b.schemas.takeNew()
	}
	b.forget()
	select {
	case b.out <- s:
	case <-ctx.Done():
		return fmt.Errorf("batch: %w", ctx.Err())
	}
	if s.memory < b.share/2*3 {
		return nil
	}
	select {
	case <-s.put:
		runtime.GC() // what it took is garbage all at once, and the next one takes as much
		return nil
	case <-ctx.Done():
		return fmt.Errorf("batch: %w", ctx.Err())
	}
}

// forget begins with no files.
func (b *batcher) forget() {
	clear(b.open)
	clear(b.openRows)
	clear(b.recent)
	clear(b.dead)
	if b.boundRows(); b.rules != nil {
		b.rules.BoundRows()
	}
	b.order, b.memory, b.told = nil, 0, 0
}
