// SPDX-License-Identifier: Apache-2.0

package terraformcli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hc-install/product"
	"github.com/hashicorp/hc-install/releases"
)

// Versions that are brought where no command line is installed. They are
// fixed, so that two machines test the same thing.
const (
	FetchedTerraform = "1.15.9"
	BuiltOpenTofu    = "1.12.6"
)

// install has put write an executable and moves it to path in one step, so
// that processes which install at the same time do not see halves.
func install(ctx context.Context, log io.Writer, path string, put func(context.Context, io.Writer, string) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".install-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	unfinished := filepath.Join(dir, filepath.Base(path))
	if err := put(ctx, log, unfinished); err != nil {
		return err
	}
	if err := os.Chmod(unfinished, 0o755); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}

// fetchTerraform puts the Terraform release for this machine at path.
func fetchTerraform(ctx context.Context, _ io.Writer, path string) error {
	return fetchTerraformFrom(ctx, &releases.ExactVersion{}, path)
}

// fetchTerraformFrom is fetchTerraform with a release server and key of the
// caller's choice.
func fetchTerraformFrom(ctx context.Context, release *releases.ExactVersion, path string) error {
	release.Product = product.Terraform
	release.Version = version.Must(version.NewVersion(FetchedTerraform))
	release.InstallDir = filepath.Dir(path)
	release.Timeout = 10 * time.Minute
	_, err := release.Install(ctx)
	return err
}

// buildOpenTofu builds OpenTofu at path from its module, with the Go that
// builds everything else here. Its go.mod has replace directives, which go
// install refuses, so that the build has to happen inside a copy of the module.
func buildOpenTofu(ctx context.Context, log io.Writer, path string) error {
	download := exec.CommandContext(ctx, "go", "mod", "download", "-json", "github.com/opentofu/opentofu@v"+BuiltOpenTofu)
	download.Dir = filepath.Dir(path) // outside of any module
	out, err := download.Output()
	var module struct{ Dir, Error string }
	if json.Unmarshal(out, &module) == nil && module.Error != "" {
		return fmt.Errorf("downloading the module: %s", module.Error)
	}
	if err != nil {
		return fmt.Errorf("downloading the module: %w", err)
	}
	src := filepath.Join(filepath.Dir(path), "src")
	if err := os.CopyFS(src, os.DirFS(module.Dir)); err != nil {
		return fmt.Errorf("copying the module: %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-mod=readonly",
		"-ldflags", "-s -w -X github.com/opentofu/opentofu/version.dev=no", "-o", path, "./cmd/tofu")
	build.Dir = src
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	build.Stdout, build.Stderr = log, log
	if err := build.Run(); err != nil {
		return fmt.Errorf("go build ./cmd/tofu: %w", err)
	}
	return nil
}
