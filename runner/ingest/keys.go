// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"fmt"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/record"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// key is a key that was decoded. Its memory is used again.
type key struct {
	there   bool
	rows    *schema.Rows // of which it is one, nil if it is JSON
	value   []byte
	content []byte // what it says
	scratch []byte
}

// decodeKey decodes a record's key by its own schema, and has the record's key
// say what it says, as filters and paths are to see it. Records that are next
// tell which schemas will be asked for.
func (s *schemas) decodeKey(ctx context.Context, due time.Time, topic string, r *source.Record, next []source.Record) error {
	k := &s.key
	if k.there = r.Key != nil; !k.there {
		return nil
	}
	id, payload, err := s.registry.Split(r, true)
	if err != nil {
		return asRefusedKey(err)
	}
	values, err := s.lookup(ctx, due, id, s.idsOf(next, true))
	if err != nil {
		return asRefusedKey(err)
	}
	rows, value, err := values.Decode(k.scratch, payload)
	if err != nil {
		return asRefusedKey(err)
	}
	k.scratch = scratchOf(k.scratch, value, payload)
	k.rows, k.value = rows, append(k.value[:0], value...)
	if rows == nil {
		k.content = record.Content(append(k.content[:0], value...))
	} else if k.content, err = rows.AppendContent(k.content[:0], value, s.largest); err != nil {
		return asRefusedKey(err)
	}
	r.Key = k.content
	if t := s.tombstonesOf(topic); t.keys != rows {
		t.keys = rows
		s.pin(t)
	}
	s.write(values)
	s.use(values)
	return nil
}

// placeKey has the record's key be what is written, and returns the rows that
// have a column for it.
func (s *schemas) placeKey(topic string, r *source.Record, rows *schema.Rows) (*schema.Rows, error) {
	k := &s.key
	if s.json {
		if !k.there {
			return rows, nil
		}
		if k.rows == nil {
			r.Key = k.value
			return rows, nil
		}
		var err error
		k.content, err = k.rows.AppendJSON(k.content[:0], k.value, s.largest)
		r.Key = k.content
		return rows, asRefused(err)
	}
	r.Key = nil
	of := k.rows
	if !k.there {
		of = s.tombstonesOf(topic).keys
	} else {
		r.Key = k.value
		if r.Key == nil {
			r.Key = []byte{}
		}
	}
	if of == nil {
		return rows, nil
	}
	return s.withKeys(rows, of)
}

// maxKeyed bounds the memory of rows with keys that are kept: beyond it all are
// made again.
const maxKeyed = 8 << 20

func (s *schemas) withKeys(rows, keys *schema.Rows) (*schema.Rows, error) {
	pair := [2]*schema.Rows{rows, keys}
	if with := s.keyed[pair]; with != nil {
		return with, nil
	}
	with, err := rows.WithKey(keys)
	if err == nil {
		err = s.check(with)
	}
	if err != nil {
		return nil, &record.Refused{Reason: fmt.Sprintf("its value and its key cannot be in one row: %.500v", err)}
	}
	if s.keyedSize += with.Memory(); s.keyedSize > maxKeyed || s.keyed == nil {
		s.keyed, s.keyedSize = map[[2]*schema.Rows]*schema.Rows{}, with.Memory()
	}
	s.keyed[pair] = with
	return with, nil
}

// jsonOf brings a value into JSON. It is valid until the next call.
func (s *schemas) jsonOf(r *source.Record, rows *schema.Rows) error {
	if cap(s.line) > largeRecord {
		s.line = nil
	}
	line, err := rows.AppendJSON(s.line[:0], r.Value, s.largest)
	if err != nil {
		return asRefused(err)
	}
	s.line, r.Value = line, line
	return nil
}

func asRefusedKey(err error) error {
	err = asRefused(err)
	if refused, ok := err.(*record.Refused); ok { //nolint:errorlint // it is made here
		return &record.Refused{Reason: "its key cannot be decoded: " + refused.Reason}
	}
	return err
}
