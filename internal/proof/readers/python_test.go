// SPDX-License-Identifier: Apache-2.0

//go:build readers

package readers

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// requirements are the libraries, with their versions.
//
//go:embed requirements.txt
var requirements string

// python is a Python with the libraries; see [installPython].
var python = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute) // it is for all tests
	defer cancel()
	return installPython(ctx, requirements)
})

// needPython returns the command of a Python that has the libraries.
func needPython(t *testing.T) string {
	t.Helper()
	command, err := python()
	if err != nil {
		t.Fatalf("These tests read files with pyarrow, DuckDB, fastavro and others, and take python3 (3.11 or newer) with venv or pip, and a package index to install from: %v", err)
	}
	return command
}

// installPython returns a virtual environment's Python in the user's cache. If
// it isn't there, pip brings the libraries, from where its own settings say.
func installPython(ctx context.Context, requirements string) (string, error) {
	base, err := exec.LookPath("python3")
	if err != nil {
		return "", err
	}
	version, err := output(ctx, base, "--version")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w", err)
	}
	sum := sha256.Sum256([]byte(version + base + requirements))
	dir := filepath.Join(cache, "terraform-provider-pachyderm", "readers-"+hex.EncodeToString(sum[:8]))
	command := filepath.Join(dir, "bin", "python")
	if _, err := os.Stat(command); err == nil {
		return command, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	// Beside dir, so that dir is there only once it is complete.
	unfinished, err := os.MkdirTemp(filepath.Dir(dir), "installing-readers-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(unfinished) }() // nothing is left of it once renamed
	list := filepath.Join(unfinished, "requirements.txt")
	if err := os.WriteFile(list, []byte(requirements), 0o600); err != nil {
		return "", err
	}
	fmt.Fprintln(os.Stderr, "Installing libraries of Python")
	target := filepath.Join(unfinished, "environment")
	pip := []string{filepath.Join(target, "bin", "python"), "-m", "pip"}
	if _, err := output(ctx, base, "-m", "venv", target); err != nil {
		// Debian's python3 has no ensurepip, but perhaps pip itself.
		if _, err := output(ctx, base, "-m", "venv", "--clear", "--without-pip", target); err != nil {
			return "", err
		}
		pip = []string{base, "-m", "pip", "--python", filepath.Join(target, "bin", "python")}
	}
	if _, err := output(ctx, pip[0], append(pip[1:], "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "-r", list)...); err != nil {
		return "", err
	}
	if err := os.Rename(target, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return command, nil
}

// output runs a command; what it says is in its error.
func output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	return string(out), nil
}
