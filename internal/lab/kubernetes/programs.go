// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubernetes

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
)

// Version is the version of Kubernetes. 1.35 and newer refuse control groups of version 1 unless told otherwise.
const Version = "1.34.2"

// built are the programs of Kubernetes.
var built = []string{"kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"}

// containedPackage is the program of this repository that containers have; see its own words.
const containedPackage = module + "/internal/lab/kubernetes/contained"

const module = "github.com/spoutworks/terraform-provider-pachyderm"

const versionPackage = "k8s.io/component-base/version"

// -v names each package that is compiled.
var buildFlags = []string{"-v", "-mod=readonly", "-buildvcs=false", "-trimpath",
	"-ldflags=-s -w -X " + versionPackage + ".gitVersion=v" + Version + " -X " + versionPackage + ".gitMajor=1 -X " + versionPackage + ".gitMinor=34"}

// Programs builds the programs of Kubernetes unless that was done before, and returns the folder they are in.
func Programs(ctx context.Context, progress io.Writer) (string, error) {
	source, err := sourceDir(ctx)
	if err != nil {
		return "", err
	}
	key := sha256.New()
	for _, name := range []string{"binaries/go.mod", "binaries/go.sum", "contained/main.go"} {
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", fmt.Errorf("what to build: %w", err)
		}
		key.Write(text)
	}
	_, _ = fmt.Fprint(key, built, buildFlags, runtime.GOOS, runtime.GOARCH)
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder for the programs of Kubernetes: %w", err)
	}
	dir := filepath.Join(cache, "terraform-provider-pachyderm", fmt.Sprintf("kubernetes-%s-%x", Version, key.Sum(nil)[:6]))
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }() // and with it the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		say(progress, "another process builds the programs of Kubernetes; waiting for it")
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
			return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	return dir, buildInto(ctx, dir, source, progress)
}

// buildInto builds in a folder beside dir, so that dir is there only once it is complete.
func buildInto(ctx context.Context, dir, source string, progress io.Writer) error {
	unfinished, err := os.MkdirTemp(filepath.Dir(dir), "building-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(unfinished) }() // nothing is left of it once renamed
	began := time.Now()
	say(progress, "building Kubernetes %s in %s (once; about five minutes on two processors)", Version, dir)
	var packages []string
	for _, name := range built {
		packages = append(packages, "k8s.io/kubernetes/cmd/"+name)
	}
	if err := goBuild(ctx, filepath.Join(source, "binaries"), unfinished, packages, progress); err != nil {
		return fmt.Errorf("building Kubernetes: %w", err)
	}
	if err := goBuild(ctx, source, unfinished, []string{containedPackage}, io.Discard); err != nil {
		return fmt.Errorf("building what containers have: %w", err)
	}
	if err := os.Chmod(unfinished, 0o755); err != nil {
		return err
	}
	say(progress, "built Kubernetes in %s", time.Since(began).Round(time.Second))
	return os.Rename(unfinished, dir)
}

func goBuild(ctx context.Context, source, target string, packages []string, progress io.Writer) error {
	run := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "go", slices.Concat(args[:1], buildFlags, args[1:], packages)...)
		cmd.Dir = source
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
		return cmd
	}
	count := artifacts.Count(run("list", "-deps", "-f", artifacts.CountFormat))
	return count.Watch(run("build", "-o", target+"/"), func(state string) { say(progress, "  %s", state) })
}

// sourceDir is the folder of this package: beside this file or, if paths were trimmed from this program, in the module
// that the working directory belongs to.
func sourceDir(ctx context.Context) (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		if dir := filepath.Dir(file); fileExists(filepath.Join(dir, "binaries", "go.mod")) {
			return dir, nil
		}
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", module+"/internal/lab/kubernetes").Output()
	if err != nil {
		return "", fmt.Errorf("finding the source of package kubernetes (is this run in its repository, with Go installed?): %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// say writes a line about progress, which is worth no error.
func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, "kubernetes: "+format+"\n", args...)
}

// pluginDir is where Debian has the network plugins.
const pluginDir = "/usr/lib/cni"

// needed are files of programs that are not built here, with Debian's packages that bring them.
var needed = []struct{ program, pkg string }{
	{"containerd", "containerd"},
	{"containerd-shim-runc-v2", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{"iptables", "iptables"},
	{"ip", "iproute2"},
	{"nsenter", "util-linux"},
	{pluginDir + "/bridge", "containernetworking-plugins"},
	{pluginDir + "/host-local", "containernetworking-plugins"},
	{pluginDir + "/loopback", "containernetworking-plugins"},
	{pluginDir + "/portmap", "containernetworking-plugins"},
}

// CheckPackages returns an error that names what this machine lacks for a lab, and how to get it.
func CheckPackages() error {
	if os.Geteuid() != 0 {
		return errors.New("a real Kubernetes takes root: for control groups, mounts and network devices of its own")
	}
	var programs, packages []string
	for _, n := range needed {
		if _, err := exec.LookPath(n.program); err == nil {
			continue
		}
		programs = append(programs, n.program)
		if len(packages) == 0 || packages[len(packages)-1] != n.pkg {
			packages = append(packages, n.pkg)
		}
	}
	if len(programs) == 0 {
		return nil
	}
	return fmt.Errorf("a real Kubernetes takes %s, which this machine lacks (Debian: apt-get install --no-install-recommends %s)",
		strings.Join(programs, ", "), strings.Join(packages, " "))
}
