// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Retry says how calls are bounded and repeated.
type Retry struct {
	Timeout time.Duration // of one call, repetitions included; 0 for none
	Initial time.Duration // pause before the first repetition
	Max     time.Duration // longest pause
}

// DefaultRetry bounds calls to a minute, and repeats them after half a second and more.
var DefaultRetry = Retry{Timeout: time.Minute, Initial: 500 * time.Millisecond, Max: 10 * time.Second}

// onceOnly are the calls whose repetition would do more than one call: a
// second CreatePipeline finds that the first one exists, or makes another
// version. Their callers find out what became of them.
var onceOnly = []string{"/CreatePipeline", "/CreatePipelineV2", "/StartCommit", "/GetRobotToken", "/CreateSecret", "/CreateRepo", "/CreateProject", "/RunCron"}

type patience struct{}

// Patiently lets calls that may take long last as long as the context does, in
// place of the timeout of single calls; they are not repeated for longer than
// any other. It does nothing to a context without a deadline.
func Patiently(ctx context.Context) context.Context {
	if _, ok := ctx.Deadline(); !ok {
		return ctx
	}
	return context.WithValue(ctx, patience{}, true)
}

// Interceptor repeats a call while the server is unavailable, until the
// timeout. No other error is repeated. Pauses grow by half and are drawn at
// random from the upper half of their length.
func (r Retry) Interceptor() grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		began, patient := time.Now(), ctx.Value(patience{}) != nil
		if r.Timeout > 0 && !patient {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, r.Timeout)
			defer cancel()
		}
		pause := r.Initial
		var unavailable error
		for {
			err := invoke(ctx, method, request, reply, conn, options...)
			if unavailable != nil && IsTimeout(err) {
				return unavailable // why the time ran out
			}
			unavailable = err
			if !IsUnavailable(err) || pause <= 0 || isOnceOnly(method) {
				return err
			}
			wait := pause/2 + rand.N(pause/2+1)
			if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait ||
				r.Timeout > 0 && patient && time.Since(began)+wait > r.Timeout {
				return err
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return err
			}
			pause = min(pause+pause/2, r.Max)
		}
	}
}

// streamTimeouts is how many times the timeout of a call an answer in many
// messages may take.
const streamTimeouts = 20

// StreamInterceptor ends an answer in many messages of which none has come for
// the timeout, or that has no end.
func (r Retry) StreamInterceptor() grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
		if r.Timeout <= 0 {
			return open(ctx, desc, conn, method, options...)
		}
		ctx, cancel := context.WithTimeout(ctx, streamTimeouts*r.Timeout)
		stream, err := open(ctx, desc, conn, method, options...)
		if err != nil {
			cancel()
			return nil, err
		}
		return &watchedStream{ClientStream: stream, timeout: r.Timeout, end: cancel}, nil
	}
}

// watchedStream is a stream that ends when nothing comes.
type watchedStream struct {
	grpc.ClientStream
	timeout time.Duration
	end     context.CancelFunc
	late    bool
}

func (s *watchedStream) RecvMsg(message any) error {
	timer := time.AfterFunc(s.timeout, s.end)
	err := s.ClientStream.RecvMsg(message)
	s.late = !timer.Stop() || s.late
	if err == nil {
		return nil
	}
	s.end()
	if s.late && status.Code(err) == codes.Canceled {
		return status.Errorf(codes.DeadlineExceeded, "nothing has come for %s", s.timeout)
	}
	return err
}

func isOnceOnly(method string) bool {
	for _, name := range onceOnly {
		if strings.HasSuffix(method, name) {
			return true
		}
	}
	return false
}
