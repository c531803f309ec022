// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/cluster/child"
)

// TestPortOwner: whoever has a port that the cluster needs is named.
func TestPortOwner(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	inode, listening := listeningSockets()[ln.Addr().(*net.TCPAddr).Port]
	if !listening {
		t.Fatal("the port is not seen")
	}
	if owner := socketOwner(inode); !strings.Contains(owner, fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Errorf("owner: %q", owner)
	}
}

func TestLockFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lockFile(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := lockFile(ctx, path, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting was not cancelled: %v", err)
	}
	again, err := lockFile(t.Context(), path, unlock) // the other ends while this one waits
	if err != nil {
		t.Fatal(err)
	}
	again()
}

// TestAnnouncement: there is one cluster at a time, others are told of it, and nothing is left of it.
func TestAnnouncement(t *testing.T) {
	t.Parallel()
	address := fmt.Sprintf("@terraform-provider-pachyderm/test-%d", os.Getpid())
	if info, err := announced(t.Context(), address); err != nil || info != nil {
		t.Errorf("before: %+v, %v", info, err)
	}
	first, err := announce(t.Context(), address, Info{PID: 1, Dir: "/d"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := announced(t.Context(), address); err != nil || info == nil || *info != (Info{PID: 1, Dir: "/d"}) {
		t.Errorf("while it stands: %+v, %v", info, err)
	}
	if _, err := announce(t.Context(), address, Info{}, nil); !errors.Is(err, ErrRunning) {
		t.Errorf("announced twice: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := announce(ctx, address, Info{}, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting was not cancelled: %v", err)
	}
	second, err := announce(t.Context(), address, Info{PID: 2}, func() { // the other ends while this one waits
		if err := first.withdraw(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.withdraw(); err != nil {
		t.Fatal(err)
	}
	if err := awaitWithdrawal(t.Context(), address); err != nil {
		t.Error(err)
	}
	if info, err := announced(t.Context(), address); err != nil || info != nil {
		t.Errorf("after: %+v, %v", info, err)
	}
}

// TestChildren: children are found, and dead ones that nobody has waited for are not.
func TestChildren(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sleep", "60")
	if err := child.Start(cmd); err != nil {
		t.Fatal(err)
	}
	children, err := childrenOf(os.Getpid())
	if err != nil || !slices.Contains(children, cmd.Process.Pid) {
		t.Errorf("children %v, %v; want %d", children, err, cmd.Process.Pid)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.AwaitExit(cmd.Process.Pid)
	children, err = childrenOf(os.Getpid())
	if err != nil || slices.Contains(children, cmd.Process.Pid) {
		t.Errorf("children %v, %v; %d is dead", children, err, cmd.Process.Pid)
	}
	_ = cmd.Wait()
}

func TestPachdLocks(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"pachyderm/1.7.0/pachyderm_pps/_master_lock/7d7b":                         true,
		"pachyderm/1.7.0/pachyderm_pfs/pfs-master-lock/ring/nodes/5b59":           true,
		"pachyderm/1.7.0/pachyderm_pfs/pachw-controller-lock/7d7b":                true,
		"pachyderm/1.7.0/pachyderm_pps/_master_worker_lock/demo/ticks/6b5b/7d7ba": false,
		"pachyderm/1.7.0/pachyderm_pps/workers/demo-ticks-v1/127.1.82.18":         false,
	} {
		if got := isPachdLock(etcdKey{Name: name}); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestModule: the nested module is where it is looked for, and has a key.
func TestModule(t *testing.T) {
	t.Parallel()
	dir, err := moduleDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if key, err := buildKey(dir); err != nil || !strings.HasPrefix(key, "pachyderm-"+Version+"-") {
		t.Errorf("key %q, %v", key, err)
	}
}
