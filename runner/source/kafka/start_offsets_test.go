// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

func TestStartOffsets(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 3)
	cl := client(t, c)
	for p := range int32(3) {
		produce(t, cl, numbered("t", p, 0, 10)...)
	}
	k := config(c, "t")
	k.Start = "latest"
	k.StartOffsets = settings.StartOffsets{"t": {0: 4, 1: 10}}
	s, _ := open(t, k, nil)
	wantValues(t, read(t, s, 6), 4, 6)
	if position := string(s.Position()); !strings.Contains(position, `"0":[10,0],"1":[10,-1],"2":[10,-1,-1,-1]`) {
		t.Errorf("the position is %s", position)
	}
	position := s.Position()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// They are for what the position does not know.
	k.StartOffsets = settings.StartOffsets{"t": {0: 2, 1: 3, 2: 400}}
	s, _ = open(t, k, position)
	produce(t, cl, numbered("t", 1, 10, 5)...)
	wantValues(t, read(t, s, 5), 10, 5)
}

// TestStartOffsetsOutOfTheLog: no log has them, or not any more.
func TestStartOffsetsOutOfTheLog(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 1)
	produce(t, client(t, c), numbered("t", 0, 0, 10)...)
	if err := c.DeleteRecords("t", 0, 4); err != nil {
		t.Fatal(err)
	}
	start := func(partition int32, offset int64, policy string) settings.Kafka {
		k := config(c, "t")
		k.StartOffsets, k.OnOutOfRange = settings.StartOffsets{"t": {partition: offset}}, policy
		return k
	}
	for _, policy := range []string{"stop", "earliest"} {
		_, _, err := tryOpen(t, start(0, 11, policy), nil)
		checkStop(t, err, "SPOUT_KAFKA_START_OFFSETS", "topic t partition 0 at offset 11", "[4,10)", "to 10 for")
		_, _, err = tryOpen(t, start(1, 0, policy), nil)
		checkStop(t, err, "SPOUT_KAFKA_START_OFFSETS", "partition 1 of topic t", "0 to 0")
	}
	_, _, err := tryOpen(t, start(0, 3, "stop"), nil)
	checkStop(t, err, "SPOUT_KAFKA_START_OFFSETS", "topic t partition 0 at offset 3", "[4,10)")

	s, _ := open(t, start(0, 3, "earliest"), nil)
	if position := string(s.Position()); !strings.Contains(position, `"0":[3,-1]`) {
		t.Errorf("the first position, before the gap, is %s", position)
	}
	if _, chunk := next(t, s); chunk.Gap == nil || chunk.Gap.From != 3 || chunk.Gap.To != 4 {
		t.Errorf("the gap is %+v", chunk.Gap)
	}
	wantValues(t, read(t, s, 6), 4, 6)
}

// TestStartOffsetsAreForTheFirstTopic: one that was made again begins anew.
func TestStartOffsetsAreForTheFirstTopic(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 1)
	produce(t, client(t, c), numbered("t", 0, 0, 10)...)
	k := config(c, "t")
	k.OnTopicRecreated, k.StartOffsets = "restart", settings.StartOffsets{"t": {0: 5}}
	s, l := open(t, k, nil)
	wantValues(t, read(t, s, 5), 5, 5)
	if err := c.DeleteTopic("t"); err != nil {
		t.Fatal(err)
	}
	l.Await(t, "topic was deleted; waiting")
	createTopic(t, c, "t", 1)
	produce(t, client(t, c), numbered("t", 0, 100, 10)...)
	wantValues(t, read(t, s, 10), 100, 10)
}

// TestReshard goes from two shards to three with continue, and reads
// everything once.
func TestReshard(t *testing.T) {
	t.Parallel()
	const partitions = 12
	c := startCluster(t)
	createTopic(t, c, "t", partitions)
	cl := client(t, c)
	produceAll := func(from int) {
		for p := range int32(partitions) {
			produce(t, cl, numbered("t", p, from, 10)...)
		}
	}
	shard := func(index, count int) settings.Kafka {
		k := config(c, "t")
		k.Shard = settings.Shard{Index: index, Count: count}
		return k
	}
	owned := func(k settings.Kafka) (n int) {
		for p := range int32(partitions) {
			if k.Shard.Owns("t", p) {
				n++
			}
		}
		return n
	}
	produceAll(0)
	var positions [][]byte
	offsets := settings.StartOffsets{"t": {}}
	var all []got
	for index := 1; index <= 2; index++ {
		k := shard(index, 2)
		s, _ := open(t, k, nil)
		all = append(all, read(t, s, 10*owned(k))...)
		positions = append(positions, s.Position())
		for p, m := range s.position.Topics["t"].Partitions {
			offsets["t"][p] = m.Next
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	produceAll(10)

	k := shard(1, 3)
	k.OnShardChanged = "continue"
	_, _, err := tryOpen(t, k, positions[0])
	checkStop(t, err, "SPOUT_KAFKA_SHARD has changed", "of topic t the partitions", "SPOUT_KAFKA_START_OFFSETS must say")
	for index := 1; index <= 3; index++ {
		k := shard(index, 3)
		k.OnShardChanged, k.StartOffsets = "continue", offsets
		var position []byte
		if index <= 2 {
			position = positions[index-1]
		}
		s, _ := open(t, k, position)
		if shown := string(s.Position()); !strings.Contains(shown, fmt.Sprintf(`"shard":"%d/3"`, index)) || strings.Count(shown, "[10,") != owned(k) {
			t.Errorf("the position of shard %d with %d partitions is %s", index, owned(k), shown)
		}
		all = append(all, read(t, s, 10*owned(k))...)
	}
	for stream, records := range byStream(all) {
		if len(records) != 20 {
			t.Fatalf("%d records of %v", len(records), stream)
		}
		wantValues(t, records, 0, 20)
	}
}
