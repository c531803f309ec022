// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster/child"
)

// Environment variables by which this program, run again, knows what it is.
const (
	stageVariable = "KUBERNETES_LAB_STAGE"
	dirVariable   = "KUBERNETES_LAB_DIR"
)

// What stageVariable says.
const (
	stageInit   = "init"   // process 1 of the namespaces, which prepares them and waits
	stageInside = "inside" // the program itself
	stagePlugin = "plugin" // a network plugin: see plugin.go
)

// folderPrefix begins the names of labs' folders and control groups.
const folderPrefix = "kubernetes-lab-"

func init() {
	switch os.Getenv(stageVariable) {
	case stageInit:
		if os.Getpid() != 1 {
			return
		}
		code, err := initProcess()
		if err != nil {
			fmt.Fprintln(os.Stderr, "kubernetes:", err)
		}
		os.Exit(code)
	case stagePlugin:
		os.Exit(plugin())
	}
}

// Outside is the folder for temporary files that outlive the lab.
func Outside() string { return filepath.Dir(os.Getenv(dirVariable)) }

// Inside says whether this process is in namespaces that Isolate has made.
func Inside() bool { return os.Getenv(stageVariable) == stageInside }

// Isolate runs this program again, with the same arguments and standard files, in namespaces of its own, and returns its exit code.
// Signals to end are passed on. Nothing that was started inside outlives it, nor do temporary files.
func Isolate() (code int, err error) {
	if err := CheckPackages(); err != nil {
		return 1, err
	}
	if err := sweep(); err != nil {
		return 1, fmt.Errorf("removing what an earlier lab has left: %w", err)
	}
	dir, err := os.MkdirTemp("", folderPrefix)
	if err != nil {
		return 1, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, removeCgroups(filepath.Base(dir)), os.RemoveAll(dir), lock.Close()) }()
	if err := makeCgroups(filepath.Base(dir)); err != nil {
		return 1, fmt.Errorf("control groups: %w", err)
	}
	// Temporary files are the lab's, too. Servers that run as other users must get there.
	temporary := filepath.Join(dir, "tmp")
	if err := errors.Join(os.Mkdir(temporary, 0o755), os.Chmod(temporary, 0o1777), os.Chmod(dir, 0o711)); err != nil {
		return 1, err
	}
	program, err := os.Executable()
	if err != nil {
		return 1, err
	}
	cmd := exec.Command(program, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), stageVariable+"="+stageInit, dirVariable+"="+dir, "TMPDIR="+temporary)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := child.Start(cmd); err != nil {
		return 1, fmt.Errorf("namespaces of its own: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				_ = cmd.Process.Signal(s)
			case <-ended:
				return
			}
		}
	}()
	_ = cmd.Wait() // ProcessState tells it too
	close(ended)
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code, nil
	}
	return 1, fmt.Errorf("the program inside ended: %s", cmd.ProcessState)
}

// initProcess is the life of process 1. When it ends, the kernel ends all the others.
func initProcess() (code int, err error) {
	dir := os.Getenv(dirVariable)
	if err := prepareMounts(dir); err != nil {
		return 1, fmt.Errorf("mounts: %w", err)
	}
	if err := syscall.Sethostname([]byte(NodeName)); err != nil {
		return 1, err
	}
	if err := prepareNetwork(); err != nil {
		return 1, fmt.Errorf("network: %w", err)
	}
	program, err := os.Executable()
	if err != nil {
		return 1, err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, stageVariable+"=") {
			env = append(env, v)
		}
	}
	process, err := os.StartProcess(program, os.Args, &os.ProcAttr{Env: append(env, stageVariable+"="+stageInside), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return 1, err
	}
	go func() {
		for s := range signals {
			_ = process.Signal(s)
		}
	}()
	for { // and for those that have lost their parents
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 1, fmt.Errorf("waiting for the program: %w", err)
		case pid == process.Pid && status.Signaled():
			return 128 + int(status.Signal()), nil
		case pid == process.Pid:
			return status.ExitStatus(), nil
		}
	}
}

