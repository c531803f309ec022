// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lockPoll is how often a lock that another process holds is tried again.
const lockPoll = 100 * time.Millisecond

// lockFile takes a lock that ends with this process at the latest. It calls busy once if it has to wait.
func lockFile(ctx context.Context, path string, busy func()) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for waited := false; ; waited = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		if !waited {
			busy()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, context.Cause(ctx)), f.Close())
		}
	}
}

// checkPorts returns an error if a port that the cluster needs is taken, and names by whom if that can be seen.
func checkPorts() error {
	for _, socket := range listeningSockets() {
		if user := portUser(socket.port); user != "" {
			return fmt.Errorf("port %d, which %s needs, is in use%s", socket.port, user, socketOwner(socket.inode))
		}
	}
	return nil
}

// portUser says which part of the cluster has a port, "" if none does.
func portUser(port int) string {
	for user, ports := range fixedPorts {
		if slices.Contains(ports, port) {
			return user
		}
	}
	return ""
}

// socket is a TCP socket that listens.
type socket struct {
	port     int
	inode    string
	loopback bool // it can be reached from this machine only
}

// listeningSockets returns the sockets of this network namespace that listen.
func listeningSockets() []socket {
	var out []socket
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue // no such protocol here
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			const localAddress, state, inode, listen = 1, 3, 9, "0A"
			fields := strings.Fields(lines.Text())
			if len(fields) <= inode || fields[state] != listen {
				continue
			}
			address, port, _ := strings.Cut(fields[localAddress], ":")
			if number, err := strconv.ParseUint(port, 16, 16); err == nil {
				out = append(out, socket{port: int(number), inode: fields[inode], loopback: isLoopback(address)})
			}
		}
		_ = f.Close()
	}
	return out
}

// isLoopback reads an address of these tables: words of four bytes each, written as numbers of a little-endian machine.
func isLoopback(address string) bool {
	const v6, mapped = "00000000000000000000000001000000", "0000000000000000FFFF0000"
	v4 := strings.TrimPrefix(address, mapped)
	return address == v6 || len(v4) == 8 && strings.HasSuffix(v4, "7F")
}

// socketOwner says which process has a socket, or nothing if that isn't ours to see.
func socketOwner(inode string) string {
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err != nil || target != "socket:["+inode+"]" {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		name, err := os.ReadFile("/proc/" + pid + "/comm")
		if _, numErr := strconv.Atoi(pid); err == nil && numErr == nil {
			return fmt.Sprintf(" by %s (pid %s)", strings.TrimSpace(string(name)), pid)
		}
	}
	return ""
}
