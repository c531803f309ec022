// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// piped is a listener whose connections come at once, until it is over.
type piped struct {
	net.Listener
	over *atomic.Bool
}

func (p piped) Accept() (net.Conn, error) {
	if p.over.Load() {
		return nil, net.ErrClosed
	}
	conn, _ := net.Pipe()
	return conn, nil
}

// TestAcceptor: connections that were closed for others count until they are
// served no more.
func TestAcceptor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 8
		var over atomic.Bool
		c := newConnections(limit)
		accepted := make(chan net.Conn, 10*limit)
		go func() {
			a := acceptor{piped{over: &over}, c}
			for conn, err := a.Accept(); err == nil; conn, err = a.Accept() {
				c.changed(conn, http.StateNew)
				accepted <- conn
			}
		}()
		for range 20 * limit {
			synctest.Wait()
			if n := len(accepted); n != servedShare*limit {
				t.Errorf("%d connections are served at once", n)
				break
			}
			c.changed(<-accepted, http.StateClosed)
		}
		over.Store(true)
		for len(accepted) > 0 {
			c.changed(<-accepted, http.StateClosed)
			synctest.Wait()
		}
	})
}
