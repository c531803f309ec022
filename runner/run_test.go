// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// TestStoppedRunnersStay: one that only an operator can help tells why for a
// while; others end at once, to be started again.
func TestStoppedRunnersStay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stayed := func(ctx context.Context, err error) time.Duration {
			began := time.Now()
			stay(ctx, hclog.NewNullLogger(), err)
			return time.Since(began)
		}
		stop := &source.Stop{Err: errors.New("the topic was deleted")}
		if d := stayed(t.Context(), stop); d != stoppedFor {
			t.Error("stayed for", d)
		}
		if d := stayed(t.Context(), errors.New("superseded")); d != 0 {
			t.Error("stayed for", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if d := stayed(ctx, stop); d != time.Second {
			t.Error("stayed for", d)
		}
	})
}
