// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// proxy stands between the runner and its sidecar. It knows the methods that
// pass, and springs traps at them.
type proxy struct {
	sidecar func() (address string, err error) // as it is at the moment

	listener *trackedListener
	server   *grpc.Server

	mu    sync.Mutex
	trap  *trap
	conns map[string]*grpc.ClientConn // by the sidecar's address
}

// moment is a point in the life of a call.
type moment string

const (
	before moment = "before"  // the sidecar has seen it
	during moment = "halfway" // through an upload
	after  moment = "after"   // the sidecar has done it, and the runner does not know yet
)

// trap waits for a call.
type trap struct {
	method string // without the service
	moment moment
	spring func() outcome // does the harm; the call stands still meanwhile
	sprung chan struct{}  // closed once spring has returned
}

// outcome is what becomes of a call in a trap.
type outcome int

const (
	goOn outcome = iota
	fail         // with Unavailable: before, it is not done; after, its reply is lost
)

var errTrap = status.Error(codes.Unavailable, "error reading from server: EOF (crash campaign)")

func startProxy(sidecar func() (string, error)) (*proxy, error) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the proxy: %w", err)
	}
	p := &proxy{sidecar: sidecar, listener: &trackedListener{Listener: tcp, open: map[net.Conn]bool{}}, conns: map[string]*grpc.ClientConn{}}
	p.server = grpc.NewServer(grpc.UnknownServiceHandler(p.handle), grpc.ForceServerCodec(rawCodec{}),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage))
	go p.server.Serve(p.listener) //nolint:errcheck // ends by stop
	return p, nil
}

const maxMessage = 20 << 20 // pachd's

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) stop() {
	p.server.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close() //nolint:errcheck // nobody uses it any more
	}
}

// arm sets the one trap there is; nil takes it away.
func (p *proxy) arm(t *trap) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trap = t
}

// cut closes the runner's connections.
func (p *proxy) cut() { p.listener.cut() }

// pass springs the trap if it was set for this moment.
func (p *proxy) pass(method string, at moment) error {
	p.mu.Lock()
	t := p.trap
	if t == nil || t.method != path.Base(method) || t.moment != at {
		p.mu.Unlock()
		return nil
	}
	p.trap = nil
	p.mu.Unlock()
	defer close(t.sprung)
	if t.spring() == fail {
		return errTrap
	}
	return nil
}

// upstream returns a connection to the sidecar.
func (p *proxy) upstream() (*grpc.ClientConn, error) {
	address, err := p.sidecar()
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if conn := p.conns[address]; conn != nil {
		return conn, nil
	}
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
	if err != nil {
		return nil, err
	}
	p.conns[address] = conn
	return conn, nil
}

// handle passes one call of any kind on.
func (p *proxy) handle(_ any, in grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(in)
	if err := p.pass(method, before); err != nil {
		return err
	}
	conn, err := p.upstream()
	if err != nil {
		return err
	}
	md, _ := metadata.FromIncomingContext(in.Context())
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(in.Context(), md.Copy()))
	defer cancel()
	out, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	requests := make(chan error, 1)
	go func() { requests <- p.forwardRequests(method, in, out) }()
	replies := make(chan error, 1)
	go func() { replies <- p.forwardReplies(method, in, out) }()
	for {
		select {
		case err := <-requests:
			if err != nil {
				return err // which ends both streams
			}
			requests = nil
		case err := <-replies:
			in.SetTrailer(out.Trailer())
			return err
		}
	}
}

func (p *proxy) forwardRequests(method string, in grpc.ServerStream, out grpc.ClientStream) error {
	for count := 1; ; count++ {
		var f frame
		if err := in.RecvMsg(&f); errors.Is(err, io.EOF) {
			return out.CloseSend()
		} else if err != nil {
			return err
		}
		if count == 2 {
			if err := p.pass(method, during); err != nil {
				return err
			}
		}
		if err := out.SendMsg(&f); err != nil {
			return nil // the replies say why
		}
	}
}

func (p *proxy) forwardReplies(method string, in grpc.ServerStream, out grpc.ClientStream) error {
	for first := true; ; first = false {
		var f frame
		err := out.RecvMsg(&f)
		if first {
			if trapped := p.pass(method, after); trapped != nil {
				return trapped
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = in.SendMsg(&f)
		}
		if err != nil {
			return err
		}
	}
}

// frame is a message that nobody here needs to understand.
type frame struct{ payload []byte }

type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return v.(*frame).payload, nil }
func (rawCodec) Unmarshal(data []byte, v any) error {
	v.(*frame).payload = append([]byte(nil), data...)
	return nil
}
func (rawCodec) Name() string { return "proto" }

// trackedListener knows its connections, so that they can be cut.
type trackedListener struct {
	net.Listener
	mu   sync.Mutex
	open map[net.Conn]bool
}

func (l *trackedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	tracked := &trackedConn{Conn: c, listener: l}
	l.open[tracked] = true
	return tracked, nil
}

func (l *trackedListener) cut() {
	l.mu.Lock()
	var open []net.Conn
	for c := range l.open {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		c.Close() //nolint:errcheck // that is what is wanted
	}
}

type trackedConn struct {
	net.Conn
	listener *trackedListener
}

func (c *trackedConn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.open, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
