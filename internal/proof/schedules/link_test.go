// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"cmp"
	"context"
	"io"
	"path"
	"reflect"
	"slices"
	"sync"

	"github.com/gogo/protobuf/proto"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// link is a runner's way to its sidecar. What a runner sends becomes an event,
// about which the schedule decides.
type link struct {
	owner  string
	server pachtest.Direct
	wake   chan<- struct{} // tells the schedule that something has changed
	step   func() int      // of the schedule

	mu     sync.Mutex
	dead   bool     // the runner was killed: it sends nothing any more
	events []*event // that have not ended, in the order of their arrival
	sent   int      // bytes of files
}

// event is a call on its way. Its fields but done are the link's lock's.
type event struct {
	link     *link
	full     string // name of the method
	name     string // without the service
	middle   bool   // of an upload: the server has nothing to do yet
	requests []any
	step     int // of the schedule when it was sent

	// Of the connection, not of the caller: what was sent arrives although the
	// caller has given up, and a wait at the server ends when the connection does.
	ctx    context.Context
	cancel context.CancelFunc

	state   state
	fate    fate
	replies []any
	err     error
	told    bool
	done    chan struct{} // closed when the caller hears of the end
}

type state int

const (
	sent    state = iota // the server has not seen it
	working              // the server is at it, or waits for a commit
	worked               // the reply is on its way
)

// fate is what the schedule has decided about a reply.
type fate int

const (
	replyAtOnce fate = iota
	replyLater
	replyLost
	doneTwice // as when pachd repeats a transaction whose end it has not heard of
)

var (
	errCut  = status.Error(codes.Unavailable, "the connection was cut")
	errLost = status.Error(codes.Unavailable, "error reading from server: EOF")
	errDead = status.Error(codes.Canceled, "the process is dead")
)

// send makes an event and waits until the schedule has it done.
func (l *link) send(ctx context.Context, method string, middle bool, requests ...any) ([]any, error) {
	connection, cancel := context.WithCancel(context.WithoutCancel(ctx))
	e := &event{link: l, full: method, name: path.Base(method), middle: middle, requests: requests, step: l.step(),
		ctx: connection, cancel: cancel, done: make(chan struct{})}
	l.mu.Lock()
	if l.dead || ctx.Err() != nil {
		l.mu.Unlock()
		cancel()
		return nil, errDead
	}
	l.events = append(l.events, e)
	l.mu.Unlock()
	l.changed()
	select {
	case <-e.done:
		return e.replies, e.err
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

// upload notes bytes of files that have left the runner.
func (l *link) upload(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent += n
}

func (l *link) bytesSent() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent
}

// pending lists the events that have not ended. Those that came while nothing
// else happened are in the order of their names: which was first is chance.
func (l *link) pending() []*event {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.SortStableFunc(l.events, func(a, b *event) int {
		return cmp.Or(cmp.Compare(a.step, b.step), cmp.Compare(a.name, b.name))
	})
	return slices.Clone(l.events)
}

func (l *link) changed() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// work has the server do a call. Only what waits for a commit takes time.
func (e *event) work(f fate) {
	e.link.mu.Lock()
	e.state, e.fate = working, f
	e.link.mu.Unlock()
	go func() {
		var replies []any
		var err error
		if !e.middle {
			replies, err = e.link.server.Call(e.ctx, e.full, e.requests...)
			if f == doneTwice {
				replies, err = e.link.server.Call(e.ctx, e.full, e.requests...)
			}
		}
		e.link.mu.Lock()
		e.state = worked
		if !e.told {
			e.replies, e.err = replies, err
		}
		e.link.mu.Unlock()
		e.link.changed()
	}()
}

// tell lets the caller hear of the call's end, with err if it is not nil.
func (e *event) tell(err error) {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	if e.told {
		return
	}
	if err != nil {
		e.replies, e.err = nil, err
	}
	e.told = true
	close(e.done)
}

func (e *event) is(s state) bool {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	return e.state == s
}

// forget takes an event off the link.
func (e *event) forget() {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	e.cancel()
	e.link.events = slices.DeleteFunc(e.link.events, func(other *event) bool { return other == e })
}

// sender sends a call's requests and returns its replies. The middle of an
// upload is sent, too: it has no reply.
type sender func(ctx context.Context, method string, middle bool, requests ...any) ([]any, error)

// plainly is a sender for which nothing ever goes wrong.
func plainly(server pachtest.Direct) sender {
	return func(ctx context.Context, method string, middle bool, requests ...any) ([]any, error) {
		if middle {
			return nil, nil
		}
		return server.Call(ctx, method, requests...)
	}
}

// dialOptions make a gRPC client that has no network, but a sender. upload is
// told of each piece of a file.
func dialOptions(send sender, upload func(bytes int)) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, request, reply any, _ *grpc.ClientConn, _ grpc.UnaryInvoker, _ ...grpc.CallOption) error {
			replies, err := send(ctx, method, false, request)
			if err == nil {
				assign(reply, replies[0])
			}
			return err
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, _ *grpc.ClientConn, method string, _ grpc.Streamer, _ ...grpc.CallOption) (grpc.ClientStream, error) {
			return &clientStream{send: send, upload: upload, ctx: ctx, method: method, uploads: desc.ClientStreams}, nil
		}),
	}
}

// assign makes *reply what the server has made for this call alone.
func assign(reply, from any) { reflect.ValueOf(reply).Elem().Set(reflect.ValueOf(from).Elem()) }

// clientStream is the caller's end of a streaming call. An upload stands still
// once in its middle, and reaches the server whole or not at all, as
// Pachyderm's do.
type clientStream struct {
	send     sender
	upload   func(bytes int)
	ctx      context.Context
	method   string
	uploads  bool
	requests []any
	asked    bool
	replies  []any
	err      error
}

func (s *clientStream) Header() (metadata.MD, error) { return nil, nil }
func (s *clientStream) Trailer() metadata.MD         { return nil }
func (s *clientStream) CloseSend() error             { return nil }
func (s *clientStream) Context() context.Context     { return s.ctx }

func (s *clientStream) SendMsg(m any) error {
	s.requests = append(s.requests, proto.Clone(m.(proto.Message)))
	if piece, ok := m.(*pfs.ModifyFileRequest); ok {
		s.upload(len(piece.GetAddFile().GetRaw().GetValue()))
	}
	if s.uploads && len(s.requests) == 2 {
		if _, err := s.send(s.ctx, s.method, true, m); err != nil {
			s.asked, s.err = true, err
			return io.EOF
		}
	}
	return nil
}

func (s *clientStream) RecvMsg(m any) error {
	if !s.asked {
		s.asked = true
		s.replies, s.err = s.send(s.ctx, s.method, false, s.requests...)
	}
	switch {
	case len(s.replies) > 0:
		assign(m, s.replies[0])
		s.replies = s.replies[1:]
		return nil
	case s.err != nil:
		return s.err
	}
	return io.EOF
}
