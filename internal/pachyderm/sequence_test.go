// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"errors"
	"testing"

	"github.com/pachyderm/pachyderm/v2/src/pps"
	"google.golang.org/grpc"
)

// While one call that changes what others depend on is under way, another
// waits for its turn as long as it may; calls that change nothing of the kind
// do not wait.
func TestInSequence(t *testing.T) {
	t.Parallel()
	sequence := InSequence()
	call := func(ctx context.Context, method string, request any, invoke func()) error {
		return sequence(ctx, method, request, nil, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
			invoke()
			return nil
		})
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	err := call(t.Context(), "/pps_v2.API/StartPipeline", &pps.StartPipelineRequest{}, func() {
		for method, request := range map[string]any{
			"/pps_v2.API/StopPipeline": &pps.StopPipelineRequest{}, "/pps_v2.API/CreatePipelineV2": nil, "/pfs_v2.API/CreateBranch": nil, "/transaction_v2.API/BatchTransaction": nil,
			"/pps_v2.API/CreatePipeline": &pps.CreatePipelineRequest{Update: true},
		} {
			if err := call(over, method, request, func() { t.Errorf("%s did not wait", method) }); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", method, err)
			}
		}
		for method, request := range map[string]any{"/pps_v2.API/CreatePipeline": &pps.CreatePipelineRequest{Spout: &pps.Spout{}}, "/pps_v2.API/InspectPipeline": nil} {
			called := false
			if err := call(over, method, request, func() { called = true }); err != nil || !called {
				t.Errorf("%s waited: %v", method, err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	called := false
	if err := call(t.Context(), "/pps_v2.API/StopPipeline", &pps.StopPipelineRequest{}, func() { called = true }); err != nil || !called {
		t.Errorf("the next has no turn: %v", err)
	}
}
