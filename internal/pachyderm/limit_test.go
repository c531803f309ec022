// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"testing"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"google.golang.org/grpc"
)

// TestCallsAreLimited: each call has its own time, but for those that are to wait.
func TestCallsAreLimited(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		request any
		limited bool
	}{
		{&pfs.StartCommitRequest{}, true},
		{&pfs.InspectCommitRequest{Wait: pfs.CommitState_STARTED}, true},
		{&pfs.InspectCommitRequest{Wait: pfs.CommitState_FINISHED}, false},
	} {
		err := limitCalls(time.Minute)(t.Context(), "", test.request, nil, nil,
			func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
				if _, limited := ctx.Deadline(); limited != test.limited {
					t.Errorf("%T: limited %v", test.request, limited)
				}
				return nil
			})
		if err != nil {
			t.Error(err)
		}
	}
}
