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
	"syscall"
	"time"
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
			a := &announcement{listener: listener, info: text}
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
		_, _ = conn.Write(a.info) // the other side may be gone
		_ = conn.Close()
	}
}

func (a *announcement) withdraw() error { return a.listener.Close() }

// announced returns what stands, or nil.
func announced(ctx context.Context, address string) (*Info, error) {
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
	var info Info
	switch err := json.NewDecoder(conn).Decode(&info); {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF):
		return nil, nil // withdrawn before it has answered
	case err != nil:
		return nil, fmt.Errorf("ask for a cluster: %w", err)
	}
	return &info, nil
}

// awaitWithdrawal returns once no announcement stands.
func awaitWithdrawal(ctx context.Context, address string) error {
	a, err := announce(ctx, address, Info{}, func() {})
	if err != nil {
		return err
	}
	return a.withdraw()
}
