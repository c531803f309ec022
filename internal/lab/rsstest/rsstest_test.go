// SPDX-License-Identifier: Apache-2.0

package rsstest_test

import (
	"os"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
)

// TestRun fills memory in a child that knows how much.
func TestRun(t *testing.T) {
	t.Parallel()
	if rsstest.Child(t) {
		if os.Getenv("FILL") != "all of it" {
			t.Error("the variable has not come")
		}
		fill(t, 64<<20)
		return
	}
	rsstest.Run(t, rsstest.Limits{Budget: 64 << 20, Within: time.Minute}, "FILL=all of it")
}

// TestPeak sees memory that was taken and given back.
func TestPeak(t *testing.T) {
	t.Parallel()
	fill(t, 128<<20)
	if peak, err := rsstest.Peak(os.Getpid()); err != nil || peak < 128<<20 {
		t.Errorf("the peak is %d, %v", peak, err)
	}
	if peak, err := rsstest.Peak(1 << 30); err == nil {
		t.Errorf("a process that is not there had %d", peak)
	}
	if most := rsstest.Most(64 << 20); most != 144<<20 {
		t.Errorf("a process with a budget of 64 MiB may take %d", most)
	}
}

func fill(t *testing.T, n int) {
	memory := make([]byte, n)
	for i := 0; i < n; i += 4096 {
		memory[i] = 1
	}
	if memory[n/2] != 1 {
		t.Error("it was not filled")
	}
}

// TestBounded: it sees what is allocated, and lets pass what may be.
func TestBounded(t *testing.T) {
	rsstest.Bounded(t, 32<<20, time.Minute, func() { fill(t, 16<<20) })
	over := &judge{TB: t}
	rsstest.Bounded(over, 8<<20, time.Minute, func() { fill(t, 16<<20) })
	rsstest.Bounded(over, 32<<20, 0, func() {})
	if over.errors != 2 {
		t.Errorf("%d of 2 excesses were seen", over.errors)
	}
}

// judge counts errors in place of failing.
type judge struct {
	testing.TB
	errors int
}

func (j *judge) Errorf(string, ...any) { j.errors++ }
