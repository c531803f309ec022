// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"fmt"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestPinnedRows: the rows that are kept for the tombstones of topics count as
// memory, however many topics there are, and those of a topic stay the same
// while there is room.
func TestPinnedRows(t *testing.T) {
	t.Parallel()
	s := &schemas{tombstones: map[string]*tombstones{}, mostPinned: 1 << 20}
	rowsOf := func(topic, n int) *schema.Rows {
		fields := ""
		for i := range 100 {
			fields += fmt.Sprintf(`,{"name":"f%d_%d_%d","type":["null","long"]}`, topic, n, i)
		}
		rows, err := schema.OfSource(&source.RowSchema{Avro: `{"type":"record","name":"R","fields":[` + fields[1:] + `]}`, Version: 1}, settings.Default().Layout())
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	for n := range 100 { // of one topic
		at := s.tombstonesOf("one")
		at.of, at.rows = rowsOf(0, n), nil
		s.pin(at)
	}
	if s.pinned != s.tombstones["one"].of.Memory() {
		t.Errorf("%d bytes are counted for one of %d", s.pinned, s.tombstones["one"].of.Memory())
	}
	kept, most := 0, 0
	for topic := range 200 {
		at := s.tombstonesOf(fmt.Sprint(topic))
		at.of, at.rows = rowsOf(topic, 0), nil
		s.pin(at)
		sum := 0
		for _, other := range s.tombstones {
			sum += other.of.Memory()
		}
		if sum != s.pinned {
			t.Fatalf("%d bytes are counted of %d", s.pinned, sum)
		}
		kept, most = max(kept, len(s.tombstones)), max(most, sum)
		if s.tombstonesOf(fmt.Sprint(topic)).of == nil {
			t.Fatal("what was just met is forgotten")
		}
	}
	if most > s.mostPinned || kept < 10 {
		t.Errorf("%d bytes are kept, of %d topics", most, kept)
	}
}
