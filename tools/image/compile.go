// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// compile builds pkg of the module in folder dir for the platform, as a static
// executable in which nothing depends on the machine that built it.
func compile(ctx context.Context, dir, pkg, version string, platform v1.Platform, out string, log io.Writer) error {
	abs, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid= -X main.version="+version, "-o", abs, pkg)
	cmd.Dir = dir
	// The variables that choose a processor's newest instructions are left at
	// their defaults: the image runs on any.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOAMD64=v1", "GOARM64=v8.0",
		"GOOS="+platform.OS, "GOARCH="+platform.Architecture)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build %s for %s: %w", pkg, platform, err)
	}
	return nil
}
