// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// network opens connections that a test can cut, refuse and damage.
type network struct {
	mu     sync.Mutex
	conns  map[*wiretap]struct{}
	down   bool
	dials  int
	marker []byte       // bytes that are damaged on their way
	damage atomic.Int32 // how often
}

func newNetwork() *network { return &network{conns: map[*wiretap]struct{}{}} }

func (n *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	down := n.down
	n.mu.Unlock()
	if down {
		return nil, errors.New("the network is down")
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	tap := &wiretap{Conn: c, network: n}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials++
	n.conns[tap] = struct{}{}
	return tap, nil
}

// cut ends all connections; if down, no new ones can be opened.
func (n *network) cut(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
	for c := range n.conns {
		c.Conn.Close()
	}
	clear(n.conns)
}

type wiretap struct {
	net.Conn
	network *network
}

func (w *wiretap) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if marker := w.network.marker; marker != nil {
		if at := bytes.Index(p[:n], marker); at >= 0 && w.network.damage.Add(-1) >= 0 {
			p[at] ^= 0x20
		}
	}
	return n, err
}

func (w *wiretap) Close() error {
	w.network.mu.Lock()
	delete(w.network.conns, w)
	w.network.mu.Unlock()
	return w.Conn.Close()
}
