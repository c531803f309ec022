// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestPortOwner: whoever has a port that the cluster needs is named.
func TestPortOwner(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	port := ln.Addr().(*net.TCPAddr).Port
	sockets := listeningSockets()
	at := slices.IndexFunc(sockets, func(s socket) bool { return s.port == port })
	if at < 0 {
		t.Fatal("the port is not seen")
	}
	if owner := socketOwner(sockets[at].inode); !strings.Contains(owner, fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Errorf("owner: %q", owner)
	}
}

// TestWhoCanReachASocket: a socket on all interfaces is told from one of the loopback address, in both protocols.
func TestWhoCanReachASocket(t *testing.T) {
	t.Parallel()
	for address, loopback := range map[string]bool{"127.0.0.1:0": true, "127.1.2.3:0": true, "[::1]:0": true, "0.0.0.0:0": false, "[::]:0": false} {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Log(address, err) // no such protocol here
			continue
		}
		defer func() { _ = ln.Close() }()
		port, sockets := ln.Addr().(*net.TCPAddr).Port, listeningSockets()
		at := slices.IndexFunc(sockets, func(s socket) bool { return s.port == port })
		if at < 0 || sockets[at].loopback != loopback {
			t.Errorf("%s: socket %d of %v; want loopback: %v", address, at, sockets, loopback)
		}
	}
}

// TestLoopback: every line by which Pachyderm's programs listen is found, and changed.
func TestLoopback(t *testing.T) {
	t.Parallel()
	wantLoopback(t, localSet, sourceOf(t, localSet))
}

func wantLoopback(t *testing.T, set programSet, source string) {
	t.Helper()
	for _, change := range onLoopback {
		text, err := os.ReadFile(filepath.Join(source, "pachyderm", change.file))
		if errors.Is(err, os.ErrNotExist) && len(set.omissions) > 0 {
			continue // omitted, so it does not listen at all
		}
		if err != nil || strings.Contains(string(text), change.original) || !strings.Contains(string(text), change.instead) {
			t.Errorf("%s: %s listens elsewhere, %v", set.name, change.file, err)
		}
	}
}

// TestOmitted: what the quick build lacks is gone, and every file that stands for it is in its place.
func TestOmitted(t *testing.T) {
	t.Parallel()
	source := sourceOf(t, quickSet)
	wantLoopback(t, quickSet, source)
	want := 0
	err := fs.WalkDir(omittedFiles, "omitted", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		want++
		text, err := omittedFiles.ReadFile(name)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(source, strings.TrimPrefix(strings.TrimSuffix(name, ".txt"), "omitted/")))
		if err != nil || string(got) != string(text) {
			t.Errorf("%s is not compiled: no omission names its folder, %v", name, err)
		}
		return nil
	})
	if err != nil || want == 0 {
		t.Fatal(want, err)
	}
	for _, name := range []string{"pachyderm/src/internal/obj/amazon_client.go", "client-go/applyconfigurations/core/v1/pod.go"} {
		if _, err := os.Stat(filepath.Join(source, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still compiled: %v", name, err)
		}
	}
	whole, quick := dirOf(t, localSet), dirOf(t, quickSet)
	if whole == quick {
		t.Errorf("both builds are in %s", quick)
	}
}

// sourceOf makes the source that a set is built of.
func sourceOf(t *testing.T, set programSet) string {
	t.Helper()
	source, err := moduleDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := set.changedSource(t.Context(), dir, source); err != nil {
		t.Fatal(err)
	}
	return dir
}

