// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubesim

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// setUpFailed is the exit code of a sandbox that could not be built, as with other container runtimes.
const setUpFailed = 125

// init turns the process into a container if it was started as one: see sandbox.command.
func init() {
	if os.Args[0] != sandboxName {
		return
	}
	err := enter()
	fmt.Fprintf(os.Stderr, "container set-up: %v\n", err)
	os.Exit(setUpFailed)
}

// enter builds the sandbox and becomes its command. It returns only if that fails.
func enter() error {
	spec := os.NewFile(sandboxFD, "sandbox")
	var s sandbox
	if err := json.NewDecoder(spec).Decode(&s); err != nil {
		return fmt.Errorf("reading what to do: %w", err)
	}
	if err := spec.Close(); err != nil {
		return err
	}
	root, err := buildRoot(s)
	if err != nil {
		return err
	}
	if err := syscall.Chroot(root); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if len(s.Args) == 0 {
		return fmt.Errorf("no command")
	}
	os.Clearenv()
	for _, v := range s.Env {
		name, value, _ := strings.Cut(v, "=")
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	path, err := exec.LookPath(s.Args[0])
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, s.Args, s.Env))
}

// buildRoot makes the root folder of a sandbox, by mounts that only its mount namespace has.
func buildRoot(s sandbox) (string, error) {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("making mounts private: %w", err)
	}
	r := rootFolder{dir: filepath.Join(s.Dir, rootDir), stage: filepath.Join(s.Dir, stageDir), own: map[string]bool{}}
	for _, dir := range []string{r.dir, r.stage} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	if err := r.mirror("/", "/"); err != nil {
		return "", err
	}
	if s.Image != "" {
		if err := r.overlay(s.Image, "/"); err != nil {
			return "", fmt.Errorf("image: %w", err)
		}
	}
	binds := slices.Clone(s.Binds) // outer ones first, or they would hide the inner
	slices.SortStableFunc(binds, func(a, b bind) int { return strings.Compare(a.Target, b.Target) })
	for _, b := range binds {
		if err := r.show(b.Source, b.Target); err != nil {
			return "", err
		}
	}
	if err := syscall.Mount("proc", filepath.Join(r.dir, "proc"), "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return "", fmt.Errorf("mounting /proc: %w", err)
	}
	return r.dir, nil
}

// rootFolder is a root folder being built. Paths given to its methods are absolute, as seen inside it.
type rootFolder struct {
	dir   string
	stage string          // an empty folder beside it
	own   map[string]bool // folders in which entries can be made without touching the host's
}

// mirror replaces a folder by one of our own that shows the same entries, which are at source.
func (r rootFolder) mirror(source, target string) error {
	if r.own[target] {
		return nil
	}
	if err := syscall.Mount("kubesim", r.stage, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mirroring %s: %w", target, err)
	}
	// Else the folder that this cluster lives in would be shown together with what is being built here.
	if err := syscall.Mount("", r.stage, "", syscall.MS_UNBINDABLE, ""); err != nil {
		return fmt.Errorf("mirroring %s: %w", target, err)
	}
	entries, err := os.ReadDir(source)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := mount(filepath.Join(source, entry.Name()), filepath.Join(r.stage, entry.Name()), entry.Type()); err != nil {
			return err
		}
	}
	if err := syscall.Mount(r.stage, filepath.Join(r.dir, target), "", syscall.MS_MOVE, ""); err != nil {
		return fmt.Errorf("mirroring %s: %w", target, err)
	}
	r.own[target] = true
	return nil
}

// overlay adds the entries of an image's folder; folders that are on both sides are merged.
func (r rootFolder) overlay(source, target string) error {
	entries, err := os.ReadDir(source)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		from, to := filepath.Join(source, entry.Name()), r.resolve(filepath.Join(target, entry.Name()))
		there, err := os.Lstat(filepath.Join(r.dir, to))
		if err == nil && entry.IsDir() && there.IsDir() {
			err = r.overlay(from, to)
		} else {
			err = r.show(from, to)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// show shows a file or folder at target, which is made if it isn't there.
func (r rootFolder) show(source, target string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	target = r.resolve(target)
	inside := filepath.Join(r.dir, target)
	if _, err := os.Lstat(inside); err != nil {
		if err := r.makeRoom(filepath.Dir(target)); err != nil {
			return err
		}
		return mount(source, inside, info.Mode().Type())
	}
	return bindMount(source, inside)
}

// makeRoom makes a folder one in which entries can be made; it need not be there.
func (r rootFolder) makeRoom(target string) error {
	if r.own[target] {
		return nil
	}
	inside := filepath.Join(r.dir, target)
	if _, err := os.Lstat(inside); err == nil {
		return r.mirror(inside, target)
	}
	if err := r.makeRoom(filepath.Dir(target)); err != nil {
		return err
	}
	r.own[target] = true
	return os.Mkdir(inside, 0o755)
}

// resolve follows the symbolic links in a path as a process inside would.
func (r rootFolder) resolve(path string) string {
	for links := 0; links < 40; links++ {
		next, found := r.followFirstLink(path)
		if !found {
			return path
		}
		path = next
	}
	return path
}

func (r rootFolder) followFirstLink(path string) (string, bool) {
	rest := strings.Split(strings.Trim(path, "/"), "/")
	at := "/"
	for i, name := range rest {
		link, err := os.Readlink(filepath.Join(r.dir, at, name))
		if err == nil {
			if !filepath.IsAbs(link) {
				link = filepath.Join(at, link)
			}
			return filepath.Join(append([]string{link}, rest[i+1:]...)...), true
		}
		at = filepath.Join(at, name)
	}
	return path, false
}

// mount shows source at target, which isn't there yet. Links are copied.
func mount(source, target string, kind fs.FileMode) error {
	switch {
	case kind&fs.ModeSymlink != 0:
		link, err := os.Readlink(source)
		if err != nil {
			return err
		}
		return os.Symlink(link, target)
	case kind.IsDir():
		if err := os.Mkdir(target, 0o755); err != nil {
			return err
		}
	default:
		f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return bindMount(source, target)
}

func bindMount(source, target string) error {
	if err := syscall.Mount(source, target, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("showing %s at %s: %w", source, target, err)
	}
	return nil
}
