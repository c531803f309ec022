// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/ingest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/record"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// goneError says that the source no longer has the records of some offsets.
type goneError struct {
	stream source.Stream
	to     int64 // the first that is there
	layout settings.Layout
}

func (e *goneError) Error() string {
	return fmt.Sprintf("the source no longer has the records of %s before %s %d", e.layout.Of(e.stream.Name, e.stream.Partition), e.layout.Offset, e.to)
}

// reread reads the records of a portion, which follows a commit.
func (v *verifier) reread(ctx context.Context, from commit, portion []commit) (audit.Truth, error) {
	if portion[0].moved {
		offsets, err := v.offsets(portion[0].d.Position)
		return &truth{offsets: v.offsets, starts: offsets, ends: offsets, moved: true}, err
	}
	starts, ends, err := v.bounds(from, portion)
	if err != nil {
		return nil, err
	}
	layout := v.Settings.Layout()
	t := &truth{offsets: v.offsets, layout: layout, starts: starts, ends: ends, records: map[source.Stream][]audit.Entry{}, rules: record.NewRules(v.Settings), jsonl: v.Settings.File.Format == "jsonl"}
	left := map[source.Stream]bool{}
	streams := map[string]bool{}
	for stream, end := range ends {
		if end > starts[stream] && stream.Generation > 0 {
			return nil, fmt.Errorf("%s %s was deleted and made again: commits from then on cannot be compared yet", layout.Stream, stream.Name)
		}
		if end > starts[stream] {
			left[stream], streams[stream.Name] = true, true
		}
	}
	if len(left) == 0 {
		return t, nil
	}
	src, err := v.Reread(v.Settings, from.d.Position, slices.Sorted(maps.Keys(streams)), source.Options{Memory: ingest.SourceShare(v.Settings), Log: v.Log})
	if err != nil {
		return nil, err
	}
	defer src.Close() //nolint:errcheck // only read
	if err := src.Open(ctx, from.d.Position); err != nil {
		return nil, why(ctx, src, err)
	}
	if v.Settings.SchemaRegistry.URL != "" {
		if t.replay, err = ingest.NewReplay(v.Settings, v.Log); err != nil {
			return nil, err
		}
	}
	for len(left) > 0 {
		chunk, err := src.Next(ctx)
		if err != nil {
			return nil, why(ctx, src, err)
		}
		err = t.take(ctx, chunk)
		src.Consume(chunk, len(chunk.Records))
		if end, ok := ends[chunk.Stream]; ok && chunk.Next >= end {
			delete(left, chunk.Stream)
		}
		chunk.Release()
		if err != nil {
			return nil, err
		}
	}
	return t, nil
}

// bounds returns where the streams of a portion begin and end.
func (v *verifier) bounds(from commit, portion []commit) (starts, ends map[source.Stream]int64, err error) {
	if starts, err = v.offsets(from.d.Position); err != nil {
		return nil, nil, err
	}
	ends = starts
	for _, c := range portion {
		if !c.ours {
			continue
		}
		if ends, err = v.offsets(c.d.Position); err != nil {
			return nil, nil, err
		}
		for stream, offset := range ends {
			if _, known := starts[stream]; !known && c.d.Reason == spoutcommit.ReasonStart {
				starts[stream] = offset
			}
		}
	}
	return starts, ends, nil
}

// why adds what kept the source from reading.
func why(ctx context.Context, src source.Source, err error) error {
	observed, ok := src.(source.Observed)
	if ctx.Err() == nil || !ok {
		return err
	}
	var troubles []string
	for _, t := range observed.Observe().Troubles {
		troubles = append(troubles, t.Text)
	}
	if len(troubles) == 0 {
		return fmt.Errorf("reading the source again took too long: %w", err)
	}
	return fmt.Errorf("reading the source again took too long: %s", strings.Join(troubles, "; "))
}

