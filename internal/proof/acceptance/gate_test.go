// SPDX-License-Identifier: Apache-2.0

//go:build acceptance

package acceptance

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
)

// gate stands before pachd and passes every call on, but for the replies that
// it is told to keep.
type gate struct {
	address string
	pachd   *grpc.ClientConn

	mu   sync.Mutex
	keep *keptReply
}

// keptReply is a reply that does not reach its caller.
type keptReply struct {
	method string        // suffix
	done   chan struct{} // closed once pachd has done what it was asked for
	lost   bool          // the call fails; else it waits until the caller gives up
}

func newGate(t *testing.T, c *cluster.Cluster) *gate {
	t.Helper()
	pachd, err := grpc.NewClient(strings.TrimPrefix(c.Address(), "grpc://"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{})))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{address: "grpc://" + listener.Addr().String(), pachd: pachd}
	server := grpc.NewServer(grpc.ForceServerCodec(rawCodec{}), grpc.UnknownServiceHandler(g.pass))
	go server.Serve(listener)                          //nolint:errcheck // ends by Stop
	t.Cleanup(func() { server.Stop(); pachd.Close() }) //nolint:errcheck // the test is over
	return g
}

// keepReply keeps the reply of the next call of a method.
func (g *gate) keepReply(method string, lost bool) *keptReply {
	k := &keptReply{method: method, done: make(chan struct{}), lost: lost}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.keep = k
	return k
}

// kept says whether a call's reply is to be kept, once.
func (g *gate) kept(method string) *keptReply {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := g.keep
	if k == nil || !strings.HasSuffix(method, "/"+k.method) {
		return nil
	}
	g.keep = nil
	return k
}

func (g *gate) pass(_ any, caller grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(caller)
	keep := g.kept(method)
	ctx := caller.Context()
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		ctx = metadata.NewOutgoingContext(ctx, md)
	}
	if keep != nil { // pachd finishes what it was asked for, whoever gives up
		ctx = context.WithoutCancel(ctx)
	}
	pachd, err := g.pachd.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	go func() {
		for {
			var message []byte
			if err := caller.RecvMsg(&message); err != nil {
				_ = pachd.CloseSend()
				return
			}
			if err := pachd.SendMsg(message); err != nil {
				return // RecvMsg of the other direction says why
			}
		}
	}()
	for {
		var message []byte
		err := pachd.RecvMsg(&message)
		if keep != nil {
			close(keep.done)
			if keep.lost {
				return status.Error(codes.Unavailable, "the connection was lost")
			}
			<-caller.Context().Done()
			return caller.Context().Err()
		}
		if errors.Is(err, io.EOF) {
			caller.SetTrailer(pachd.Trailer())
			return nil
		}
		if err != nil {
			return err
		}
		if err := caller.SendMsg(message); err != nil {
			return err
		}
	}
}

// rawCodec leaves messages as they are: a []byte to send, a *[]byte to receive.
type rawCodec struct{}

func (rawCodec) Name() string                    { return "proto" }
func (rawCodec) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (rawCodec) Unmarshal(b []byte, v any) error { *v.(*[]byte) = b; return nil }
