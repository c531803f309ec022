// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"

	"github.com/gogo/protobuf/proto"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// invocation is one running call and the faults that hit it: those around the
// whole call, and those in the middle of a client's stream.
type invocation struct {
	side   *side
	call   *Call
	faults []*Injected
	middle []*Injected
}

func (sd *side) begin(ctx context.Context, method string, request any) *invocation {
	call := &Call{Method: method, Side: sd.kind, Time: sd.server.clock()}
	if sd.kind == Sidecar {
		call.Pipeline = sd.pipeline.String()
	}
	call.Request = copyRequest(request)
	if md, ok := metadata.FromIncomingContext(ctx); ok && len(md["user-agent"]) > 0 {
		call.UserAgent = md["user-agent"][0]
	}
	sd.server.calls.begin(call)
	inv := &invocation{side: sd, call: call}
	for _, f := range sd.server.faults.hits(method, sd.kind) {
		if f.fault.AfterMessages > 0 {
			inv.middle = append(inv.middle, f)
		} else {
			inv.faults = append(inv.faults, f)
		}
	}
	return inv
}

// run does the work of a call with everything around it: pause, faults before,
// authentication, the work itself, faults after.
func (inv *invocation) run(ctx context.Context, work func(context.Context) error) error {
	err := inv.attempt(ctx, work)
	if err != nil {
		if _, ok := status.FromError(err); !ok {
			err = status.Error(codes.Unknown, err.Error())
		}
	}
	inv.side.server.calls.update(func() { inv.call.Done, inv.call.Code = true, status.Code(err) })
	return err
}

func (inv *invocation) attempt(ctx context.Context, work func(context.Context) error) error {
	s := inv.side.server
	if err := s.network.waitUnpaused(ctx, inv.side.kind); err != nil {
		return status.FromContextError(err).Err()
	}
	for _, f := range inv.faults {
		if err := f.before(ctx); err != nil {
			return err
		}
	}
	ctx, err := s.authenticate(ctx, inv.call)
	if err != nil {
		return err
	}
	err = work(ctx)
	for _, f := range inv.faults {
		err = f.after(ctx, err, func() { inv.cut(ctx) })
	}
	return err
}

// losesReply says that the reply must not be sent although the work is done.
func (inv *invocation) losesReply() bool {
	for _, f := range inv.faults {
		if f.fault.LoseReply || f.fault.Cut || f.fault.StallReply != nil {
			return true
		}
	}
	return false
}

// cut closes the caller's connection.
func (inv *invocation) cut(ctx context.Context) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return
	}
	inv.side.server.network.cut(func(c *conn) bool {
		return c.side == inv.side && c.RemoteAddr().String() == p.Addr.String()
	})
}

func (sd *side) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	inv := sd.begin(ctx, info.FullMethod, request)
	var reply any
	err := inv.run(ctx, func(ctx context.Context) (err error) {
		reply, err = handler(ctx, request)
		return err
	})
	if err != nil {
		return nil, err
	}
	return reply, nil
}

func (sd *side) stream(server any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	inv := sd.begin(ss.Context(), info.FullMethod, nil)
	return inv.run(ss.Context(), func(ctx context.Context) error {
		w := &watchedStream{ServerStream: ss, ctx: ctx, inv: inv, clientStreams: info.IsClientStream}
		if err := handler(server, w); err != nil {
			return err
		}
		if w.kept != nil && !inv.losesForGood() {
			if err := inv.holdReply(ctx); err != nil {
				return err
			}
			return ss.SendMsg(w.kept)
		}
		return nil
	})
}

// losesForGood is losesReply without the replies that only wait.
func (inv *invocation) losesForGood() bool {
	for _, f := range inv.faults {
		if f.fault.LoseReply || f.fault.Cut {
			return true
		}
	}
	return false
}

func (inv *invocation) holdReply(ctx context.Context) error {
	for _, f := range inv.faults {
		if err := block(ctx, f.fault.StallReply); err != nil {
			return err
		}
	}
	return nil
}

// watchedStream records and disturbs the messages of a stream.
type watchedStream struct {
	grpc.ServerStream
	ctx           context.Context
	inv           *invocation
	clientStreams bool
	received      int
	kept          any // the only reply to a client's stream, if it is to be lost or late
}

func (w *watchedStream) Context() context.Context { return w.ctx }

func (w *watchedStream) RecvMsg(m any) error {
	if err := w.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	w.received++
	w.inv.side.server.calls.update(func() {
		w.inv.call.Messages = w.received
		if w.received == 1 {
			w.inv.call.Request = copyRequest(m)
		}
	})
	for _, f := range w.inv.middle {
		if w.received == f.fault.AfterMessages {
			if err := f.before(w.ctx); err != nil {
				return err
			}
			if f.fault.Cut {
				w.inv.cut(w.ctx)
				return errReplyLost
			}
		}
	}
	return nil
}

func (w *watchedStream) SendMsg(m any) error {
	if w.clientStreams && w.inv.losesReply() {
		w.kept = m
		return nil
	}
	return w.ServerStream.SendMsg(m)
}

// copyRequest copies a message for the log of calls. Uploaded contents and
// health checks are not kept.
func copyRequest(m any) proto.Message {
	switch m := m.(type) {
	case *healthpb.HealthCheckRequest, *healthpb.HealthListRequest:
		return nil
	case *pfs.ModifyFileRequest:
		if m.GetAddFile() != nil {
			return nil
		}
		return proto.Clone(m)
	case proto.Message:
		return proto.Clone(m)
	}
	return nil
}

// crash imitates 2.6 at a nil pointer: the process ends, and with it all its
// connections. Callers do not hold s.mu.
func (sd *side) crash(what string) error {
	s := sd.server
	s.mu.Lock()
	s.panics = append(s.panics, what)
	s.mu.Unlock()
	s.network.cut(func(c *conn) bool { return c.side == sd })
	return status.Error(codes.Unavailable, "the server panicked: "+what)
}
