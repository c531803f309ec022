// SPDX-License-Identifier: Apache-2.0

//go:build unix

package web

import (
	"math"
	"syscall"
)

// maxFiles is how many files the process may have open, 0 if that is unknown.
func maxFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), math.MaxInt32)) //nolint:unconvert // it has another type on FreeBSD
}