func dirOf(t *testing.T, set programSet) string {
	t.Helper()
	dir, _, err := set.dir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return dir
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
	if info, err := announced(t.Context(), address, trusted); err != nil || info != nil {
		t.Errorf("before: %+v, %v", info, err)
	}
	first, err := announce(t.Context(), address, Info{PID: os.Getpid(), Dir: "/d"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := announced(t.Context(), address, trusted); err != nil || info == nil || *info != (Info{PID: os.Getpid(), Dir: "/d"}) {
		t.Errorf("while it stands: %+v, %v", info, err)
	}
	if _, err := announce(t.Context(), address, Info{}, nil); !errors.Is(err, ErrRunning) {
		t.Errorf("announced twice: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := announce(ctx, address, Info{}, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting was not cancelled: %v", err)
	}
	second, err := announce(t.Context(), address, Info{PID: os.Getpid()}, func() { // the other ends while this one waits
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
	if info, err := announced(t.Context(), address, trusted); err != nil || info != nil {
		t.Errorf("after: %+v, %v", info, err)
	}
}

// TestAnnouncementsOfOthers: what another user announces is not believed, nor is
// one who names another process, and others are told nothing.
func TestAnnouncementsOfOthers(t *testing.T) {
	t.Parallel()
	stranger := func(uint32) bool { return false }
	address := fmt.Sprintf("@terraform-provider-pachyderm/others-%d", os.Getpid())
	a, err := announce(t.Context(), address, Info{PID: os.Getppid(), Detached: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := announced(t.Context(), address, stranger); info != nil || err == nil || !strings.Contains(err.Error(), "neither yours nor root's") {
		t.Errorf("of another user: %+v, %v", info, err)
	}
	if info, err := announced(t.Context(), address, trusted); info != nil || err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d says that process %d", os.Getpid(), os.Getppid())) {
		t.Errorf("of another process: %+v, %v", info, err)
	}
	if err := a.withdraw(); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	quiet := &announcement{listener: listener, info: []byte("{}"), trusts: stranger}
	go quiet.serve()
	if info, err := announced(t.Context(), address, trusted); info != nil || err != nil {
		t.Errorf("another user is told %+v, %v", info, err)
	}
	if err := quiet.withdraw(); err != nil {
		t.Fatal(err)
	}
}

// TestOnlyAClustersFolderIsDeleted: a folder with files of others is neither taken for a cluster nor emptied.
func TestOnlyAClustersFolderIsDeleted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	theirs := filepath.Join(dir, "data", "thesis")
	if err := errors.Join(os.Mkdir(filepath.Dir(theirs), 0o755), os.WriteFile(theirs, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := layout(dir).make(); err == nil {
		t.Error("it was taken for a cluster's")
	}
	if err := Reset(dir); err == nil {
		t.Error("it was reset")
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Error(err)
	}

	ours := filepath.Join(dir, "ours")
	if err := Reset(ours); err != nil {
		t.Errorf("one that is not there: %v", err)
	}
	images := map[string]string{"runner": "/build"}
	if err := errors.Join(layout(ours).make(), layout(ours).make(), RememberImages(ours, images), os.WriteFile(layout(ours).data("x"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if got, err := RememberedImages(ours); err != nil || got["runner"] != "/build" {
		t.Errorf("remembered %v, %v", got, err)
	}
	if info, err := os.Stat(ours); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others can enter: %v, %v", info.Mode(), err)
	}
	if err := Reset(ours); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(layout(ours).data("x")); err == nil {
		t.Error("the data is left")
	}
	if got, err := RememberedImages(ours); err != nil || got != nil {
		t.Errorf("remembered after a reset: %v, %v", got, err)
	}
}

// TestFoldersOfOthers: a folder of another user, who could put other files into it or another folder in its place, is no
// cluster's, whatever is in it and whatever leads there.
func TestFoldersOfOthers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can make a folder another's")
	}
	theirs, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	data := filepath.Join(theirs, "data", "x")
	if err := errors.Join(os.WriteFile(filepath.Join(theirs, marker), nil, 0o600), os.Mkdir(filepath.Dir(data), 0o755), os.WriteFile(data, nil, 0o600),
		os.Symlink(theirs, link), os.Chown(theirs, 1, 1)); err != nil {
		t.Skip(err) // as where there are no other users
	}
	for _, dir := range []string{theirs, link} {
		for what, err := range map[string]error{"claim": Claim(dir), "reset": Reset(dir)} {
			if err == nil || !strings.Contains(err.Error(), "belongs to user 1") {
				t.Errorf("%s of %s: %v", what, dir, err)
			}
		}
	}
	if _, err := os.Stat(data); err != nil {
		t.Error(err)
	}
	// A link of another's can lead elsewhere at any moment.
	if err := errors.Join(os.Chown(theirs, 0, 0), os.Lchown(link, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if err := Reset(link); err == nil {
		t.Error("a link of another user's was followed")
	}
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

// TestPrograms: a folder with programs of another version is taken if it is complete and says its version.
func TestPrograms(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name, output string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho '"+output+"'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fails := func(want string) {
		t.Helper()
		if got, err := programsIn(t.Context(), dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v, %v; want %s", got, err, want)
		}
	}
	put("pachd", "")
	put("worker", "")
	put("pachctl", "0.0.0")
	fails("no program etcd")
	put("etcd", "")
	fails(`"0.0.0" in place of its version`)
	put("pachctl", "2.11.6")
	if got, err := programsIn(t.Context(), dir); err != nil || got != (Programs{dir, "2.11.6"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestPersist: a server that ends while it starts is started again, but not for ever.
func TestPersist(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]bool{0: true, 2: true, startAttempts: false} {
		starts, c := 0, &Cluster{opts: Options{Log: io.Discard}}
		var last *process
		err := c.persist(t.Context(), func() (*process, error) {
			command := "sleep 60"
			if starts++; starts <= failures {
				command = "echo deadlock detected; exit 1"
			}
			var err error
			last, err = startProcess("server", filepath.Join(t.TempDir(), "log"), exec.Command("sh", "-c", command), nil)
			return last, err
		}, func(context.Context) error {
			if starts <= failures {
				return errors.New("not ready")
			}
			return nil
		})
		if (err == nil) != want || starts != min(failures+1, startAttempts) {
			t.Errorf("%d failures: %d starts, %v", failures, starts, err)
		}
		if err != nil && !strings.Contains(err.Error(), "deadlock detected") {
			t.Errorf("the reason is not told: %v", err)
		}
		last.stop(syscall.SIGKILL)
	}
}

// TestModule: the nested module is where it is looked for, and has a key.
func TestModule(t *testing.T) {
	t.Parallel()
	dir, err := moduleDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if key, err := localSet.key(dir); err != nil || !strings.HasPrefix(key, "pachyderm-"+Version+"-") {
		t.Errorf("key %q, %v", key, err)
	}
}
