// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/artifacts"
)

const pachyderm = "github.com/pachyderm/pachyderm/v2"

// program is a package that is built, with the name of the program.
type program struct{ name, pkg string }

// programs are those of a cluster on this machine, and pachctl.
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

// programSet are programs that belong together, and what is changed for them in Pachyderm's source.
type programSet struct {
	name      string
	programs  []program
	changes   []change
	omissions []omission
	flags     []string // of the build, besides buildFlags
}

// without leaves a program out.
func without(name string, programs []program) []program {
	return slices.DeleteFunc(slices.Clone(programs), func(p program) bool { return p.name == name })
}

var (
	localSet = programSet{"pachyderm", programs, onLoopback, nil, nil}
	quickSet = programSet{"pachyderm-quick", programs, quickChanges, omitted, quickFlags}
	imageSet = programSet{"pachyderm-images", imagePrograms, nil, nil, nil}
)

// buildFlags make the same programs on every machine. Without the version pachd calls itself 0.0.0.
var buildFlags = []string{"-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags=-s -w -X " + pachyderm + "/src/version.AppVersion=" + Version}

// quickFlags have the compiler leave out inlining, and what debuggers read, which take it a third of its time. GNUmakefile has
// the same for the demo, so that the standard library is compiled once.
var quickFlags = []string{"-gcflags=all=-l -dwarf=false"}

// build builds those programs of a set that are wanted, unless that was done before, and returns the folder they are in.
func build(ctx context.Context, set programSet, wanted []program, progress io.Writer) (string, error) {
	dir, source, err := set.dir(ctx)
	if err != nil {
		return "", err
	}
	if len(missing(dir, wanted)) == 0 {
		return dir, nil
	}
	unlock, err := lockFile(ctx, dir+".lock", func() { say(progress, "another process builds Pachyderm's programs; waiting for it") })
	if err != nil {
		return "", err
	}
	defer unlock()
	wanted = missing(dir, wanted)
	if len(wanted) == 0 {
		return dir, nil // by the other process
	}
	return dir, set.buildInto(ctx, dir, source, wanted, progress)
}

// dir is the folder of what is built of the module at source.
func (set programSet) dir(ctx context.Context) (dir, source string, err error) {
	if source, err = moduleDir(ctx); err != nil {
		return "", "", err
	}
	version, err := set.key(source)
	if err != nil {
		return "", "", err
	}
	cache, err := cacheDir()
	return filepath.Join(cache, version), source, err
}

// missing are the programs that a folder does not have.
func missing(dir string, programs []program) []program {
	return slices.DeleteFunc(slices.Clone(programs), func(p program) bool {
		_, err := os.Stat(filepath.Join(dir, p.name))
		return err == nil
	})
}

// buildInto builds in a folder beside dir, so that each program in dir is complete.
func (set programSet) buildInto(ctx context.Context, dir, source string, wanted []program, progress io.Writer) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("building Pachyderm's programs takes the Go toolchain: %w", err)
	}
	unfinished, err := os.MkdirTemp(filepath.Dir(dir), "building-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(unfinished) }() // nothing is left of it once renamed
	began := time.Now()
	names := make([]string, len(wanted))
	for i, p := range wanted {
		names[i] = p.name
	}
	say(progress, "building %s of Pachyderm %s in %s (once; without Go's caches some minutes, and about 2 GB of modules)", strings.Join(names, ", "), Version, dir)
	sources, err := os.MkdirTemp("", "pachyderm-source-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(sources) }()
	modFile, err := set.changedSource(ctx, sources, source)
	if err != nil {
		return err
	}
	if err := set.buildAll(ctx, unfinished, wanted, source, modFile, progress); err != nil {
		return fmt.Errorf("building %s: %w", strings.Join(names, ", "), err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range wanted {
		if err := os.Rename(filepath.Join(unfinished, p.name), filepath.Join(dir, p.name)); err != nil {
			return err
		}
	}
	say(progress, "built Pachyderm in %s", time.Since(began).Round(time.Second))
	return nil
}

// buildAll builds programs into a folder. One after the other, so that what they share is compiled once.
func (set programSet) buildAll(ctx context.Context, dir string, programs []program, source, modFile string, progress io.Writer) error {
	run := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "go", slices.Concat(args[:1], buildFlags, set.flags, []string{"-modfile=" + modFile}, args[1:])...)
		cmd.Dir, cmd.Env = source, buildEnv()
		return cmd
	}
	packages := make([]string, len(programs))
	for i, p := range programs {
		packages[i] = p.pkg
	}
	count := artifacts.Count(run(slices.Concat([]string{"list", "-deps", "-f", artifacts.CountFormat}, packages)...))
	for _, p := range programs {
		err := count.Watch(run("build", "-v", "-o", filepath.Join(dir, p.name), p.pkg), func(state string) {
			say(progress, "  %s: %s", p.name, state)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// buildEnv is the environment of a build. With cgo, pachd refuses to run its identity server.
func buildEnv() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
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
	for _, flag := range set.flags {
		_, _ = fmt.Fprint(sum, flag)
	}
	for _, o := range set.omissions {
		_, _ = fmt.Fprint(sum, o)
		if err := o.each(func(name string, text []byte) error { _, err := fmt.Fprint(sum, name, string(text)); return err }); err != nil {
			return "", err
		}
	}
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
