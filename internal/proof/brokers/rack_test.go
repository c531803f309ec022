// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package brokers

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkacluster"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka"
)

// traffic counts the bytes that come from each address.
type traffic struct {
	mu   sync.Mutex
	from map[string]int
}

func (f *traffic) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &countedConn{conn, f, address}, nil
}

func (f *traffic) of(b *kafkacluster.Broker) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.from[b.Address(kafkacluster.Plaintext)]
}

type countedConn struct {
	net.Conn
	traffic *traffic
	address string
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.traffic.mu.Lock()
	defer c.traffic.mu.Unlock()
	c.traffic.from[c.address] += n
	return n, err
}

// TestRack reads from the replica in its own rack, and from the leader once
// that replica is gone.
func TestRack(t *testing.T) {
	c := triple.get(t)
	leader, follower := c.Broker(1), c.Broker(2)
	o := named(t, c, t.Name())
	o.createOn(leader.ID, follower.ID, c.Broker(3).ID)
	producer := client(t, c)
	o.produce(producer, numbered(0, 0, 10)...)
	o.awaitInSync()
	k := readerSettings(c, o)
	k.Rack = follower.Rack()
	traffic := &traffic{from: map[string]int{}}
	r := open(t, k, nil, kafka.WithDial(traffic.dial))
	r.readTo(o.ends()) // the first answer names the replica to prefer

	const n, size = 200, 10000
	some := func(from int) {
		records := numbered(0, from, n)
		for i, one := range records {
			one.Value = fmt.Appendf(nil, "%0*d", size, from+i)
		}
		o.produce(client(t, c, uncompressed), records...)
	}
	before := traffic.of(leader)
	some(1000)
	r.readTo(o.ends())
	if have := traffic.of(follower); have < n*size {
		t.Errorf("%d bytes came from the replica in the same rack, and %d from the leader; %d were produced", have, traffic.of(leader)-before, n*size)
	}
	if o.described()[0].Leader != leader.ID {
		t.Fatal("the leader has changed meanwhile")
	}
	follower.Kill()
	some(2000)
	r.readTo(o.ends())
	if err := follower.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	o.awaitInSync()
	some(3000)
	o.finish()
	r.readTo(o.ends())
	compare(t, r.have, o.expected())
}
