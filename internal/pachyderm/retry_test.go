// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A call that may take long has the time that the operation has, and any other
// the time that calls have.
func TestPatiently(t *testing.T) {
	t.Parallel()
	hour, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		want time.Duration
	}{
		"patient":        {Patiently(hour), time.Hour},
		"plain":          {hour, time.Minute},
		"without an end": {Patiently(t.Context()), time.Minute},
	} {
		var left time.Duration
		invoke := func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			return nil
		}
		if err := DefaultRetry.Interceptor()(c.ctx, "/pfs_v2.API/DeleteRepo", nil, nil, nil, invoke); err != nil {
			t.Fatal(err)
		}
		if left > c.want || left < c.want-time.Minute/2 {
			t.Errorf("%s: %v are left, not %v", name, left, c.want)
		}
	}
}

// While the server cannot be reached, it is no use to be patient.
func TestPatientlyGivesUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	calls := 0
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
		calls++
		return status.Error(codes.Unavailable, "down")
	}
	err := Retry{Timeout: 20 * time.Millisecond, Initial: time.Millisecond, Max: time.Millisecond}.Interceptor()(Patiently(ctx), "/pfs_v2.API/DeleteRepo", nil, nil, nil, invoke)
	if !IsUnavailable(err) || calls < 2 {
		t.Errorf("%d calls, %v", calls, err)
	}
}
