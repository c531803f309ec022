// SPDX-License-Identifier: Apache-2.0

package web

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// maxConnections is how many connections there are at once, if files are no reason for fewer.
const maxConnections = 64

// connections keeps the number of connections bounded. A new one is never
// refused, as it may be a probe of Kubernetes: the one that has been the same
// for the longest time, waiting for a request or for its answer to be read, is
// closed in its place.
type connections struct {
	limit int

	mu      sync.Mutex
	entries map[net.Conn]*list.Element
	order   list.List // of net.Conn; the one that has moved last is the last
}

func newConnections(limit int) *connections {
	return &connections{limit: limit, entries: map[net.Conn]*list.Element{}}
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
	entry, known := c.entries[conn]
	switch {
	case state == http.StateNew:
		c.entries[conn] = c.order.PushBack(conn)
		if len(c.entries) > c.limit {
			c.evict()
		}
	case !known: // it was evicted
	case state == http.StateClosed || state == http.StateHijacked:
		c.remove(entry)
	default:
		c.order.MoveToBack(entry)
	}
}

func (c *connections) evict() {
	oldest := c.order.Front()
	conn := c.remove(oldest)
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn() // to close it politely would take until the client reads
	}
	_ = conn.Close()
}

func (c *connections) remove(entry *list.Element) net.Conn {
	conn := c.order.Remove(entry).(net.Conn)
	delete(c.entries, conn)
	return conn
}
