// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package brokers

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkacluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// from returns the records of some partitions from an offset on.
func (all records) from(offset map[int32]int64) (out records) {
	for _, one := range all {
		if at, ok := offset[one.Partition]; ok && one.Offset >= at {
			out = append(out, one)
		}
	}
	return out
}

// TestStarts begins at each kind of place.
func TestStarts(t *testing.T) {
	t.Parallel()
	at := time.Now().Truncate(time.Second).Add(-time.Hour)
	for name, test := range map[string]struct {
		start   string
		offsets map[int32]int64
		begins  map[int32]int64 // where reading has to begin
	}{
		"earliest": {start: "earliest", begins: map[int32]int64{0: 0, 1: 0, 2: 0}},
		"latest":   {start: "latest", begins: map[int32]int64{0: 100, 1: 100, 2: 100}},
		"time":     {start: at.UTC().Format(time.RFC3339), begins: map[int32]int64{0: 50, 1: 100, 2: 0}},
		"offsets":  {start: "latest", offsets: map[int32]int64{0: 17, 2: 99}, begins: map[int32]int64{0: 17, 1: 100, 2: 99}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := single.get(t)
			o := newTopic(t, c, 3, nil)
			for partition := range int32(3) {
				some := numbered(partition, 0, 100)
				for i, r := range some { // of partition 0 before and after the time, of 1 before, of 2 after it
					r.Timestamp = at.Add(time.Duration([]int{i - 50, i - 200, i + 1}[partition]) * time.Second)
				}
				o.produce(client(t, c), some...)
			}
			k := readerSettings(c, o)
			k.Start = test.start
			if test.offsets != nil {
				k.StartOffsets = settings.StartOffsets{o.name: test.offsets}
			}
			r := open(t, k, nil)
			o.finish()
			r.readTo(o.ends())
			compare(t, r.have, o.expected().from(test.begins))
		})
	}
}

// TestPattern reads the topics whose names match, those that come later too,
// with a user who may not see all of them.
func TestPattern(t *testing.T) {
	t.Parallel()
	c := single.get(t)
	first := newTopic(t, c, 2, nil)
	prefix := first.name
	add := func(name string) *topic {
		o := &topic{t: t, cluster: c, name: name}
		o.create(2, nil)
		return o
	}
	hidden, other := add(prefix+".hidden"), add("other."+prefix)
	first.allow("User:reader", kadm.OpRead)
	other.allow("User:reader", kadm.OpRead)
	for _, o := range []*topic{first, hidden, other} {
		o.produce(client(t, c), numbered(0, 0, 20)...)
		o.finish()
	}
	k := login{listener: kafkacluster.SASLTLS, mechanism: "scram-sha-256", user: "reader"}.apply(t, c, readerSettings(c))
	k.Pattern = regexp.QuoteMeta(prefix) + ".*"
	k.Start = "latest" // of the topics that are there
	r := open(t, k, nil)
	first.produce(client(t, c), numbered(1, 100, 20)...)
	later := add(prefix + ".later")
	later.produce(client(t, c), numbered(1, 0, 30)...)
	later.allow("User:reader", kadm.OpRead)
	later.finish()
	first.finish()
	r.readTo(first.ends())
	r.readTo(later.ends())
	compare(t, r.have, slices.Concat(first.expected().from(map[int32]int64{0: 21, 1: 1}), later.expected()))
}

// TestShards has several readers share a topic.
func TestShards(t *testing.T) {
	t.Parallel()
	const count = 3
	c := single.get(t)
	o := newTopic(t, c, 8, nil)
	for partition := range int32(8) {
		o.produce(client(t, c), numbered(partition, 0, 50)...)
	}
	o.finish()
	var all records
	for index := range count {
		k := readerSettings(c, o)
		var err error
		if k.Shard, err = settings.ParseShard(fmt.Sprintf("%d/%d", index+1, count)); err != nil {
			t.Fatal(err)
		}
		ends := map[source.Stream]int64{}
		for stream, end := range o.ends() {
			if k.Shard.Owns(stream.Name, stream.Partition) {
				ends[stream] = end
			}
		}
		r := open(t, k, nil)
		r.readTo(ends)
		if len(r.have) == 0 || len(r.have.byStream()) > 3 {
			t.Errorf("shard %v has %d records of %d partitions", k.Shard, len(r.have), len(r.have.byStream()))
		}
		all = append(all, r.have...)
	}
	compare(t, all, o.expected())
}
