// SPDX-License-Identifier: Apache-2.0

package rsstest

import (
	"runtime/metrics"
	"testing"
	"time"
)

// Bounded fails the test if run allocates more bytes, or takes longer, than it
// may. What is allocated counts whether or not it is given back: it is the
// oracle of fuzz tests, in which nothing else runs. Everywhere else, use [Run].
func Bounded(t testing.TB, bytes int64, within time.Duration, run func()) {
	t.Helper()
	before, began := allocated(), time.Now()
	run()
	if took := time.Since(began); took > within {
		t.Errorf("it took %v, %v at most are allowed", took, within)
	}
	if n := allocated() - before; n > bytes {
		t.Errorf("%d bytes were allocated, %d at most are allowed", n, bytes)
	}
}

// allocated is how many bytes this process has allocated so far.
func allocated() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
