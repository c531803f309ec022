// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package brokers

import (
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkacluster"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// lags returns what kafka-consumer-groups.sh shows of a group: the current
// offset and the lag of each partition.
func lags(t *testing.T, c *kafkacluster.Cluster, group string) map[source.Stream][2]int64 {
	t.Helper()
	text, err := c.ConsumerGroups("--describe", "--group", group)
	if err != nil {
		t.Fatal(err)
	}
	out := map[source.Stream][2]int64{}
	columns := map[string]int{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) > 0 && fields[0] == "GROUP":
			for i, name := range fields {
				columns[name] = i
			}
		case len(fields) > 0 && fields[0] == group:
			number := func(column string) int64 {
				n, err := strconv.ParseInt(fields[columns[column]], 10, 64)
				if err != nil {
					t.Fatalf("%s in %q: %v", column, line, err)
				}
				return n
			}
			stream := source.Stream{Name: fields[columns["TOPIC"]], Partition: int32(number("PARTITION"))}
			out[stream] = [2]int64{number("CURRENT-OFFSET"), number("LAG")}
		}
	}
	return out
}

// TestGroup publishes positions under a consumer group, whose lag Kafka's own
// tool then shows.
func TestGroup(t *testing.T) {
	t.Parallel()
	c := single.get(t)
	o := newTopic(t, c, 2, nil)
	group := o.name
	o.allow("User:reader", kadm.OpRead)
	allowGroup(t, c, "User:reader", group)
	k := login{listener: kafkacluster.SASLTLS, mechanism: "scram-sha-512", user: "reader"}.apply(t, c, readerSettings(c, o))
	k.GroupID = group
	r := open(t, k, nil)
	x := o.newTransaction("x", patience)
	x.send(append(numbered(0, 0, 30), numbered(1, 0, 40)...)...)
	x.end(true)
	o.awaitCommitted()
	for _, more := range []int{0, 7} { // records that were not acknowledged
		r.readTo(o.ends())
		r.Acknowledge(testContext(t), r.Position())
		ends := o.ends()
		if more > 0 {
			x.begin()
			x.send(append(numbered(0, 100, more), numbered(1, 100, more)...)...)
			x.end(true)
			o.awaitCommitted()
		}
		now := o.ends()
		var have map[source.Stream][2]int64
		await(t, "the group has the position", func() bool {
			have = lags(t, c, group)
			for stream, end := range ends {
				if have[stream][0] != end {
					return false
				}
			}
			return true
		})
		for stream, end := range now {
			if lag := have[stream][1]; lag != end-ends[stream] {
				t.Errorf("the lag of %v is %d, should be %d: %v", stream, lag, end-ends[stream], have)
			}
		}
	}
	o.finish()
	r.readTo(o.ends())
	compare(t, r.have, o.expected())
}

// TestGroupDenied reads with a user that may not use the group. That is told,
// and reading does not depend on it.
func TestGroupDenied(t *testing.T) {
	t.Parallel()
	c := single.get(t)
	o := newTopic(t, c, 1, nil)
	o.allow("User:reader", kadm.OpRead)
	o.produce(client(t, c), numbered(0, 0, 10)...)
	k := login{listener: kafkacluster.SASL, mechanism: "plain", user: "reader"}.apply(t, c, readerSettings(c, o))
	k.GroupID = o.name
	r := open(t, k, nil)
	r.readTo(o.ends())
	r.Acknowledge(testContext(t), r.Position())
	r.logs.Await(t, "[WARN]", "cannot publish the position", o.name, "GROUP_AUTHORIZATION_FAILED", "SPOUT_KAFKA_GROUP_ID")
	o.finish()
	r.readTo(o.ends())
	compare(t, r.have, o.expected())
}
