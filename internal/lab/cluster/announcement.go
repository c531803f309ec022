// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrRunning means that a cluster runs already, started by another process.
var ErrRunning = errors.New("a cluster runs on this machine already; command pachcluster down ends one that was started with up")

// announcementAddress is a socket that has no file: it is gone with its process, however that ends, and each network
// namespace has one of the name, as it has ports of its own.
const announcementAddress = "@terraform-provider-pachyderm/cluster"

// answerTimeout is how long the process that runs a cluster may take to tell of it; it may be stopped.
const answerTimeout = 10 * time.Second

// announcement is held by whoever runs a cluster. Other processes that connect to it are told of the cluster.
type announcement struct {
	listener net.Listener
	info     []byte
	trusts   func(uid uint32) bool
}

// announce keeps others from running a cluster until the announcement is withdrawn, or this process has ended. While
// another's stands, it calls busy once and waits; if busy is nil it doesn't wait, and returns ErrRunning.
func announce(ctx context.Context, address string, info Info, busy func()) (*announcement, error) {
	text, err := json.Marshal(info)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for waited := false; ; waited = true {
		listener, err := net.Listen("unix", address)
		if err == nil {
			a := &announcement{listener: listener, info: text, trusts: trusted}
			go a.serve()
			return a, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("announce the cluster: %w", err)
		}
		if busy == nil {
			return nil, ErrRunning
		}
		if !waited {
			busy()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("announce the cluster: %w", context.Cause(ctx))
		}
	}
}

func (a *announcement) serve() {
	for {
		conn, err := a.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return // withdrawn
		}
		if err != nil {
			time.Sleep(lockPoll) // as when there are too many open files; the announcement stands
			continue
		}
		if who, err := peer(conn); err == nil && a.trusts(who.Uid) {
			_, _ = conn.Write(a.info) // the other side may be gone
		}
		_ = conn.Close()
	}
}

func (a *announcement) withdraw() error { return a.listener.Close() }

// trusted says whether a user may know of a cluster of this process, and tell it of one: any user of the machine may
// take the announcement's address.
func trusted(uid uint32) bool { return uid == 0 || uint64(uid) == uint64(os.Geteuid()) }

// peer returns whose process is at the other side of a connection.
func peer(conn net.Conn) (*unix.Ucred, error) {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	var who *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { who, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return nil, err
	}
	return who, failed
}

// announced returns what stands, or nil. What another user's process announces is an error, and so is another process
// than the one that announces: it would be ended as the one that runs the cluster.
func announced(ctx context.Context, address string, trusts func(uid uint32) bool) (*Info, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", address)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask for a cluster: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, fmt.Errorf("ask for a cluster: %w", err)
	}
	who, err := peer(conn)
	if err != nil {
		return nil, fmt.Errorf("ask for a cluster: %w", err)
	}
	if !trusts(who.Uid) {
		return nil, fmt.Errorf("ask for a cluster: process %d of user %d has announced one at %s, which is not believed: it is neither yours nor root's", who.Pid, who.Uid, address)
	}
	var info Info
	switch err := json.NewDecoder(conn).Decode(&info); {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF):
		return nil, nil // withdrawn before it has answered
	case err != nil:
		return nil, fmt.Errorf("ask for a cluster: %w", err)
	}
	if info.PID != int(who.Pid) {
		return nil, fmt.Errorf("ask for a cluster: process %d says that process %d runs one, which is not believed", who.Pid, info.PID)
	}
	return &info, nil
}

// awaitWithdrawal returns once no announcement stands.
func awaitWithdrawal(ctx context.Context, address string) error {
	a, err := announce(ctx, address, Info{PID: os.Getpid()}, func() {})
	if err != nil {
		return err
	}
	return a.withdraw()
}
