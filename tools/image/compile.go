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
	args := append([]string{"build"}, buildFlags(version)...)
	cmd := exec.CommandContext(ctx, "go", append(args, "-o", abs, pkg)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), buildEnvironment(platform)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build %s for %s: %w", pkg, platform, err)
	}
	return nil
}

// buildFlags are those of go build on which the executable depends.
func buildFlags(version string) []string {
	return []string{"-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= -X main.version=" + version}
}

// buildEnvironment are the variables on which the executable depends. Those
// that choose a processor's newest instructions have their defaults: the image
// runs on any.
func buildEnvironment(platform v1.Platform) []string {
	return []string{"CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0",
		"GOOS=" + platform.OS, "GOARCH=" + platform.Architecture}
}
