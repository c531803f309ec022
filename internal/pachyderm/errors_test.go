// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Pachyderm's server may notice first that the time for a call is over, and
// then answers without the code for it.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{status.Error(codes.DeadlineExceeded, "late"), true},
		{fmt.Errorf("inspect: %w", context.DeadlineExceeded), true},
		{status.Error(codes.Unknown, "context deadline exceeded"), true},
		{status.Error(codes.Unknown, "no such commit"), false},
		{status.Error(codes.Unavailable, "context deadline exceeded"), false},
	} {
		if got := IsTimeout(c.err); got != c.want {
			t.Errorf("%v is a timeout: %v", c.err, got)
		}
	}
}
