// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"encoding/json"
	"fmt"
	"testing"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/postgres"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/postgres/pgoutput"
)

// TestDroppedTables: however many tables are made, changed and dropped, a
// position does not grow with them, and a table of a name that was there before
// is numbered on.
func TestDroppedTables(t *testing.T) {
	t.Parallel()
	s := settings.Default()
	s.Postgres.Snapshot = "never"
	made, err := Make(s, source.Options{Memory: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	src := made.(*Source)
	w := src.worker
	src.position = positions.New()
	src.position.System, src.position.Slot = "7", "s"
	w.begin(src.position, false)
	consume := func(boundary bool) (records []source.Record) {
		t.Helper()
		flushed := make(chan error)
		go func() { flushed <- w.flush(t.Context(), boundary) }()
		for {
			select {
			case c := <-src.chunks:
				src.Consume(c, len(c.Records))
				records = append(records, c.Records...)
				c.Release()
			case err := <-flushed:
				if err != nil {
					t.Fatal(err)
				}
				for len(src.chunks) > 0 {
					c := <-src.chunks
					src.Consume(c, len(c.Records))
					records = append(records, c.Records...)
					c.Release()
				}
				return records
			}
		}
	}
	change := func(id uint32, name string) {
		t.Helper()
		if _, err := w.relation(t.Context(), &pgoutput.Relation{ID: id, Schema: "public", Name: name, Columns: []pgoutput.Column{{Name: "a", Type: 25}}}); err != nil {
			t.Fatal(err)
		}
		w.tx = &transaction{}
		w.change = pgoutput.Change{Kind: pgoutput.KindInsert, Relation: id, New: []pgoutput.Value{{Kind: pgoutput.Null}}}
		if err := w.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.tx = nil
	}
	kept := []*table{{id: 1, schema: "public", name: "kept"}}
	most := 0
	for day := range 40 {
		for range 3 {
			change(1, "kept")
		}
		for n := range 500 {
			change(uint32(1000+500*day+n), fmt.Sprintf("day_%d_%d", day, n))
			if w.round.full() || n%100 == 0 {
				consume(true)
			}
		}
		w.read += 1000
		consume(true)
		w.compare(kept, w.read)
		w.compare(kept, w.read)
		consume(true)
		position, err := positions.Parse(src.Position())
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, len(position.Render()))
		if len(position.Relations) > 1 {
			t.Fatalf("on day %d, the position has %d relations", day, len(position.Relations))
		}
	}
	if most > 400<<10 || len(w.relations) > 1 || len(w.streams) > manyStreams || len(src.Observe().Lags) != len(w.streams) {
		t.Errorf("positions have %d bytes at most, %d relations and %d streams are known", most, len(w.relations), len(w.streams))
	}
	// The same after a restart, and with the name of one that was forgotten.
	raw := src.Position()
	position, err := positions.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if at := position.Tables["public.kept"]; at == nil || at.Next != 120 || position.Floor == nil || position.Tables["public.day_0_7"] != nil {
		t.Fatalf("%s", json.RawMessage(raw[:min(len(raw), 500)]))
	}
	made, _ = Make(s, source.Options{Memory: 64 << 20})
	src, w = made.(*Source), made.(*Source).worker
	src.position = position
	w.begin(position, true)
	change(1, "kept")
	change(77, "day_0_7")
	offsets := map[int64]bool{}
	for _, r := range consume(true) {
		offsets[r.Offset] = true
	}
	if !offsets[120] || !offsets[position.Floor.Next] || position.Floor.Next < 1 || len(offsets) != 2 {
		t.Errorf("records are numbered %v, and the floor is %d", offsets, position.Floor.Next)
	}
	if got, err := positions.Parse(src.Position()); err != nil || got.Tables["public.day_0_7"] == nil || got.Tables["public.day_0_7"].Next != position.Floor.Next+1 {
		t.Errorf("%+v, %v", got, err)
	}
}
