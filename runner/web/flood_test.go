// SPDX-License-Identifier: Apache-2.0

//go:build unix

package web

import (
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"
)

// TestFloodFromTheProbesAddress: a connection whose request has come stays,
// however many others come from its address before the request is read: who
// shares the address of the node, and so of the probes of Kubernetes, would
// else make them fail.
func TestFloodFromTheProbesAddress(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // nobody listens any more
	c := newConnections(8)
	accept := func(request string) (client, accepted net.Conn) {
		client = dial(t, listener.Addr().String(), request)
		accepted, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = accepted.Close() })
		for began := time.Now(); request != "" && !hasData(accepted); time.Sleep(time.Millisecond) {
			if time.Since(began) > time.Minute {
				t.Fatal("the request does not come")
			}
		}
		c.changed(accepted, http.StateNew)
		return client, accepted
	}
	_, silent := accept("")
	_, probe := accept("GET /healthz HTTP/1.1\r\n")
	for range 100 {
		accept("")
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("a silent connection stays")
	}
	request, err := io.ReadAll(io.LimitReader(probe, 12))
	if err != nil || string(request) != "GET /healthz" {
		t.Errorf("the probe's request: %q, %v", request, err)
	}
	if len(c.entries) > c.share {
		t.Errorf("there are %d connections", len(c.entries))
	}
	_, answered := accept("GET /healthz HTTP/1.1\r\n")
	c.changed(answered, http.StateActive)
	for range 100 {
		accept("")
	}
	if _, ok := c.entries[answered]; !ok {
		t.Error("a connection is closed while its request is answered")
	}
	c.entries[answered].Value.(*entry).active = time.Now().Add(-2 * soonAnswered) // and not read
	for range 100 {
		accept("")
	}
	if _, ok := c.entries[answered]; ok {
		t.Error("a connection whose answer nobody reads stays")
	}
	for range 100 { // those that have a request, too, are bounded
		accept("GET /")
	}
	if len(c.entries) > c.share {
		t.Errorf("there are %d connections", len(c.entries))
	}
}

// looked is a connection that counts how often somebody looks at what has come.
type looked struct {
	net.Conn
	times *int
}

func (l looked) SyscallConn() (syscall.RawConn, error) {
	*l.times++
	return l.Conn.(syscall.Conn).SyscallConn()
}

// TestLooksInAFlood: in a flood of requests, only a few connections are looked at
// for each new one: with all of them, it would take longer than to answer.
func TestLooksInAFlood(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // nobody listens any more
	const most = 16
	c, times := newConnections(8*most), 0
	for n := range 6 * most {
		dial(t, listener.Addr().String(), "GET / HTTP/1.1\r\n")
		accepted, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = accepted.Close() })
		for began := time.Now(); !hasData(accepted); time.Sleep(time.Millisecond) {
			if time.Since(began) > time.Minute {
				t.Fatal("the request does not come")
			}
		}
		times = 0
		if c.changed(looked{accepted, &times}, http.StateNew); times > most {
			t.Fatalf("for connection %d, %d others are looked at", n, times)
		}
	}
	if times == 0 || len(c.entries) != c.share {
		t.Errorf("there are %d connections, and %d were looked at", len(c.entries), times)
	}
}
