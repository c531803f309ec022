// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spoutworks/terraform-provider-pachyderm/tools/mirror"
)

// check builds the zips of platforms once more, from a copy of the sources in a
// folder of scratch, and compares each byte. cache is where Go keeps what it
// compiles; if empty, that is where it did so the first time.
func (r release) check(ctx context.Context, platforms []mirror.Platform, scratch, cache string, log io.Writer) error {
	again := r
	again.module = filepath.Join(scratch, "a", "folder", "elsewhere")
	if err := copySources(ctx, r.module, again.module); err != nil {
		return fmt.Errorf("copying the sources: %w", err)
	}
	for _, platform := range platforms {
		fmt.Fprintf(log, "building the provider for %s again\n", platform)
		packed, err := again.build(ctx, platform, cache, log)
		if err != nil {
			return err
		}
		first, err := os.ReadFile(filepath.Join(r.out, platform.Zip(r.version)))
		if err != nil {
			return err
		}
		if !bytes.Equal(first, packed) {
			kept := filepath.Join(filepath.Dir(filepath.Clean(r.out)), "again-"+platform.Zip(r.version))
			err := fmt.Errorf("%w: %s is not %s", errDiffers, kept, platform.Zip(r.version))
			return errors.Join(err, os.WriteFile(kept, packed, 0o644))
		}
		fmt.Fprintf(log, "  the same %d bytes\n", len(packed))
	}
	return nil
}

// copySources copies what Git knows of a folder, or would.
func copySources(ctx context.Context, from, to string) error {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = from
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for _, name := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(from, name))
		if os.IsNotExist(err) {
			continue // removed, and not yet from Git
		}
		if err != nil {
			return err
		}
		name = filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
