// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// corruptions are what may be wrong with the second of three batches, with
// the offsets 3 to 5, and from where on it is passed over.
var corruptions = map[string]struct {
	spoil func(batch []byte)
	from  int64
	text  string
}{
	"checksum":            {func(b []byte) { b[len(b)-1] ^= 1 }, 3, "checksum"},
	"unknown compression": {func(b []byte) { b[22] = 7; reseal(b) }, 3, "compression 7 is not known"},
	"no compressed data":  {func(b []byte) { b[22] = wire.CodecZstd; reseal(b) }, 3, "cannot be decompressed"},
	"fewer records":       {func(b []byte) { b[60] = 2; reseal(b) }, 5, "bytes follow its last record"},
	"unknown format":      {func(b []byte) { b[16] = 9 }, 3, "format 9 is not known"},
	"negative count":      {func(b []byte) { b[57] = 0x80; reseal(b) }, 3, "malformed"},
}

// TestCorruptBatch reads three batches, the second of which is damaged for
// good. The others are read whole, and the gap says what is missing.
func TestCorruptBatch(t *testing.T) {
	t.Parallel()
	for name, corruption := range corruptions {
		for _, policy := range []string{"stop", "skip"} {
			t.Run(policy+" "+name, func(t *testing.T) {
				t.Parallel()
				c := startCluster(t)
				createTopic(t, c, "t", 1)
				var batches [][]byte
				for n := range int64(3) {
					batches = append(batches, handmade{base: 3 * n, epoch: 0, producer: -1, records: simpleRecords(3, 100)}.bytes(t))
				}
				corruption.spoil(batches[1])
				serve(c, "t", nil, 9, batches...)
				k := config(c, "t")
				k.OnCorruptBatch = policy
				s, l := open(t, k, nil)
				if policy == "stop" {
					offsets, err := offsetsUntilStop(t, s)
					if want := fmt.Sprint([]int64{0, 1, 2, 3, 4}[:corruption.from]); fmt.Sprint(offsets) != want {
						t.Errorf("read %v before the damage, want %s", offsets, want)
					}
					checkStop(t, err, "topic t partition 0", fmt.Sprintf("offset %d", corruption.from), corruption.text, "SPOUT_KAFKA_ON_CORRUPT_BATCH=skip")
					return
				}
				var offsets []int64
				var gaps []source.Gap
				for s.position.Topics["t"].Partitions[0].Next < 9 {
					records, chunk := next(t, s)
					for _, r := range records {
						offsets = append(offsets, r.Offset)
					}
					if chunk.Gap != nil {
						gaps = append(gaps, *chunk.Gap)
					}
				}
				if want := fmt.Sprint(append([]int64{0, 1, 2, 3, 4}[:corruption.from:corruption.from], 6, 7, 8)); fmt.Sprint(offsets) != want {
					t.Errorf("read %v, want %s", offsets, want)
				}
				if len(gaps) != 1 || gaps[0].From != corruption.from || gaps[0].To != 6 || !strings.Contains(gaps[0].Reason, corruption.text) {
					t.Errorf("the gaps are %+v", gaps)
				}
				l.Await(t, "a record batch is damaged; continuing after it")
			})
		}
	}
}

func offsetsUntilStop(t *testing.T, s *Source) (offsets []int64, err error) {
	t.Helper()
	for {
		chunk, err := s.Next(testContext(t))
		if err != nil {
			return offsets, err
		}
		for i := range chunk.Records {
			offsets = append(offsets, chunk.Records[i].Offset)
		}
		chunk.Release()
	}
}

// TestCorruptLastBatch passes over one that no other follows yet.
func TestCorruptLastBatch(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 1)
	cl := client(t, c)
	for i := range 2 {
		produce(t, cl, &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "value-%d", i)})
	}
	n := newNetwork()
	n.marker = []byte("value-1")
	n.damage.Store(1 << 30)
	k := config(c, "t")
	k.OnCorruptBatch = "skip"
	s, _ := open(t, k, nil, WithDial(n.dial))
	read(t, s, 1)
	if _, chunk := next(t, s); chunk.Gap == nil || chunk.Gap.From != 1 || chunk.Gap.To != 2 {
		t.Fatalf("the gap is %+v", chunk.Gap)
	}
	produce(t, cl, numbered("t", 0, 2, 5)...)
	wantValues(t, read(t, s, 5), 2, 5)
}
