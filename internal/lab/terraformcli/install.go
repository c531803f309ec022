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
	"regexp"
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

// buildOpenTofu builds OpenTofu at path from its module.
func buildOpenTofu(ctx context.Context, log io.Writer, path string) error {
	const module = "github.com/opentofu/opentofu"
	return buildModule(ctx, log, path, module+"@v"+BuiltOpenTofu, "./cmd/tofu", "-X "+module+"/version.dev=no", nil)
}

// buildOldestTerraform builds Terraform at path from its module.
func buildOldestTerraform(ctx context.Context, log io.Writer, path string) error {
	const module = "github.com/hashicorp/terraform"
	return buildModule(ctx, log, path, module+"@v"+Minimum, ".", "-X "+module+"/version.dev=no", leaveOutBackends)
}

// buildModule builds a package of a module, with the Go that builds everything
// else here. The go.mod of such modules has replace directives, which go
// install refuses, so that the build has to happen inside a copy of the module,
// in which prepare may change something.
func buildModule(ctx context.Context, log io.Writer, path, module, pkg, linkerFlags string, prepare func(src string) error) error {
	download := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	download.Dir = filepath.Dir(path) // outside of any module
	out, err := download.Output()
	var downloaded struct{ Dir, Error string }
	if json.Unmarshal(out, &downloaded) == nil && downloaded.Error != "" {
		return fmt.Errorf("downloading %s: %s", module, downloaded.Error)
	}
	if err != nil {
		return fmt.Errorf("downloading %s: %w", module, err)
	}
	src := filepath.Join(filepath.Dir(path), "src")
	if err := os.CopyFS(src, os.DirFS(downloaded.Dir)); err != nil {
		return fmt.Errorf("copying %s: %w", module, err)
	}
	mod := "-mod=readonly"
	if prepare != nil {
		mod = "-mod=mod"
		if err := prepare(src); err != nil {
			return fmt.Errorf("preparing %s: %w", module, err)
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", mod, "-ldflags", "-s -w "+linkerFlags, "-o", path, pkg)
	build.Dir = src
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	build.Stdout, build.Stderr = log, log
	if err := build.Run(); err != nil {
		return fmt.Errorf("go build %s of %s: %w", pkg, module, err)
	}
	return nil
}

// Lines of Terraform's source that need the backends with a module of their own.
var (
	backendModule = regexp.MustCompile(`(?m)^.*github\.com/hashicorp/terraform/internal/.*\n`)
	backendUse    = regexp.MustCompile(`(?m)^.*(internal/backend/remote-state/(azure|consul|cos|gcs|kubernetes|oss|pg|s3)"|backend(Azure|Consul|Cos|GCS|Kubernetes|OSS|Pg|S3)\.New).*\n`)
)

// leaveOutBackends takes the backends for remote states out of Terraform that
// are modules of their own: those are in its repository only, and not to be
// had from a module proxy. No test needs one.
func leaveOutBackends(src string) error {
	for name, lines := range map[string]*regexp.Regexp{"go.mod": backendModule, "internal/backend/init/init.go": backendUse} {
		name = filepath.Join(src, name)
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(name, lines.ReplaceAll(text, nil), 0o644); err != nil {
			return err
		}
	}
	return nil
}
