// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// TestAbortedTransactions compares with a table of the producers whose records
// do not count at a place.
func TestAbortedTransactions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		producers := rapid.Int64Range(-1, 3)
		all := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) wire.AbortedTransaction {
			return wire.AbortedTransaction{ProducerID: producers.Draw(t, "producer"), FirstOffset: rapid.Int64Range(0, 40).Draw(t, "first")}
		}), 0, 20).Draw(t, "aborted")
		aborted := wire.Aborted(append([]wire.AbortedTransaction(nil), all...))
		aborted.Sort()
		ends := map[int64]int64{} // offset of the last end by producer
		for offset := range int64(50) {
			producer := producers.Draw(t, "of")
			want := false
			for _, a := range all {
				last, ended := ends[producer]
				want = want || a.ProducerID == producer && a.FirstOffset <= offset && !(ended && a.FirstOffset <= last)
			}
			if have := aborted.Has(producer, offset); have != want {
				t.Fatalf("producer %d at %d: %v, want %v", producer, offset, have, want)
			}
			if rapid.Bool().Draw(t, "ends") {
				aborted.End(producer, offset)
				ends[producer] = offset
			}
		}
	})
}

// TestManyAbortedTransactions decodes answers that name as many as may be: that
// takes nothing beside them.
func TestManyAbortedTransactions(t *testing.T) {
	d := newDecoder()
	d.emit = func(c *source.Chunk) error { c.Release(); return nil }
	records := handmade{attrs: wire.AttrTransactional, producer: 5, records: simpleRecords(1, 10)}.bytes(t)
	aborted := make(wire.Aborted, wire.MaxAborted)
	for i := range aborted {
		aborted[i] = wire.AbortedTransaction{ProducerID: int64(i) * 7919}
	}
	aborted.Sort()
	parts := []part{{p: &partition{}, records: records, count: 1, aborted: aborted}}
	d.checker = checker{parts: parts}
	buffer := getBuffer(d.memory, 0, 0)
	defer buffer.release()
	rsstest.Bounded(t, 1<<20, 10*time.Second, func() {
		if err := d.decode(context.Background(), buffer, &parts[0]); err != nil {
			t.Error(err)
		}
	})
}
