// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/record"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// schemas decodes values by the schemas of a registry, in one session. It is
// used by the batcher alone.
type schemas struct {
	registry *schema.Registry
	folder   string
	waiting  func(format string, args ...any) (done func())

	tombstones map[string]*tombstones           // by topic
	pinned     int                              // memory of the rows that they keep
	mostPinned int                              // that this may be
	recent     *tombstones                      // of the last record
	written    map[string]bool                  // schemas that are in the branch, or on their way
	inUse      map[int]*schema.Values           // of the open files, whether or not the registry's client keeps them
	last       *schema.Values                   // the last that was used
	keyed      map[[2]*schema.Rows]*schema.Rows // rows of values with a column for keys of other rows
	keyedSize  int                              // memory of these
	fresh      []schemaFile                     // to go with the next segment
	freshBytes int                              // of these, and of what is in use
	scratch    []byte

	json    bool // values, and keys that are decoded, become JSON
	keys    bool // keys are decoded
	largest int  // bytes that a value may become
	check   func(*schema.Rows) error
	key     key // of the present record
	line    []byte
}

func newSchemas(s settings.Settings, registry *schema.Registry, encoder *encode.Encoder, waiting func(format string, args ...any) (done func())) *schemas {
	return &schemas{registry: registry, folder: s.SchemaRegistry.Folder, waiting: waiting, written: map[string]bool{}, inUse: map[int]*schema.Values{}, tombstones: map[string]*tombstones{},
		json: s.File.Format == "jsonl", keys: s.SchemaRegistry.DecodesKeys(), largest: s.LargestRecord(), check: encoder.CheckRows, mostPinned: registry.MostKept()}
}

// tombstones are the rows for records of a topic without values: those of the
// schema that the topic's last value had.
type tombstones struct {
	topic string
	of    *schema.Rows // of the last value, nil before the first
	rows  *schema.Rows
	asked time.Time // when the registry was asked for the newest schema
	size  int       // memory of the rows

	keys *schema.Rows // of the last key, nil before the first
}

// pin counts the rows that are kept for a topic. If those of all topics take too
// much, the others are forgotten, as after a restart.
func (s *schemas) pin(t *tombstones) {
	size := 0
	for _, rows := range []*schema.Rows{t.of, t.rows, t.keys} {
		if rows != nil {
			size += rows.Memory()
		}
	}
	s.pinned, t.size = s.pinned+size-t.size, size
	if s.pinned <= s.mostPinned {
		return
	}
	clear(s.tombstones)
	s.tombstones[t.topic], s.recent, s.pinned = t, t, size
}

// askedFor is how long it counts that the registry has no schema for a topic.
const askedFor = time.Minute

// maxNewest is how long is waited for the newest schema of a topic, if the
// batch is not due before.
const maxNewest = 15 * time.Second

// tombstonesOf returns what is known of a topic.
func (s *schemas) tombstonesOf(topic string) *tombstones {
	if s.recent == nil || s.recent.topic != topic {
		if s.recent = s.tombstones[topic]; s.recent == nil {
			s.recent = &tombstones{topic: topic}
			s.tombstones[topic] = s.recent
		}
	}
	return s.recent
}

// rowsWithout returns the rows for a record without a value.
func (s *schemas) rowsWithout(ctx context.Context, due time.Time, t *tombstones) *schema.Rows {
	switch {
	case t.rows != nil:
	case t.of != nil:
		t.rows = t.of.Tombstones()
		s.pin(t)
	case time.Since(t.asked) > askedFor:
		t.asked = time.Now()
		if latest := t.asked.Add(maxNewest); due.IsZero() || due.After(latest) {
			due = latest
		}
		ctx, cancel := context.WithDeadline(ctx, due)
		defer cancel()
		defer s.waiting("the newest schema of topic %s", t.topic)()
		if values := s.registry.Newest(ctx, t.topic); values != nil && values.Rows() != nil {
			t.rows = values.Rows().Tombstones()
			s.pin(t)
			s.write(values)
		}
	}
	if t.rows == nil {
		return s.registry.Tombstones()
	}
	return t.rows
}

// errDue says that the batch must be committed before a schema is known.
var errDue = errors.New("the batch is due")