// truth is what the source has between two positions, after what the settings do
// with records.
type truth struct {
	offsets      func(json.RawMessage) (map[source.Stream]int64, error)
	layout       settings.Layout
	starts, ends map[source.Stream]int64
	records      map[source.Stream][]audit.Entry
	rules        *record.Rules
	jsonl        bool
	replay       *ingest.Replay // of values that are decoded; nil if there are none
	moved        bool
}

// take keeps a chunk's records that are wanted.
func (t *truth) take(ctx context.Context, chunk *source.Chunk) error {
	stream := chunk.Stream
	if gap := chunk.Gap; gap != nil && gap.To > t.starts[stream] && gap.From < t.ends[stream] {
		return &goneError{stream, gap.To, t.layout}
	}
	if t.replay != nil {
		return t.takeDecoded(ctx, chunk)
	}
	for i := range chunk.Records {
		r := chunk.Records[i]
		if r.Offset < t.starts[stream] || r.Offset >= t.ends[stream] {
			continue
		}
		entry, err := t.entry(stream, r)
		if err != nil {
			return err
		}
		t.records[stream] = append(t.records[stream], entry)
	}
	return nil
}

// takeDecoded takes records whose values a schema registry has the schemas of:
// what files hold of them is read from such files.
func (t *truth) takeDecoded(ctx context.Context, chunk *source.Chunk) error {
	stream := chunk.Stream
	part := *chunk
	part.Records = slices.DeleteFunc(slices.Clone(chunk.Records), func(r source.Record) bool {
		return r.Offset < t.starts[stream] || r.Offset >= t.ends[stream]
	})
	found := make(map[int64]audit.Entry, len(part.Records))
	err := t.replay.Files(ctx, &part, func(path string, content []byte) error {
		entries, err := audit.Records(t.layout, path, content)
		for _, e := range entries {
			e.Stream = stream
			found[e.Offset] = e
		}
		return err //nolint:wrapcheck // it says what is wrong
	})
	if err != nil {
		return fmt.Errorf("what the files should hold of %s: %w", t.layout.Of(stream.Name, stream.Partition), err)
	}
	for i := range part.Records {
		e, ok := found[part.Records[i].Offset]
		if !ok {
			e = audit.Entry{Stream: stream, Offset: part.Records[i].Offset, Fate: audit.Filtered}
		}
		t.records[stream] = append(t.records[stream], e)
	}
	return nil
}

// entry says what should have become of a record.
func (t *truth) entry(stream source.Stream, r source.Record) (audit.Entry, error) {
	e := audit.Entry{Stream: stream, Offset: r.Offset}
	value := r.Value
	if t.rules != nil {
		keep, err := t.rules.Apply(&r)
		var refused *record.Refused
		switch {
		case errors.As(err, &refused):
			e.Fate = audit.DeadLettered
		case err != nil:
			return e, err
		case !keep:
			e.Fate = audit.Filtered
			return e, nil
		default:
			value = r.Value
		}
	}
	e.Value = string(value)
	if value == nil && (t.jsonl || e.Fate == audit.DeadLettered) {
		e.Value = "null"
	}
	return e, nil
}

// Records implements [audit.Truth].
func (t *truth) Records(stream source.Stream, from, to int64) []audit.Entry {
	list := t.records[stream]
	at := func(offset int64) int {
		i, _ := slices.BinarySearchFunc(list, offset, func(e audit.Entry, o int64) int { return cmp.Compare(e.Offset, o) })
		return i
	}
	return list[at(from):max(at(from), at(to))]
}

// Ends implements [audit.Truth].
func (t *truth) Ends() map[source.Stream]int64 { return t.ends }

// Moved implements [audit.Moves].
func (t *truth) Moved() bool { return t.moved }

// Starts implements [audit.Truth].
func (t *truth) Starts() map[source.Stream]int64 { return t.starts }

// Offsets implements [audit.Truth].
func (t *truth) Offsets(position json.RawMessage) (map[source.Stream]int64, error) {
	return t.offsets(position)
}
