// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
)

const pachyderm = "github.com/pachyderm/pachyderm/v2"

// program is a package that is built, with the name of the program.
type program struct{ name, pkg string }

// programs are those of a cluster on this machine.
var programs = []program{
	{"etcd", "go.etcd.io/etcd/server/v3"},
	{"pachctl", pachyderm + "/src/server/cmd/pachctl"},
	{"worker", pachyderm + "/src/server/cmd/worker"},
	{"pachd", pachyderm + "/src/server/cmd/pachd"},
}

// imagePrograms are those that are in Pachyderm's images, built as they are released: they listen on all interfaces of
// their pod.
var imagePrograms = []program{
	{"init", pachyderm + "/etc/worker"},
	{"pachctl", pachyderm + "/src/server/cmd/pachctl"},
	{"worker", pachyderm + "/src/server/cmd/worker"},
	{"pachd", pachyderm + "/src/server/cmd/pachd"},
}

// programSet are programs that are built together, and what is changed for them in Pachyderm's source.
type programSet struct {
	name     string
	programs []program
	changes  []change
}

var (
	localSet = programSet{"pachyderm", programs, onLoopback}
	imageSet = programSet{"pachyderm-images", imagePrograms, nil}
)

// buildFlags make the same programs on every machine. Without the version pachd calls itself 0.0.0.
var buildFlags = []string{"-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags=-s -w -X " + pachyderm + "/src/version.AppVersion=" + Version}

// build builds programs of Pachyderm unless that was done before, and returns the folder they are in.
func build(ctx context.Context, set programSet, progress io.Writer) (string, error) {
	source, err := moduleDir(ctx)
	if err != nil {
		return "", err
	}
	version, err := set.key(source)
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, version)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	unlock, err := lockFile(ctx, dir+".lock", func() { say(progress, "another process builds Pachyderm's programs; waiting for it") })
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil // by the other process
	}
	return dir, set.buildInto(ctx, dir, source, progress)
}

// buildInto builds in a folder beside dir, so that dir is there only once it is complete.
func (set programSet) buildInto(ctx context.Context, dir, source string, progress io.Writer) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("building Pachyderm's programs takes the Go toolchain: %w", err)
	}
	unfinished, err := os.MkdirTemp(filepath.Dir(dir), "building-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(unfinished) }() // nothing is left of it once renamed
	began := time.Now()
	say(progress, "building Pachyderm %s in %s (once; without Go's caches some minutes, and about 2 GB of modules)", Version, dir)
	sources, err := os.MkdirTemp("", "pachyderm-source-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(sources) }()
	modFile, err := changedModule(ctx, sources, source, set.changes)
	if err != nil {
		return err
	}
	for _, p := range set.programs {
		if err := buildOne(ctx, filepath.Join(unfinished, p.name), p.pkg, source, modFile, progress); err != nil {
			return fmt.Errorf("building %s: %w", p.name, err)
		}
	}
	if err := os.Chmod(unfinished, 0o755); err != nil {
		return err
	}
	say(progress, "built Pachyderm in %s", time.Since(began).Round(time.Second))
	return os.Rename(unfinished, dir)
}

func buildOne(ctx context.Context, target, pkg, source, modFile string, progress io.Writer) error {
	args := append(append([]string{"build", "-v"}, buildFlags...), "-modfile="+modFile, "-o", target, pkg)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = source
	cmd.Env = buildEnv()
	return artifacts.Watch(cmd, func(downloaded, compiled int) {
		say(progress, "  %s: %d modules downloaded, %d packages compiled", filepath.Base(target), downloaded, compiled)
	})
}

// buildEnv is the environment of a build. With cgo, pachd refuses to run its identity server.
func buildEnv() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
}

// download fetches Pachyderm's source, unless it is there, and returns its folder.
func download(ctx context.Context, source string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", pachyderm)
	cmd.Dir, cmd.Env = source, buildEnv()
	out, err := cmd.Output()
	var module struct{ Dir, Error string }
	if decodeErr := json.Unmarshal(out, &module); err != nil || decodeErr != nil || module.Dir == "" {
		return "", fmt.Errorf("downloading Pachyderm's source: %w: %s", errors.Join(err, decodeErr), module.Error)
	}
	return module.Dir, nil
}

// key names what is built from the module at source.
func (set programSet) key(source string) (string, error) {
	sum := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", fmt.Errorf("what to build: %w", err)
		}
		sum.Write(b)
	}
	_, _ = fmt.Fprint(sum, set.programs, buildFlags, set.changes, runtime.GOOS, runtime.GOARCH)
	return fmt.Sprintf("%s-%s-%x", set.name, Version, sum.Sum(nil)[:6]), nil
}

// moduleDir finds the nested module, which cannot be embedded as Go leaves nested modules out of packages. It is beside
// this file or, if paths were trimmed from this program, in the module that the working directory belongs to.
func moduleDir(ctx context.Context) (string, error) {
	const name = "binaries"
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		dir := filepath.Join(filepath.Dir(file), name)
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster").Output()
	if err != nil {
		return "", fmt.Errorf("finding the source of package cluster (is this run in its repository, with Go installed?): %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), name), nil
}

// say writes a line about progress, which is worth no error.
func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, "cluster: "+format+"\n", args...)
}
