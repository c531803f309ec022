// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// TestShardsReadEverythingOnce reads two topics by three spouts, one of which
// has a partition only once there are more.
func TestShardsReadEverythingOnce(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 2)
	createTopic(t, c, "u", 7)
	cl := client(t, c)
	for p := range int32(7) {
		if p < 2 {
			produce(t, cl, numbered("t", p, 0, 10)...)
		}
		produce(t, cl, numbered("u", p, 0, 10)...)
	}
	var shards []*Source
	var all []got
	for index := 1; index <= 3; index++ {
		k := config(c, "t", "u")
		k.Shard = settings.Shard{Index: index, Count: 3}
		s, _ := open(t, k, nil)
		shards = append(shards, s)
		owned := 0
		for topic, partitions := range map[string]int32{"t": 2, "u": 7} {
			for p := range partitions {
				if k.Shard.Owns(topic, p) {
					owned++
				}
			}
		}
		all = append(all, read(t, s, 10*owned)...)
		if shown := string(s.Position()); !strings.Contains(shown, fmt.Sprintf(`"shard":"%d/3"`, index)) || strings.Count(shown, ",-1]")+strings.Count(shown, ",0]") != owned {
			t.Errorf("the position of shard %d with %d partitions is %s", index, owned, shown)
		}
	}
	streams := byStream(all)
	if len(streams) != 9 || len(all) != 90 {
		t.Fatalf("%d records of %d partitions", len(all), len(streams))
	}
	for _, records := range streams {
		wantValues(t, records, 0, 10)
	}

	addPartitions(t, cl, "t", 5)
	cl = client(t, c)
	for p := int32(2); p < 5; p++ {
		produce(t, cl, numbered("t", p, 100, 5)...)
	}
	for i, s := range shards {
		for p := int32(2); p < 5; p++ {
			if !(settings.Shard{Index: i + 1, Count: 3}).Owns("t", p) {
				continue
			}
			records := read(t, s, 5)
			wantValues(t, records, 100, 5)
			if records[0].Name != "t" || records[0].Partition != p {
				t.Errorf("shard %d read %+v", i+1, records[0].Stream)
			}
		}
	}
}

// TestShardWithoutPartitions opens, and goes on from its position.
func TestShardWithoutPartitions(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 1)
	k := config(c, "t")
	k.Shard = settings.Shard{Index: 1, Count: 2}
	if k.Shard.Owns("t", 0) {
		k.Shard.Index = 2
	}
	s, l := open(t, k, nil)
	l.Await(t, "this shard has no partition of the topic")
	position := s.Position()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cl := client(t, c)
	addPartitions(t, cl, "t", 2)
	produce(t, client(t, c), numbered("t", 1, 0, 5)...)
	k.Start = "latest" // not for partitions that came later
	s, _ = open(t, k, position)
	wantValues(t, read(t, s, 5), 0, 5)
}

func TestAnotherShardStops(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "t", 4)
	none, one, half, other := settings.Shard{}, settings.Shard{Index: 1, Count: 1}, settings.Shard{Index: 1, Count: 2}, settings.Shard{Index: 1, Count: 4}
	for _, shard := range []struct {
		from, to settings.Shard
		texts    []string
	}{
		{none, none, nil}, {none, one, nil}, {one, none, nil}, {half, half, nil},
		{none, half, []string{"all partitions", "shard 1/2", "SPOUT_KAFKA_SHARD back to \"\""}},
		{half, one, []string{"shard 1/2", "all partitions", "SPOUT_KAFKA_SHARD back to \"1/2\"", "SPOUT_KAFKA_ON_SHARD_CHANGED=continue"}},
		{half, other, []string{"shard 1/2", "shard 1/4", "by two spouts or by none"}},
	} {
		position := func(shard settings.Shard) json.RawMessage {
			k := config(c, "t")
			k.Shard = shard
			s, _ := open(t, k, nil)
			return s.Position()
		}(shard.from)
		k := config(c, "t")
		k.Shard = shard.to
		_, _, err := tryOpen(t, k, position)
		if shard.texts != nil {
			checkStop(t, err, shard.texts...)
		} else if err != nil {
			t.Errorf("from %q to %q: %v", shard.from, shard.to, err)
		}
	}
}
