// SPDX-License-Identifier: Apache-2.0

// Package modules says what a program is made of: the Go modules behind its
// packages, and the licences under which they may be passed on.
package modules

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spoutworks/terraform-provider-pachyderm/tools/mirror"
)

// Standard is the path under which Go's own packages are listed.
const Standard = "std"

// Module is a module with packages in a program.
type Module struct {
	Path    string
	Version string
	Licence string // SPDX expression; empty if it was not recognised
	Files   []File // its licences and notices, those of folders with packages in the program included
}

// File is one text that has to be passed on with a program.
type File struct {
	Name string // below the module's folder
	Text string
}

// Query is what to list the modules of.
type Query struct {
	Dir      string          // folder of the main module, which is not listed itself
	Packages []string        // as go list takes them
	Platform mirror.Platform // empty for this machine's
	Tags     string
	Tests    bool // those of tests, too
}

// listed is what go list tells of a package.
type listed struct {
	Dir      string
	Standard bool
	Module   *struct {
		Path, Version, Dir string
		Main               bool
		Replace            *struct{ Path, Version string }
	}
}

// List returns the modules, sorted by path.
func List(ctx context.Context, q Query) ([]Module, error) {
	packages, err := list(ctx, q)
	if err != nil {
		return nil, err
	}
	root, version, err := goroot(ctx, q.Dir)
	if err != nil {
		return nil, err
	}
	found := map[string]*Module{}
	seen := map[string]bool{} // folders
	for _, p := range packages {
		module, dir := Module{Path: Standard, Version: version}, root
		if !p.Standard {
			if p.Module == nil || p.Module.Main {
				continue
			}
			module, dir = Module{Path: p.Module.Path, Version: p.Module.Version}, p.Module.Dir
			if p.Module.Replace != nil && p.Module.Replace.Version != "" {
				module.Version = p.Module.Replace.Version
			}
		}
		known := found[module.Path]
		if known == nil {
			known = &module
			found[module.Path] = known
		}
		for folder := p.Dir; !seen[folder]; folder = filepath.Dir(folder) {
			seen[folder] = true
			files, err := texts(dir, folder)
			if err != nil {
				return nil, err
			}
			known.Files = append(known.Files, files...)
			if len(folder) <= len(dir) {
				break
			}
		}
	}
	var modules []Module
	for _, path := range slices.Sorted(maps.Keys(found)) {
		m := found[path]
		slices.SortFunc(m.Files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
		m.Licence = expression(m.Files)
		modules = append(modules, *m)
	}
	return modules, nil
}

func list(ctx context.Context, q Query) ([]listed, error) {
	args := []string{"list", "-deps", "-json=Dir,Standard,Module", "-tags", q.Tags}
	if q.Tests {
		args = append(args, "-test")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, q.Packages...)...)
	cmd.Dir = q.Dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if q.Platform != (mirror.Platform{}) {
		cmd.Env = append(cmd.Env, "GOOS="+q.Platform.OS, "GOARCH="+q.Platform.Arch)
	}
	out, err := output(cmd)
	if err != nil {
		return nil, err
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		packages = append(packages, p)
	}
}

// goroot is Go's own folder and version.
func goroot(ctx context.Context, dir string) (root, version string, err error) {
	cmd := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOVERSION")
	cmd.Dir = dir
	out, err := output(cmd)
	if err != nil {
		return "", "", err
	}
	lines := strings.Fields(string(out))
	if len(lines) != 2 {
		return "", "", fmt.Errorf("go env GOROOT GOVERSION printed %q", out)
	}
	return lines[0], lines[1], nil
}

func output(cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(exit.Stderr)))
	}
	return out, err
}

// legal are the names of files that state terms.
var legal = regexp.MustCompile(`(?i)^(un)?(licen[sc]e|copying|notice|patents)([-.](md|txt|mit|apache|bsd|[a-z0-9-]+))?$`)

// notTerms says whether a file that is named like one of terms is code, or
// about documentation, which is not in a program.
func notTerms(name string) bool {
	return strings.HasSuffix(name, ".go") || strings.HasSuffix(name, ".docs")
}

// texts are the files in a folder that state terms.
func texts(module, folder string) ([]File, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var files []File
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !legal.MatchString(entry.Name()) || notTerms(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		name, err := filepath.Rel(module, filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, File{filepath.ToSlash(name), string(text)})
	}
	return files, nil
}
