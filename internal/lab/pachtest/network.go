// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"net"
	"sync"
)

// Side says which pachd: the main one, a sidecar, or either.
type Side int

const (
	AnySide Side = iota
	Main
	Sidecar
)

func (s Side) String() string { return [...]string{"any", "main", "sidecar"}[s] }

func (s Side) includes(other Side) bool { return s == AnySide || s == other }

// network keeps all connections, so that they can be cut, refused or paused.
type network struct {
	mu     sync.Mutex
	conns  map[*conn]struct{}
	down   map[Side]bool
	paused map[Side]chan struct{} // closed by resume
}

func newNetwork() *network {
	return &network{conns: map[*conn]struct{}{}, down: map[Side]bool{}, paused: map[Side]chan struct{}{}}
}

type listener struct {
	net.Listener
	network *network
	side    *side
}

type conn struct {
	net.Conn
	network *network
	side    *side
}

func (n *network) listener(l net.Listener, sd *side) *listener {
	return &listener{Listener: l, network: n, side: sd}
}

// Accept hands connections of a side that is down back at once, closed.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tracked := &conn{Conn: c, network: l.network, side: l.side}
		if l.network.admit(tracked) {
			return tracked, nil
		}
		c.Close()
	}
}

func (n *network) admit(c *conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down[c.side.kind] {
		return false
	}
	n.conns[c] = struct{}{}
	return true
}

func (c *conn) Close() error {
	c.network.mu.Lock()
	delete(c.network.conns, c)
	c.network.mu.Unlock()
	return c.Conn.Close()
}

// cut closes the connections that match.
func (n *network) cut(match func(*conn) bool) {
	n.mu.Lock()
	var found []*conn
	for c := range n.conns {
		if match(c) {
			found = append(found, c)
		}
	}
	n.mu.Unlock()
	for _, c := range found {
		c.Close()
	}
}

func (n *network) setDown(which Side, down bool) {
	n.mu.Lock()
	for _, kind := range []Side{Main, Sidecar} {
		if which.includes(kind) {
			n.down[kind] = down
		}
	}
	n.mu.Unlock()
}

func (n *network) pause(which Side) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, kind := range []Side{Main, Sidecar} {
		if which.includes(kind) && n.paused[kind] == nil {
			n.paused[kind] = make(chan struct{})
		}
	}
}

func (n *network) resume(which Side) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, kind := range []Side{Main, Sidecar} {
		if ch := n.paused[kind]; ch != nil && which.includes(kind) {
			close(ch)
			delete(n.paused, kind)
		}
	}
}

// waitUnpaused blocks while the side is paused.
func (n *network) waitUnpaused(ctx context.Context, kind Side) error {
	for {
		n.mu.Lock()
		ch := n.paused[kind]
		n.mu.Unlock()
		if ch == nil {
			return nil
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// CutConnections closes all open connections, of the given sides or of all.
// Clients may connect again at once.
func (s *Server) CutConnections(sides ...Side) {
	s.network.cut(func(c *conn) bool { return matches(sides, c.side.kind) })
}

// Down makes a pachd unreachable: its connections are cut and new ones closed
// until Up.
func (s *Server) Down(sides ...Side) {
	for _, which := range orAny(sides) {
		s.network.setDown(which, true)
	}
	s.CutConnections(sides...)
}

// Up ends Down.
func (s *Server) Up(sides ...Side) {
	for _, which := range orAny(sides) {
		s.network.setDown(which, false)
	}
}

// Pause freezes a pachd: calls that begin now do nothing until Resume, though
// connections stay.
func (s *Server) Pause(sides ...Side) {
	for _, which := range orAny(sides) {
		s.network.pause(which)
	}
}

// Resume ends Pause.
func (s *Server) Resume(sides ...Side) {
	for _, which := range orAny(sides) {
		s.network.resume(which)
	}
}

func orAny(sides []Side) []Side {
	if len(sides) == 0 {
		return []Side{AnySide}
	}
	return sides
}

func matches(sides []Side, kind Side) bool {
	for _, which := range orAny(sides) {
		if which.includes(kind) {
			return true
		}
	}
	return false
}
