// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails if a goroutine of a source outlived its test.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := leftovers(); left != "" {
			fmt.Fprintf(os.Stderr, "goroutines outlived Close:\n%s\n", left)
			code = 1
		}
	}
	os.Exit(code)
}

// leftovers returns the stacks of goroutines that run this package's code.
func leftovers() string {
	var left []string
	for range 100 { // those that are about to end may take a moment
		left = left[:0]
		all := make([]byte, 4<<20)
		all = all[:runtime.Stack(all, true)]
		for stack := range strings.SplitSeq(string(all), "\n\n") {
			if strings.Contains(stack, "/runner/source/kafka.(*") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return ""
		}
		time.Sleep(20 * time.Millisecond)
	}
	return strings.Join(left, "\n\n")
}
