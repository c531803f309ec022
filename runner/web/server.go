// SPDX-License-Identifier: Apache-2.0

package web

import (
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/tlsconfig"
)

// limits are what clients may take.
type limits struct {
	header      time.Duration // until a request's header is there
	request     time.Duration // until its body is there, too
	answer      time.Duration // from then on, until the answer is read
	idle        time.Duration // between requests
	connections int
}

// Nobody who asks in earnest comes near these.
func defaultLimits() limits {
	return limits{header: 5 * time.Second, request: 10 * time.Second, answer: 20 * time.Second, idle: time.Minute, connections: connectionLimit()}
}

const maxHeader = 8 << 10

// Server answers over HTTP at a port of its own.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// Listen takes the port that the settings name.
func Listen(s settings.Settings, r Runner, metrics http.Handler, logger hclog.Logger) (*Server, error) {
	return listen(s, r, metrics, logger, defaultLimits())
}

func listen(s settings.Settings, r Runner, metrics http.Handler, logger hclog.Logger, l limits) (*Server, error) {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	conns := newConnections(l.connections)
	server := &http.Server{
		Handler: Handler(r, metrics, newAccess(s.HTTP)), ConnState: conns.changed, Protocols: &protocols,
		ReadHeaderTimeout: l.header, ReadTimeout: l.request, WriteTimeout: l.answer, IdleTimeout: l.idle, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(&throttled{log: logger}, "", 0),
	}
	if s.HTTP.TLS.Cert != "" {
		var err error
		if server.TLSConfig, err = tlsconfig.Server(s.HTTP.TLS, "SPOUT_HTTP_TLS"); err != nil {
			return nil, err
		}
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(s.HTTP.Address, strconv.Itoa(s.HTTPPort)))
	if err != nil {
		return nil, err
	}
	return &Server{listener: acceptor{listener, conns}, http: server}, nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Serve answers until the server is closed, or until its port is lost, which is an error.
func (s *Server) Serve() error {
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(s.listener, "", "")
	}
	return s.http.Serve(s.listener)
}

// Close ends all connections.
func (s *Server) Close() error { return s.http.Close() }

// throttled passes on what net/http has to say of clients, as lines of the
// runner's log. Clients can cause as many as they like, so most are counted only.
type throttled struct {
	log hclog.Logger

	mu      sync.Mutex
	next    time.Time // when the next line may be written
	omitted int
}

const throttlePeriod = 10 * time.Second

var _ io.Writer = (*throttled)(nil)

func (t *throttled) Write(line []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Before(t.next) {
		t.omitted++
		return len(line), nil
	}
	const most = 500 // a panic comes with its stack
	text := strings.TrimSpace(string(line))
	t.log.Warn("trouble with a client", "reason", text[:min(len(text), most)], "not_told", t.omitted)
	t.next, t.omitted = now.Add(throttlePeriod), 0
	return len(line), nil
}

// hostname is the pod's own name.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
