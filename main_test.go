// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/provider"
)

// A provider without a parent stays for as long as its operations may take to
// clean up, and no longer than it has operations.
func TestCleanUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		busyFor, atLeast, atMost time.Duration
	}{
		"idle":                  {0, 0, 0},
		"one that is soon over": {3 * time.Second, 3 * time.Second, 3 * time.Second},
		"one that cleans up":    {2 * provider.CleanUp, 2 * provider.CleanUp, 2 * provider.CleanUp},
		"one that hangs":        {24 * time.Hour, 2*provider.CleanUp + time.Second, 3 * provider.CleanUp},
	} {
		var waited time.Duration
		cleanUp(func() bool { return waited < c.busyFor }, func(d time.Duration) { waited += d }, time.Second)
		if waited < c.atLeast || waited > c.atMost {
			t.Errorf("%s: waited for %s", name, waited)
		}
	}
}

// A variable that is there and says nothing asks for no log.
func TestIsLogged(t *testing.T) {
	t.Parallel()
	for want, environs := range map[bool][][]string{
		true:  {{"TF_LOG=TRACE"}, {"HOME=/", "TF_LOG_PROVIDER=debug"}},
		false: {nil, {"TF_LOG="}, {"TF_LOG=", "TF_LOG_PATH=", "TF_LOG_CORE=", "TF_LOG_PROVIDER="}, {"TF_INPUT=0", "NOT_TF_LOG=TRACE"}},
	} {
		for _, environ := range environs {
			if isLogged(environ) != want {
				t.Errorf("%q: should be %v", environ, want)
			}
		}
	}
}
