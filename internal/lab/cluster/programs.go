// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// Programs are those of one version of Pachyderm, and etcd, in a folder.
type Programs struct{ Dir, Version string }

// programsVariable names a folder with programs of another version than the one that is built.
const programsVariable = "PACHYDERM_PROGRAMS"

// FindPrograms returns the programs in the folder that $PACHYDERM_PROGRAMS names. Without it they are those of Version,
// which are built unless that was done before.
func FindPrograms(ctx context.Context, progress io.Writer) (Programs, error) {
	if dir := os.Getenv(programsVariable); dir != "" {
		return programsIn(ctx, dir)
	}
	dir, err := build(ctx, localSet, programs, progress)
	return Programs{dir, Version}, err
}

// find is FindPrograms as the options want it. Quick ones are built only if the others are not there already.
func find(ctx context.Context, opts Options) (Programs, error) {
	if !opts.Quick || os.Getenv(programsVariable) != "" {
		return FindPrograms(ctx, opts.Log)
	}
	wanted := programs
	if opts.WithoutPachctl {
		wanted = without("pachctl", programs)
	}
	dir, _, err := localSet.dir(ctx)
	if err == nil && len(missing(dir, wanted)) > 0 {
		dir, err = build(ctx, quickSet, wanted, opts.Log)
	}
	return Programs{dir, Version}, err
}

func programsIn(ctx context.Context, dir string) (Programs, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Programs{}, fmt.Errorf("%s: %w", programsVariable, err)
	}
	for _, p := range programs {
		if info, err := os.Stat(filepath.Join(dir, p.name)); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			return Programs{}, fmt.Errorf("%s=%s has no program %s. The folder must hold pachd, worker, pachctl and etcd", programsVariable, dir, p.name)
		}
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "pachctl"), "version", "--client-only").Output()
	if err != nil {
		return Programs{}, fmt.Errorf("asking the pachctl in %s for its version: %w", dir, err)
	}
	version := bytes.TrimSpace(out)
	if !releaseForm.Match(version) {
		return Programs{}, fmt.Errorf("the pachctl in %s says %q in place of its version. Build it with -ldflags '-X %s/src/version.AppVersion=…'", dir, version, pachyderm)
	}
	return Programs{dir, string(version)}, nil
}

// releaseForm is that of a version; 0.0.0 stands for one that nobody set.
var releaseForm = regexp.MustCompile(`^[1-9][0-9]*\.[0-9]+\.[0-9]+`)
