// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// change is a passage of Pachyderm's source that is another here.
type change struct{ file, original, instead string }

// changedSource makes, in dir, copies of Pachyderm's source with the set's changes and without its omissions, and returns
// the module file that names them in place of the originals: Go lets nobody build a changed file of its module cache.
// source is the module that names the versions.
func (set programSet) changedSource(ctx context.Context, dir, source string) (modFile string, err error) {
	mod, modErr := os.ReadFile(filepath.Join(source, "go.mod"))
	sum, sumErr := os.ReadFile(filepath.Join(source, "go.sum"))
	if err := errors.Join(modErr, sumErr); err != nil {
		return "", err
	}
	copies := map[string]string{pachyderm: ""}
	for _, o := range set.omissions {
		copies[o.module] = ""
	}
	for module := range copies {
		if copies[module], err = copyModule(ctx, dir, source, module); err != nil {
			return "", err
		}
		mod = fmt.Appendf(mod, "\nreplace %s => %s\n", module, strconv.Quote(copies[module]))
	}
	for _, c := range set.changes {
		if err := c.apply(copies[pachyderm]); err != nil {
			return "", err
		}
	}
	for _, o := range set.omissions {
		if err := o.apply(copies[o.module]); err != nil {
			return "", err
		}
	}
	modFile = filepath.Join(dir, "changed.mod")
	return modFile, errors.Join(os.WriteFile(modFile, mod, 0o644), os.WriteFile(filepath.Join(dir, "changed.sum"), sum, 0o644))
}

// copyModule copies a module's source into a folder of its own in dir, and returns that.
func copyModule(ctx context.Context, dir, source, module string) (string, error) {
	original, err := download(ctx, source, module)
	if err != nil {
		return "", err
	}
	copied := filepath.Join(dir, moduleName(module))
	if err := os.CopyFS(copied, os.DirFS(original)); err != nil {
		return "", fmt.Errorf("copying the source of %s: %w", module, err)
	}
	return copied, nil
}

// moduleName is the last part of a module's path that is no version.
func moduleName(module string) string { return path.Base(strings.TrimSuffix(module, "/v2")) }

// download fetches the source of a module, unless it is there, and returns its folder.
func download(ctx context.Context, source, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir, cmd.Env = source, buildEnv()
	out, err := cmd.Output()
	var downloaded struct{ Dir, Error string }
	if decodeErr := json.Unmarshal(out, &downloaded); err != nil || decodeErr != nil || downloaded.Dir == "" {
		return "", fmt.Errorf("downloading the source of %s: %w: %s", module, errors.Join(err, decodeErr), downloaded.Error)
	}
	return downloaded.Dir, nil
}

// apply changes the copy of Pachyderm's source in dir.
func (c change) apply(dir string) error {
	path := filepath.Join(dir, filepath.FromSlash(c.file))
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if n := strings.Count(string(text), c.original); n != 1 {
		return fmt.Errorf("%s has %d times %q, in place of once: mend the changes of package cluster for this version of Pachyderm", c.file, n, c.original)
	}
	return os.WriteFile(path, []byte(strings.Replace(string(text), c.original, c.instead, 1)), 0o644)
}
