// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package brokers

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// await calls holds until it returns true.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx := testContext(t)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("in vain waited until %s", what)
		case <-tick.C:
		}
	}
}

// TestCompacted reads a compacted topic from its beginning, and from a
// position whose records the cleaner has taken away meanwhile.
func TestCompacted(t *testing.T) {
	t.Parallel()
	c := single.get(t)
	o := newTopic(t, c, 1, config{"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "1"})
	const half, keys, few = 500, 37, 20
	producer := client(t, c)
	write := func(from int) { // several batches, and not too many segments on a slow machine
		for end := from + half; from < end; from += few {
			some := numbered(0, from, few)
			for i, r := range some {
				r.Key = fmt.Appendf(nil, "key %d", (from+i)%keys)
				if (from+i)%50 == 49 {
					r.Value = nil // a tombstone
				}
			}
			o.produce(producer, some...)
		}
	}
	write(0)
	before := open(t, readerSettings(c, o), nil)
	before.readTo(o.ends())
	position := before.Position()
	before.close()
	write(half)
	cleaned := func(all records) bool {
		return all[len(all)-1].Offset > int64(3*len(all)) && all[0].Offset > half
	}
	var want records
	await(t, "the cleaner has gone through the log", func() bool {
		o.finish() // a new record has a segment closed, which makes it cleanable
		want = o.expected()
		return cleaned(want)
	})
	// Each reading is compared with one of franz-go before and one after: the
	// cleaner never rests.
	ends := o.ends()
	r := open(t, readerSettings(c, o), nil)
	r.readTo(ends)
	resumed := open(t, readerSettings(c, o), position)
	resumed.readTo(ends)
	between(t, r.have, want, o.expected())
	between(t, resumed.have, want, o.expected())
	if !slices.ContainsFunc(want, func(one record) bool { return one.Value == nil }) {
		t.Log("no tombstone was left when franz-go read")
	}
}

// between fails unless have is what a reader saw of a log that the cleaner has
// brought from before to after meanwhile.
func between(t *testing.T, have, before, after records) {
	t.Helper()
	byOffset := map[int64]record{}
	for _, one := range before {
		byOffset[one.Offset] = one
	}
	last := int64(-1)
	seen := map[int64]bool{}
	for _, one := range have {
		if want, ok := byOffset[one.Offset]; !ok || !one.equal(want) || one.Offset <= last {
			t.Fatalf("after offset %d came %v, franz-go has %v", last, one, want)
		}
		last, seen[one.Offset] = one.Offset, true
	}
	for _, one := range after {
		if _, ok := byOffset[one.Offset]; ok && !seen[one.Offset] {
			t.Fatalf("%v is missing", one)
		}
	}
}

// truncations are the ways in which the first records of a log go away.
var truncations = map[string]struct {
	properties config
	old        bool // records
	do         func(t *testing.T, o *topic)
}{
	"DeleteRecords": {do: func(t *testing.T, o *topic) {
		var offsets kadm.Offsets
		offsets.AddOffset(o.name, 0, 300, -1)
		done, err := o.cluster.Admin().DeleteRecords(testContext(t), offsets)
		if err == nil {
			err = done.Error()
		}
		if err != nil {
			t.Fatal(err)
		}
	}},
	"retention": {properties: config{"retention.ms": "-1"}, old: true, do: func(t *testing.T, o *topic) {
		o.alter("retention.ms", "86400000") // the old records are of 2023
		await(t, "retention has removed the old records", func() bool { return o.start() >= 300 })
	}},
}

// alter sets a property of the topic.
func (o *topic) alter(property, value string) {
	o.t.Helper()
	done, err := o.cluster.Admin().AlterTopicConfigs(testContext(o.t), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: property, Value: &value}}, o.name)
	if err == nil {
		_, err = done.On(o.name, nil)
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

// start returns the first offset of partition 0.
func (o *topic) start() int64 {
	o.t.Helper()
	l, _ := o.offsets(o.cluster.Admin().ListStartOffsets).Lookup(o.name, 0)
	return l.Offset
}

// TestTruncated reads logs that have lost their first records: from the
// beginning, and from a position in what is gone, by each policy.
func TestTruncated(t *testing.T) {
	t.Parallel()
	for name, truncation := range truncations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := single.get(t)
			o := newTopic(t, c, 1, truncation.properties)
			stream := source.Stream{Name: o.name}
			producer := client(t, c)
			first := numbered(0, 0, 300)
			for i, r := range first {
				if truncation.old {
					r.Timestamp = time.UnixMilli(1700000000000 + int64(i))
				}
			}
			o.produce(producer, first[:100]...)
			before := open(t, readerSettings(c, o), nil)
			before.readTo(o.ends())
			position := before.Position()
			o.produce(producer, first[100:]...)
			truncation.do(t, o)
			o.produce(producer, numbered(0, 300, 200)...)
			o.finish()
			want := o.expected()
			start := want[0].Offset

			r := open(t, readerSettings(c, o), nil)
			r.readTo(o.ends())
			compare(t, r.have, want)

			k := readerSettings(c, o)
			refuses(t, k, position, "cannot be read on at offset 100", fmt.Sprintf("[%d,501)", start), "SPOUT_KAFKA_ON_OUT_OF_RANGE")
			k.OnOutOfRange = "earliest"
			r = open(t, k, position)
			r.readTo(o.ends())
			compare(t, r.have, want)
			if len(r.gaps) != 1 || r.gaps[0].From != 100 || r.gaps[0].To != start {
				t.Errorf("the gaps are %+v, should be one from 100 to %d", r.gaps, start)
			}
			k.OnOutOfRange = "latest"
			r = open(t, k, position)
			r.readTo(o.ends())
			if len(r.have) != 0 || len(r.gaps) != 1 || r.gaps[0].To != o.ends()[stream] {
				t.Errorf("read %d records, and the gaps are %+v", len(r.have), r.gaps)
			}
			o.produce(producer, numbered(0, 500, 10)...)
			r.readTo(o.ends())
			all := o.expected()
			compare(t, r.have, all[len(all)-10:])
		})
	}
}

