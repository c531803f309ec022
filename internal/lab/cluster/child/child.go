// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package child starts processes that never outlive this one, however it ends.
package child

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// Start starts cmd in a process group of its own and has the kernel kill it when this process ends, even by SIGKILL.
// What else cmd.SysProcAttr says is kept.
func Start(cmd *exec.Cmd) error {
	once.Do(func() { go run() })
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	r := request{cmd: cmd, result: make(chan error)}
	requests <- r
	return <-r.result
}

type request struct {
	cmd    *exec.Cmd
	result chan error
}

var (
	once     sync.Once
	requests = make(chan request)
)

// run serves all starts on one thread that lasts as long as the process: Pdeathsig is sent when the parent's thread
// ends, and Go ends threads as it likes.
func run() {
	runtime.LockOSThread()
	for r := range requests {
		r.result <- r.cmd.Start()
	}
}

// AwaitExit returns when a child has ended, and leaves it to be waited for: until then its pid is given to no other.
func AwaitExit(pid int) {
	const pPID, wExited, wNoWait = 1, 4, 0x01000000
	var info [128]byte // siginfo_t
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pPID, uintptr(pid), uintptr(unsafe.Pointer(&info)), wExited|wNoWait, 0, 0)
		if errno != syscall.EINTR {
			return
		}
	}
}