// kernelSettings are what a kubelet wants of the whole machine. It is shown that they are so, and changes nothing.
var kernelSettings = map[string]string{
	"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
	"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
}

// prepareMounts gives this mount namespace folders of its own where programs have fixed ones.
func prepareMounts(dir string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	for name, value := range kernelSettings {
		target := filepath.Join("/proc/sys", name)
		if !fileExists(target) {
			continue
		}
		shown := filepath.Join(dir, "shown", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(shown), 0o755), os.WriteFile(shown, []byte(value+"\n"), 0o644)); err != nil {
			return err
		}
		if err := syscall.Mount(shown, target, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	if err := syscall.Mount("lab", "/run", "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("/run: %w", err)
	}
	// /var/lib/cni and /var/log/containers cannot be chosen.
	upper, work := filepath.Join(dir, "var"), filepath.Join(dir, "var-work")
	if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
		return err
	}
	if err := syscall.Mount("lab", "/var", "overlay", 0, "lowerdir=/var,upperdir="+upper+",workdir="+work); err != nil {
		return fmt.Errorf("/var: %w", err)
	}
	return nil
}

// lockFolder takes a folder for as long as this process lives.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(int(f.Fd()))
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// sweep removes what is left of labs whose outer process was killed.
func sweep() error {
	folders, err := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range folders {
		if info, err := os.Stat(filepath.Join(dir, "lock")); err != nil || time.Since(info.ModTime()) < time.Second {
			continue // it is just being made, or no lab's
		}
		lock, err := lockFolder(dir)
		if err != nil {
			continue // it runs
		}
		if err := errors.Join(removeCgroups(filepath.Base(dir)), os.RemoveAll(dir), lock.Close()); err != nil {
			return err
		}
	}
	return nil
}

// cgroupRoots are where control groups of a name are: one for each hierarchy.
func cgroupRoots() ([]string, error) {
	if fileExists("/sys/fs/cgroup/cgroup.controllers") {
		return []string{"/sys/fs/cgroup"}, nil // version 2
	}
	var roots []string
	entries, err := os.ReadDir("/sys/fs/cgroup")
	for _, e := range entries {
		if e.IsDir() && fileExists(filepath.Join("/sys/fs/cgroup", e.Name(), "cgroup.procs")) {
			roots = append(roots, filepath.Join("/sys/fs/cgroup", e.Name()))
		}
	}
	return roots, err
}

// makeCgroups makes the groups that everything of the lab's pods is in.
func makeCgroups(name string) error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	for _, root := range roots {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			return err
		}
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} { // empty ones take no process
			if text, err := os.ReadFile(filepath.Join(root, file)); err == nil && filepath.Base(root) == "cpuset" {
				if err := os.WriteFile(filepath.Join(root, name, file), text, 0o644); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// cgroupPatience is how long the kernel may take to be done with the last processes of a group.
const cgroupPatience = 10 * time.Second

// removeCgroups removes the groups of a lab, inner ones first. Their processes have been killed.
func removeCgroups(name string) error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), cgroupPatience)
	defer cancel()
	for _, root := range roots {
		var groups []string
		_ = filepath.WalkDir(filepath.Join(root, name), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				groups = append(groups, path)
			}
			return nil
		})
		for len(groups) > 0 {
			last := groups[len(groups)-1]
			err := os.Remove(last)
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				groups = groups[:len(groups)-1]
				continue
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				return err
			}
		}
	}
	return nil
}

// EnvironmentOf returns what commands need to find the lab that process pid, inside, runs.
func EnvironmentOf(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return nil, err
	}
	for v := range strings.SplitSeq(string(text), "\x00") {
		if dir, ok := strings.CutPrefix(v, dirVariable+"="); ok {
			return []string{"KUBECONFIG=" + filepath.Join(dir, "pki", "admin.kubeconfig")}, nil
		}
	}
	return nil, fmt.Errorf("process %d runs no lab", pid)
}