// decode brings the record's value into the encoding of rows. What it is then
// is valid until the next call. It waits for the registry until due, if that
// is a time; a value that cannot be decoded is a [*record.Refused]. Records that
// are next tell which schemas will be asked for.
func (s *schemas) decode(ctx context.Context, due time.Time, topic string, r *source.Record, next []source.Record) (*schema.Rows, error) {
	without := s.tombstonesOf(topic)
	if r.Value == nil {
		if s.json {
			return nil, nil
		}
		return s.rowsWithout(ctx, due, without), nil
	}
	id, payload, err := s.registry.Split(r, false)
	if err != nil {
		return nil, asRefused(err)
	}
	values, err := s.lookup(ctx, due, id, s.idsOf(next, false))
	if err != nil {
		return nil, asRefused(err)
	}
	rows, value, err := values.Decode(s.scratch, payload)
	if err != nil {
		return nil, asRefused(err)
	}
	s.scratch = scratchOf(s.scratch, value, payload)
	r.Value = value
	if value == nil {
		r.Value = []byte{} // null has been dealt with
	}
	if rows != nil && without.of != rows {
		without.of, without.rows = rows, nil
		s.pin(without)
	}
	s.write(values)
	s.use(values)
	return rows, nil
}

// scratchOf is memory for the next value that is decoded: what this one is in,
// unless that is the payload's.
func scratchOf(scratch, value, payload []byte) []byte {
	if inPayload := len(value) > 0 && len(payload) > 0 && &value[0] == &payload[0]; !inPayload && cap(value) > cap(scratch) {
		return value[:0]
	}
	return scratch
}

// use notes that open files are of a schema. It may be forgotten while they are:
// were it then read anew, each time there would be another file.
func (s *schemas) use(values *schema.Values) {
	if s.last == values {
		return
	}
	s.last = values
	if s.inUse[values.ID()] != values {
		s.inUse[values.ID()] = values
		s.freshBytes += values.Memory()
	}
}

// write has a schema written, if it is not in the branch.
func (s *schemas) write(values *schema.Values) {
	if !s.isNew(values.Name()) {
		return
	}
	for name, content := range values.Files() {
		s.fresh = append(s.fresh, schemaFile{"/" + s.folder + "/" + name, content})
		s.freshBytes += len(content)
	}
}

// maxWritten is how many schemas are kept in mind that were written. Others are
// written again, as after a restart: a registry may have any number.
const maxWritten = 20_000

// isNew says whether a schema was not written yet, and keeps it in mind.
func (s *schemas) isNew(name string) bool {
	if s.written[name] {
		return false
	}
	if len(s.written) >= maxWritten {
		clear(s.written)
	}
	s.written[name] = true
	return true
}

func (s *schemas) lookup(ctx context.Context, due time.Time, id int, next iter.Seq[int]) (*schema.Values, error) {
	if values, err, ok := s.registry.Known(id); ok {
		return values, err
	}
	if values := s.inUse[id]; values != nil {
		return values, nil
	}
	defer s.waiting("schema %s of the schema registry", s.registry.NameOf(id))()
	timed, cancel := ctx, func() {}
	if !due.IsZero() {
		timed, cancel = context.WithDeadline(ctx, due)
	}
	defer cancel()
	values, err := s.registry.Lookup(timed, id)
	if schema.IsUnknown(err) {
		s.registry.Foresee(timed, next)
		return nil, err
	}
	if err != nil && timed.Err() != nil && ctx.Err() == nil {
		return nil, errDue
	}
	return values, err
}

// idsOf yields the schemas that records' values, or their keys, name.
func (s *schemas) idsOf(records []source.Record, keys bool) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range records {
			if id, ok := s.registry.Named(&records[i], keys); ok && !yield(id) {
				return
			}
		}
	}
}

// takeNew returns the schemas that no segment has had yet. There are no open
// files any more.
func (s *schemas) takeNew() []schemaFile {
	fresh := s.fresh
	s.fresh, s.freshBytes, s.last = nil, 0, nil
	clear(s.inUse)
	return fresh
}

func asRefused(err error) error {
	var refused *schema.Refused
	if errors.As(err, &refused) {
		return &record.Refused{Reason: refused.Reason}
	}
	return err
}
