// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestChaos reads while records are written, leaders move, connections break
// and data are damaged on their way, and opens the source again at its
// position now and then. In the end every record was read once, in order.
func TestChaos(t *testing.T) {
	t.Parallel()
	const partitions, rounds = 6, 40
	r := seeded(t)
	c := startCluster(t, kfake.NumBrokers(3))
	createTopic(t, c, "t", partitions)
	n := newNetwork()
	n.marker = []byte("dam-age")
	const total = rounds * 30
	written := make(chan error, 1)
	w := seeded(t)
	go func() {
		cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			written <- err
			return
		}
		defer cl.Close()
		ctx := testContext(t)
		for round := range rounds {
			var batch []*kgo.Record
			for range 29 {
				batch = append(batch, randomRecord(w, "t", partitions))
			}
			batch = append(batch, &kgo.Record{Topic: "t", Partition: int32(w.IntN(partitions)), Value: []byte("this may dam-age")})
			if err := cl.ProduceSync(ctx, batch...).FirstErr(); err != nil {
				written <- err
				return
			}
			if round%4 == 1 {
				c.ShufflePartitionLeaders()
			}
		}
		written <- nil
	}()
	damages := 0
	var all []got
	var position []byte
	for len(all) < total {
		s, l := open(t, config(c, "t"), position, WithDial(n.dial))
		for range 2 + r.IntN(40) {
			switch r.IntN(12) {
			case 0:
				n.cut(false)
			case 1:
				if damages++; damages < maxDamaged { // or that would be reason to stop
					n.damage.Store(1)
				}
			case 2:
				if err := c.MoveTopicPartition("t", r.Int32N(partitions), r.Int32N(3)); err != nil {
					t.Fatal(err)
				}
			}
			chunk, err := s.Next(testContext(t))
			if err != nil {
				t.Fatalf("after %d of %d records: %v\n%s", len(all), total, err, l)
			}
			take := len(chunk.Records)
			cutShort := r.IntN(10) == 0
			if cutShort {
				take = r.IntN(take + 1)
			}
			for i := range chunk.Records[:take] {
				all = append(all, copyRecord(chunk.Stream, &chunk.Records[i]))
			}
			s.Consume(chunk, take)
			cutShort = take < len(chunk.Records)
			chunk.Release()
			if cutShort || len(all) >= total {
				break
			}
		}
		position = s.Position()
		s.Close()
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	same(t, all, oracle(t, c, kgo.ReadCommitted(), total, "t"))
}
