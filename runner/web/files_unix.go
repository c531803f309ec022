// SPDX-License-Identifier: Apache-2.0

//go:build unix

package web

import (
	"math"
	"net"
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

// hasData says whether a connection has something that was not read yet.
func hasData(conn net.Conn) (has bool) {
	file, ok := plain(conn).(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		var first [1]byte
		n, _, err := syscall.Recvfrom(int(fd), first[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		has = err == nil && n > 0
	})
	return has && err == nil
}
