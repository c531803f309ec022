// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// TestOptions are the options of the cluster that Start starts. Set them before the first call. The short back-off is for
// tests that kill containers many times. The images are those of
// tests that need no more than a shell, and the one that Pachyderm takes where none is named.
var TestOptions = Options{Fast: true, BackOff: 20 * time.Millisecond, Log: os.Stderr, Images: map[string]string{"debian:12": HostFiles, "ubuntu:20.04": HostFiles}}

var shared struct {
	sync.Mutex
	cluster *Cluster
	err     error
}

// Start returns the cluster of this test binary, which the first call starts. It lasts until Main ends it. A cluster that
// was started by command pachcluster fails the test, as it isn't the test's to break; one of another test binary is
// waited for.
func Start(tb testing.TB) *Cluster {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil && shared.err == nil {
		// Not the test's context: the cluster outlives it.
		shared.cluster, shared.err = startForTests(context.Background())
	}
	if shared.err != nil {
		tb.Fatalf("starting Pachyderm: %v", shared.err)
	}
	return shared.cluster
}

func startForTests(ctx context.Context) (*Cluster, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	return start(ctx, TestOptions, false, func() {
		if info, err := Running(); err == nil && info != nil && info.Detached {
			cancel(ErrRunning)
			return
		}
		say(os.Stderr, "another test binary runs a cluster; waiting for its end")
	})
}

// Main runs a test binary's tests and ends the shared cluster. Its result is for os.Exit. If a test has failed or
// PACHCLUSTER_KEEP is set, the cluster's logs are kept.
func Main(m *testing.M) int {
	if code, ran := Isolate(context.Background()); ran {
		return code
	}
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil {
		return code
	}
	if code != 0 || os.Getenv("PACHCLUSTER_KEEP") != "" {
		shared.cluster.opts.KeepLogs = true
	}
	if err := shared.cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping Pachyderm:", err)
		return max(code, 1)
	}
	return code
}
