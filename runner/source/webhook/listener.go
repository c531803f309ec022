// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/tlsconfig"
)

const (
	headerTimeout = 5 * time.Second
	idleTimeout   = 75 * time.Second // longer than ingresses keep connections, so that they end them
	maxHeader     = 16 << 10
	listenAgain   = time.Second
	lastAnswers   = 500 * time.Millisecond // how long requests have to be answered while closing
)

// listener is the open port.
type listener struct {
	source   *Source
	server   *http.Server
	conns    *connections
	failed   chan error     // has why the port was lost
	serving  sync.WaitGroup // the goroutine that accepts
	requests inFlight
}

// inFlight are the requests that are being answered.
type inFlight struct {
	mu      sync.Mutex
	n       int
	closing chan struct{} // nil until no more may enter; closed once none is left
}

func (f *inFlight) enter() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing != nil {
		return false
	}
	f.n++
	return true
}

func (f *inFlight) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n--; f.n == 0 && f.closing != nil {
		close(f.closing)
	}
}

// end lets no more enter. What it returns is closed once none is left.
func (f *inFlight) end() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing == nil {
		f.closing = make(chan struct{})
		if f.n == 0 {
			close(f.closing)
		}
	}
	return f.closing
}

// listen takes the port. One that cannot be had is waited for: a runner that
// ends may have it still.
func (s *Source) listen(ctx context.Context) (*listener, error) {
	tlsConfig, err := tlsconfig.Listener(s.config.TLS, s.config.CertFile, s.config.KeyFile, s.config.ClientCA, s.config.ClientCAFile, "SPOUT_WEBHOOK")
	if err != nil {
		return nil, &source.Stop{Err: err}
	}
	port, err := s.takePort(ctx)
	if err != nil {
		return nil, err
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true) // each request has a connection, so that the limit of those is one of requests
	l := &listener{source: s, failed: make(chan error, 1), conns: newConnections(s.config.Connections)}
	l.server = &http.Server{
		Handler: l, Protocols: &protocols, ConnState: l.conns.changed, ConnContext: withConn, TLSConfig: tlsConfig,
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		WriteTimeout: s.config.BodyTimeout.Std() + s.config.AckTimeout.Std() + answerTime,
		ErrorLog:     log.New(&throttled{log: s.log}, "", 0),
	}
	l.serving.Go(func() {
		serve := l.server.Serve
		if tlsConfig != nil {
			serve = func(port net.Listener) error { return l.server.ServeTLS(port, "", "") }
		}
		if err := serve(port); !errors.Is(err, http.ErrServerClosed) {
			l.failed <- err
		}
	})
	s.log.Info("accepting requests", "address", port.Addr().String(), "tls", tlsConfig != nil, "endpoints", len(s.endpoints))
	return l, nil
}

func (s *Source) takePort(ctx context.Context) (net.Listener, error) {
	at := net.JoinHostPort(s.config.Address, strconv.Itoa(s.config.Port))
	since := time.Now()
	for {
		port, err := (&net.ListenConfig{}).Listen(ctx, "tcp", at)
		if err == nil || ctx.Err() != nil {
			s.setTrouble(nil)
			return port, err
		}
		s.log.Warn("cannot listen on the port; trying again", "address", at, "reason", err)
		s.setTrouble(&source.Trouble{Text: fmt.Sprintf("port %d cannot be had: %v", s.config.Port, err), Since: since})
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(listenAgain):
		}
	}
}

func (s *Source) setTrouble(t *source.Trouble) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = t
}

// close lets requests be answered that were told to come again, and ends all
// connections.
func (l *listener) close() {
	l.server.SetKeepAlivesEnabled(false)
	answered := l.requests.end()
	select {
	case <-answered:
	case <-time.After(lastAnswers):
	}
	l.server.Close() //nolint:errcheck // it is over
	l.serving.Wait()
	<-answered
}

// connections keeps the number of connections bounded. One that waits for a
// request gives way to a new one, but for those whose first request may be on
// its way; then the one of which a body has been read for the longest time; and
// if there is none of those, either, the oldest of the new ones.
type connections struct {
	limit int

	mu      sync.Mutex
	entries map[net.Conn]*list.Element // nil while a request is worked on
	idle    list.List                  // of waiting, the longest idle first
	bodies  list.List                  // of *incoming, the oldest first
}

