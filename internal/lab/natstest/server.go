// SPDX-License-Identifier: Apache-2.0

// Package natstest is a NATS server with JetStream in this process.
package natstest

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// patience is how long a server may take to be there.
const patience = 30 * time.Second

// Server is a server on the loopback address.
type Server struct {
	options *server.Options
	running *server.Server
}

// Options are those of a server that keeps streams in a folder, on a port that
// is free.
func Options(dir string) *server.Options {
	return &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true}
}

// New starts a server.
func New(o *server.Options) (*Server, error) {
	s := &Server{options: o}
	return s, s.start()
}

// Start starts a server that ends with the test. Configure may change its
// options before.
func Start(t testing.TB, configure ...func(*server.Options)) *Server {
	t.Helper()
	o := Options(t.TempDir())
	for _, change := range configure {
		change(o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func (s *Server) start() error {
	running, err := server.NewServer(s.options)
	if err != nil {
		return fmt.Errorf("make the NATS server: %w", err)
	}
	go running.Start()
	if !running.ReadyForConnections(patience) {
		running.Shutdown()
		return fmt.Errorf("the NATS server is not ready after %s", patience)
	}
	s.running = running
	if address, ok := running.Addr().(*net.TCPAddr); ok {
		s.options.Port = address.Port // the same when it starts again
	}
	return nil
}

// Stop ends the server. What it holds stays.
func (s *Server) Stop() {
	s.running.Shutdown()
	s.running.WaitForShutdown()
}

// Restart starts a server that was stopped.
func (s *Server) Restart() error { return s.start() }

// Running is the server itself.
func (s *Server) Running() *server.Server { return s.running }

// Address is HOST:PORT of the server.
func (s *Server) Address() string {
	return net.JoinHostPort(s.options.Host, strconv.Itoa(s.options.Port))
}

// Connect connects until the test is over.
func (s *Server) Connect(t testing.TB, options ...client.Option) (*client.Conn, jetstream.JetStream) {
	t.Helper()
	conn, err := client.Connect("nats://"+s.Address(), append([]client.Option{client.MaxReconnects(-1), client.ReconnectWait(20 * time.Millisecond)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return conn, js
}
