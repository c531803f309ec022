// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"testing"
)

// TestShardsShareAllPartitions: each partition belongs to exactly one shard,
// whatever else there is, and the shards of a topic differ by one at most.
func TestShardsShareAllPartitions(t *testing.T) {
	t.Parallel()
	for _, count := range []int{1, 2, 3, 8, 100} {
		for _, topic := range []string{"orders", "refunds", "x"} {
			sizes := map[int]int{}
			for partition := range int32(100) {
				owners := 0
				for index := 1; index <= count; index++ {
					if (Shard{index, count}).Owns(topic, partition) {
						owners++
						sizes[index]++
					}
				}
				if owners != 1 {
					t.Fatalf("partition %d of %s belongs to %d of %d shards", partition, topic, owners, count)
				}
			}
			for index := 1; index <= count; index++ {
				if n := sizes[index]; n < 100/count || n > (100+count-1)/count {
					t.Errorf("shard %d/%d has %d of 100 partitions of %s", index, count, n, topic)
				}
			}
		}
	}
}

// TestShardsSpreadTopics: topics of one partition do not all go to one shard.
func TestShardsSpreadTopics(t *testing.T) {
	t.Parallel()
	sizes := map[int]int{}
	for n := range 400 {
		for index := 1; index <= 4; index++ {
			if (Shard{index, 4}).Owns(fmt.Sprintf("topic-%d", n), 0) {
				sizes[index]++
			}
		}
	}
	for index := 1; index <= 4; index++ {
		if sizes[index] < 70 || sizes[index] > 130 {
			t.Errorf("shard %d/4 has %d of 400 topics", index, sizes[index])
		}
	}
}

// TestShardsStay holds the rule down: another one would give partitions to
// other spouts, which lose or double records.
func TestShardsStay(t *testing.T) {
	t.Parallel()
	for topic, first := range map[string]int{"orders": 5, "refunds": 5} {
		for partition := range int32(20) {
			want := (first-1+int(partition))%8 + 1
			if !(Shard{want, 8}).Owns(topic, partition) {
				t.Errorf("partition %d of %s does not belong to shard %d/8", partition, topic, want)
			}
		}
	}
}

func TestShardTexts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1/1", "2/8", "8/8", "10000/10000"} {
		if s, err := ParseShard(text); err != nil || s.String() != text {
			t.Errorf("%s: %v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "1", "/", "0/1", "9/8", "-1/8", "02/8", "2/08", " 2/8", "2/8/9", "1/10001", "a/b"} {
		if s, err := ParseShard(text); err == nil {
			t.Errorf("%q is taken as %v", text, s)
		}
	}
}