func newConnections(limit int) *connections {
	return &connections{limit: limit, entries: map[net.Conn]*list.Element{}}
}

// waiting is a connection that waits for a request.
type waiting struct {
	conn  net.Conn
	since time.Time
	first bool // there was none before
}

// firstRequest is how soon the first request is expected. Later ones are welcome,
// too, while there is room.
const firstRequest = time.Second

type connKey struct{}

// withConn has handlers know the connection of a request.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// incoming is a body that is being read. Most senders have proven nothing before
// it is read to its end.
type incoming struct {
	io.ReadCloser
	conn    net.Conn
	began   time.Time
	bytes   atomic.Int64
	element *list.Element // nil once it is read
}

func (i *incoming) Read(p []byte) (int, error) {
	n, err := i.ReadCloser.Read(p)
	i.bytes.Add(int64(n))
	return n, err
}

// Bodies that come slower may be given up for others, after a while.
const (
	leastPace = 64 << 10 // bytes per second
	patience  = 2 * time.Second
)

func (i *incoming) slow(now time.Time) bool {
	took := now.Sub(i.began)
	return took >= patience && float64(i.bytes.Load()) < took.Seconds()*leastPace
}

// reads notes that a request's body is being read, until what it returns is
// called.
func (c *connections) reads(r *http.Request) (done func()) {
	conn, _ := r.Context().Value(connKey{}).(net.Conn)
	body := &incoming{ReadCloser: r.Body, conn: conn, began: time.Now()}
	r.Body = body
	c.mu.Lock()
	defer c.mu.Unlock()
	body.element = c.bodies.PushBack(body)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.gone(body)
	}
}

func (c *connections) gone(body *incoming) {
	if body.element != nil {
		c.bodies.Remove(body.element)
		body.element = nil
	}
}

// giveUpSlow ends what comes too slowly, since others wait for its memory.
func (c *connections) giveUpSlow(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for at := c.bodies.Front(); at != nil; {
		body := at.Value.(*incoming)
		at = at.Next()
		if body.slow(now) && body.conn != nil {
			c.gone(body)
			delete(c.entries, body.conn)
			hangUp(body.conn)
		}
	}
}

// hangUp closes a connection at once: to close one with TLS politely would take
// until the client reads.
func hangUp(conn net.Conn) {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	_ = conn.Close()
}

// changed is called by net/http with each state that a connection gets into.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, known := c.entries[conn]
	if !known && state != http.StateNew {
		return // it had to go
	}
	if element != nil {
		c.idle.Remove(element)
	}
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(c.entries, conn)
	case http.StateActive:
		c.entries[conn] = nil
	case http.StateNew, http.StateIdle:
		c.entries[conn] = c.idle.PushBack(waiting{conn, time.Now(), state == http.StateNew})
	}
	if len(c.entries) <= c.limit {
		return
	}
	one := c.idle.Front().Value.(waiting) // the new one is there, if no other
	oldest := one.conn
	if body := c.bodies.Front(); one.first && time.Since(one.since) < firstRequest && body != nil && body.Value.(*incoming).conn != nil {
		oldest = body.Value.(*incoming).conn
		c.gone(body.Value.(*incoming))
	}
	if element := c.entries[oldest]; element != nil {
		c.idle.Remove(element)
	}
	delete(c.entries, oldest)
	hangUp(oldest)
}

// throttled passes on what net/http has to say of senders, as lines of the
// runner's log. They can cause as many as they like, so most are counted only.
type throttled struct {
	log hclog.Logger

	mu   sync.Mutex
	told sparing
}

var _ io.Writer = (*throttled)(nil)

func (t *throttled) Write(line []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	omitted, ok := t.told.may(time.Now())
	if !ok {
		return len(line), nil
	}
	const most = 500 // a panic comes with its stack
	text := strings.TrimSpace(string(line))
	t.log.Warn("trouble with a sender", "reason", text[:min(len(text), most)], "not_told", omitted)
	return len(line), nil
}
