// SPDX-License-Identifier: Apache-2.0

package rsstest

import (
	"flag"
	"runtime/metrics"
	"testing"
	"time"
)

// Bounded fails the test if run allocates more bytes, or takes longer, than it
// may. What is allocated counts whether or not it is given back: it is the
// oracle of fuzz tests, in which nothing else runs. Everywhere else, use [Run].
//
// Beside other tests, as the seeds of a fuzz test are run, what a goroutine of
// one of them does would count too: what is over is then tried again.
func Bounded(t testing.TB, bytes int64, within time.Duration, run func()) {
	t.Helper()
	tries := 4
	if fuzzing() {
		tries = 1
	}
	for {
		before, began := allocated(), time.Now()
		run()
		took, n := time.Since(began), allocated()-before
		if tries--; took <= within && n <= bytes || t.Failed() {
			return
		}
		if tries > 0 {
			continue
		}
		if took > within {
			t.Errorf("it took %v, %v at most are allowed", took, within)
		}
		if n > bytes {
			t.Errorf("%d bytes were allocated, %d at most are allowed", n, bytes)
		}
		return
	}
}

// fuzzing says whether this process looks for new input.
func fuzzing() bool {
	for _, name := range []string{"test.fuzz", "test.fuzzworker"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" && f.Value.String() != "false" {
			return true
		}
	}
	return false
}

// allocated is how many bytes this process has allocated so far.
func allocated() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
