// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
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
