// SPDX-License-Identifier: Apache-2.0

package web

import (
	"container/list"
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// maxConnections is how many connections there are at once, if files are no
// reason for fewer. In a flood, a new one lasts until so many others have come.
const maxConnections = 256

// connections keeps the number of connections bounded: in all, and for one
// remote address to a half, so that no neighbour takes the place of a probe
// of Kubernetes. A new one is never refused, as it may be such a probe. It takes
// the place of one of its own address, or else of the address with the most:
// the one that has been the same for the longest time, waiting for a request or
// for its answer to be read.
type connections struct {
	limit int
	share int // of one remote address

	mu      sync.Mutex
	entries map[net.Conn]*list.Element
	order   list.List // of *entry; the one that has moved last is the last
	counts  map[netip.Prefix]int
	served  int        // with those that were closed, whose goroutines have not noticed yet
	fewer   *sync.Cond // served are
}

type entry struct {
	conn net.Conn
	from netip.Prefix
	read bool // something of a request

	active time.Time // since when a request is answered; zero if none is
}

// soonAnswered is how long an answer may take, and its reading, without giving
// way to others.
const soonAnswered = time.Second

// spared says whether a request waits to be read, or is answered just now.
func (e *entry) spared(now time.Time) bool {
	if !e.active.IsZero() {
		return now.Sub(e.active) < soonAnswered
	}
	return !e.read && hasData(e.conn)
}

// addressShare is the part of the connections that one remote address may have.
const addressShare = 2

// leastShare is how many one may have in any case: Kubernetes probes twice at once.
const leastShare = 4

func newConnections(limit int) *connections {
	c := &connections{limit: limit, share: max(limit/addressShare, leastShare), entries: map[net.Conn]*list.Element{}, counts: map[netip.Prefix]int{}}
	c.fewer = sync.NewCond(&c.mu)
	return c
}

// connectionLimit leaves most of the process's file descriptors to ingestion.
func connectionLimit() int {
	const share, least = 8, 4
	if files := maxFiles(); files > 0 {
		return min(maxConnections, max(least, files/share))
	}
	return maxConnections
}

// changed is called by net/http with each state that a connection gets into.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.served++
	case http.StateClosed, http.StateHijacked:
		c.served--
		c.fewer.Signal()
	}
	element, known := c.entries[conn]
	switch {
	case state == http.StateNew:
		c.add(conn)
	case !known: // it was evicted
	case state == http.StateClosed || state == http.StateHijacked:
		c.remove(element)
	default:
		e := element.Value.(*entry)
		e.read = true
		if e.active = (time.Time{}); state == http.StateActive {
			e.active = time.Now()
		}
		c.order.MoveToBack(element)
	}
}

// servedShare is how many times the connections may be served, with those that
// were closed: on a busy machine, others come faster than that is noticed.
const servedShare = 2

// acceptor is a listener that waits while too many connections are served.
type acceptor struct {
	net.Listener
	*connections
}

// Accept implements [net.Listener].
func (a acceptor) Accept() (net.Conn, error) {
	a.mu.Lock()
	for a.served >= servedShare*a.limit {
		a.fewer.Wait()
	}
	a.mu.Unlock()
	return a.Listener.Accept()
}

func (c *connections) add(conn net.Conn) {
	from := origin(conn)
	c.entries[conn] = c.order.PushBack(&entry{conn: conn, from: from})
	c.counts[from]++
	switch {
	case c.counts[from] > c.share:
		c.evict(func(e *entry) bool { return e.from == from })
	case len(c.entries) > c.limit:
		most := slices.Max(slices.Collect(maps.Values(c.counts)))
		c.evict(func(e *entry) bool { return c.counts[e.from] == most })
	}
}

// origin is who is at the other side of a connection: an address, or for IPv6
// the network of a link, in which a host has as many as it likes.
func origin(conn net.Conn) netip.Prefix {
	const link = 64
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Prefix{}
	}
	address := at.Addr().Unmap().WithZone("")
	bits := address.BitLen()
	if address.Is6() {
		bits = link
	}
	prefix, _ := address.Prefix(bits) // there are as many
	return prefix
}

// evict closes the oldest connection of some, of which there is one. Those whose
// first request waits to be read, or is answered just now, are spared while there
// are others, and so is the last, whose request may be on its way: in a flood, the
// one of a probe is not even looked at before it is the oldest.
func (c *connections) evict(some func(*entry) bool) {
	var oldest *list.Element
	now, looked := time.Now(), 0
	for at := c.order.Front(); at != nil && looked < mostLooked; at = at.Next() {
		e := at.Value.(*entry)
		if !some(e) {
			continue
		}
		looked++
		if oldest == nil {
			oldest = at
		}
		if at != c.order.Back() && !e.spared(now) {
			oldest = at
			break
		}
	}
	c.remove(oldest)
	conn := oldest.Value.(*entry).conn
	_ = plain(conn).Close() // to close one with TLS politely would take until the client reads
}

// mostLooked is how many connections are looked at before one is closed: in a
// flood of requests, it would else take longer than to answer them.
const mostLooked = 16

func (c *connections) remove(element *list.Element) {
	e := c.order.Remove(element).(*entry)
	delete(c.entries, e.conn)
	if c.counts[e.from]--; c.counts[e.from] == 0 {
		delete(c.counts, e.from)
	}
}

// plain is what lies below a connection's TLS.
func plain(conn net.Conn) net.Conn {
	if secured, ok := conn.(*tls.Conn); ok {
		return secured.NetConn()
	}
	return conn
}
