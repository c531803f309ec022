// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command contained is what the images of package kubernetes need and Debian has only for its own C library. It is, by its
// name: pause, which holds a pod's namespaces; and dumb-init -- COMMAND, which runs a command in a session of its own,
// passes signals on to it, and waits for the processes that it leaves behind.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 32)
	signal.Notify(signals)
	if filepath.Base(os.Args[0]) == "pause" {
		for s := range signals {
			switch s {
			case syscall.SIGTERM, syscall.SIGINT:
				os.Exit(0)
			case syscall.SIGCHLD:
				reap(0)
			}
		}
	}
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "dumb-init: no command")
		os.Exit(2)
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		fmt.Fprintf(os.Stderr, "dumb-init: %v\n", err)
		os.Exit(2)
	}
	process, err := os.StartProcess(path, args, &os.ProcAttr{Env: os.Environ(), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{Setsid: true}})
	if err != nil {
		fmt.Fprintf(os.Stderr, "dumb-init: %v\n", err)
		os.Exit(2)
	}
	for s := range signals {
		switch s {
		case syscall.SIGCHLD:
			if status, ended := reap(process.Pid); ended {
				if status.Signaled() {
					os.Exit(128 + int(status.Signal()))
				}
				os.Exit(status.ExitStatus())
			}
		case syscall.SIGURG: // Go's own
		default:
			_ = syscall.Kill(-process.Pid, s.(syscall.Signal))
		}
	}
}

// reap waits for all children that have ended, and says whether the wanted one was among them.
func reap(wanted int) (status syscall.WaitStatus, ended bool) {
	for {
		var s syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &s, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return status, ended
		}
		if pid == wanted {
			status, ended = s, true
		}
	}
}
