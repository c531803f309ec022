// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"errors"
	"time"

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

	written map[int]bool // schemas that are in the branch, or on their way
	fresh   []schemaFile // to go with the next segment
	scratch []byte
}

// errDue says that the batch must be committed before a schema is known.
var errDue = errors.New("the batch is due")

// decode brings the record's value into the encoding of rows. What it is then
// is valid until the next call. It waits for the registry until due, if that
// is a time; a value that cannot be decoded is a [*record.Refused].
func (s *schemas) decode(ctx context.Context, due time.Time, r *source.Record) (*schema.Rows, error) {
	if r.Value == nil {
		return schema.Tombstones, nil
	}
	id, payload, err := schema.Split(r.Value)
	if err != nil {
		return nil, asRefused(err)
	}
	values, err := s.lookup(ctx, due, id)
	if err != nil {
		return nil, asRefused(err)
	}
	rows, value, err := values.Decode(s.scratch, payload)
	if err != nil {
		return nil, asRefused(err)
	}
	if inPayload := len(value) > 0 && len(payload) > 0 && &value[0] == &payload[0]; !inPayload && cap(value) > cap(s.scratch) {
		s.scratch = value[:0]
	}
	r.Value = value
	if value == nil {
		r.Value = []byte{} // null has been dealt with
	}
	if !s.written[id] {
		s.written[id] = true
		for name, content := range values.Files() {
			s.fresh = append(s.fresh, schemaFile{"/" + s.folder + "/" + name, content})
		}
	}
	return rows, nil
}

func (s *schemas) lookup(ctx context.Context, due time.Time, id int) (*schema.Values, error) {
	if values, err, ok := s.registry.Known(id); ok {
		return values, err
	}
	defer s.waiting("schema %d of the schema registry", id)()
	if due.IsZero() {
		return s.registry.Lookup(ctx, id)
	}
	timed, cancel := context.WithDeadline(ctx, due)
	defer cancel()
	values, err := s.registry.Lookup(timed, id)
	if err != nil && timed.Err() != nil && ctx.Err() == nil {
		return nil, errDue
	}
	return values, err
}

// takeNew returns the schemas that no segment has had yet.
func (s *schemas) takeNew() []schemaFile {
	fresh := s.fresh
	s.fresh = nil
	return fresh
}

func asRefused(err error) error {
	var refused *schema.Refused
	if errors.As(err, &refused) {
		return &record.Refused{Reason: refused.Reason}
	}
	return err
}