// refuses expects that reading on at a position needs an operator, whom a
// text with all of texts tells what to do.
func refuses(t *testing.T, k settings.Kafka, position json.RawMessage, texts ...string) {
	t.Helper()
	r := newReader(t, k)
	err := r.Open(testContext(t), position)
	for err == nil {
		err = r.step(testContext(t))
	}
	wantStop(t, err, texts...)
	if len(r.have) != 0 {
		t.Errorf("%d records were read before", len(r.have))
	}
}

func wantStop(t *testing.T, err error, texts ...string) {
	t.Helper()
	if !source.IsStop(err) {
		t.Fatalf("the error calls for no operator: %v", err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not tell %q: %v", text, err)
		}
	}
}

// TestTopicMadeAgain deletes a topic while it is read, and makes one of the
// same name.
func TestTopicMadeAgain(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"stop", "restart"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			c := single.get(t)
			o, other := newTopic(t, c, 2, nil), newTopic(t, c, 1, nil)
			producer := client(t, c)
			o.produce(producer, append(numbered(0, 0, 50), numbered(1, 50, 50)...)...)
			k := readerSettings(c, o, other)
			k.OnTopicRecreated = policy
			r := open(t, k, nil)
			r.readTo(o.ends())
			former := o.expected()
			compare(t, r.have, former)
			if _, err := c.Admin().DeleteTopic(testContext(t), o.name); err != nil {
				t.Fatal(err)
			}
			r.logs.Await(t, "topic was deleted", o.name)
			other.produce(producer, numbered(0, 0, 10)...) // is read meanwhile
			r.readTo(other.ends())
			o.create(3, nil)
			producer = client(t, c)
			o.produce(producer, append(numbered(0, 1000, 70), numbered(2, 2000, 70)...)...)
			if policy == "stop" {
				var err error
				for err == nil {
					err = r.step(testContext(t))
				}
				wantStop(t, err, o.name, "was deleted and made again", "SPOUT_KAFKA_ON_TOPIC_RECREATED=restart")
				return
			}
			o.finish()
			other.finish()
			ends := map[source.Stream]int64{}
			want := slices.Concat(former, other.expected())
			for stream, end := range o.ends() {
				stream.Generation = 1
				ends[stream] = end
			}
			for _, one := range o.expected() {
				one.Generation = 1
				want = append(want, one)
			}
			r.readTo(ends)
			r.readTo(other.ends())
			compare(t, r.have, want)
		})
	}
}

// TestPartitionsAdded gives a topic more partitions while it is read.
func TestPartitionsAdded(t *testing.T) {
	t.Parallel()
	c := single.get(t)
	o := newTopic(t, c, 1, nil)
	o.produce(client(t, c), numbered(0, 0, 100)...)
	k := readerSettings(c, o)
	r := open(t, k, nil)
	r.readTo(o.ends())
	for count := 2; count <= 4; count++ {
		o.grow(count)
		producer := client(t, c)
		for partition := range count {
			o.produce(producer, numbered(int32(partition), count*100, 20)...)
		}
		if count == 3 { // the new partition is seen first by the next reader
			position := r.Position()
			r.close()
			resumed := open(t, k, position)
			resumed.have = r.have
			r = resumed
		}
	}
	o.finish()
	r.readTo(o.ends())
	compare(t, r.have, o.expected())
}
