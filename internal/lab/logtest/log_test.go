// SPDX-License-Identifier: Apache-2.0

package logtest

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestAwait: each of several that wait gets its line, whether it is there or comes later.
func TestAwait(t *testing.T) {
	t.Parallel()
	l := New(time.Minute)
	var waiting sync.WaitGroup
	for i := range 20 {
		waiting.Go(func() {
			if line := l.Await(t, "line ", fmt.Sprintf("%02d", i)); line != fmt.Sprintf("line %02d\n", i) {
				t.Errorf("%d got %q", i, line)
			}
		})
	}
	for i := range 20 {
		if _, err := fmt.Fprintf(l, "line %02d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	waiting.Wait()
}
