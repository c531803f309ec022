// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"strings"

	"github.com/pachyderm/pachyderm/v2/src/pps"
	"google.golang.org/grpc"
)

// entangling are the calls that change branches which others depend on.
var entangling = []string{"/CreatePipelineV2", "/StartPipeline", "/StopPipeline", "/DeletePipeline", "/CreateBranch", "/DeleteBranch", "/BatchTransaction"}

// InSequence makes calls that change branches which others depend on one after
// the other. Each is a transaction that locks the branches up- and downstream,
// in no certain order: PostgreSQL takes a second to find a deadlock, and pachd
// begins again, at once and without end. Seen on 2.6.0: three starts and four
// updates of spouts with one reader, all at once, had not ended after a minute;
// one after the other they take less than a second.
//
// It goes before [Retry], so that a call's time begins with its turn.
func InSequence() grpc.UnaryClientInterceptor {
	turn := make(chan struct{}, 1)
	return func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		if !entangles(method, request) {
			return invoke(ctx, method, request, reply, conn, options...)
		}
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		case <-ctx.Done():
			return ctx.Err()
		}
		return invoke(ctx, method, request, reply, conn, options...)
	}
}

// entangles says whether a call changes what others depend on. A pipeline that
// is new and reads nothing, as a spout, does not.
func entangles(method string, request any) bool {
	if create, ok := request.(*pps.CreatePipelineRequest); ok {
		return create.Update || create.Input != nil
	}
	for _, name := range entangling {
		if strings.HasSuffix(method, name) {
			return true
		}
	}
	return false
}
