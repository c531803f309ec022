// SPDX-License-Identifier: Apache-2.0

// Package artifacts builds this project's two programs for the demo, the
// tests and the benchmarks, as a release does, and what those need beside.
package artifacts

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Provider builds the provider into folder and returns the file.
func Provider(ctx context.Context, folder, version string) (string, error) {
	return build(ctx, ".", filepath.Join(folder, "terraform-provider-pachyderm"), version)
}

// Runner builds the runner into folder, which then can stand for its image:
// the binary is at /spout-runner.
func Runner(ctx context.Context, folder, version string) (string, error) {
	return build(ctx, "./runner", filepath.Join(folder, "spout-runner"), version)
}

// IdleProvider builds the provider that does nothing into folder and returns
// the file.
func IdleProvider(ctx context.Context, folder, version string) (string, error) {
	return build(ctx, "./internal/proof/planbench/idleprovider", filepath.Join(folder, "idle-provider"), version)
}

// Broker builds the Kafka broker of a process of its own into folder and
// returns the file.
func Broker(ctx context.Context, folder string) (string, error) {
	return build(ctx, "./internal/lab/kafkatest/brokerd", filepath.Join(folder, "brokerd"), "test")
}

// NATSServer builds the NATS server of this module into folder and returns the
// file.
func NATSServer(ctx context.Context, folder string) (string, error) {
	return build(ctx, "./internal/lab/natstest/natsd", filepath.Join(folder, "natsd"), "test")
}

func build(ctx context.Context, pkg, output, version string, flags ...string) (string, error) {
	root, err := Root(ctx)
	if err != nil {
		return "", err
	}
	args := append([]string{"build", "-trimpath", "-ldflags", "-s -w -X main.version=" + version, "-o", output}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return output, nil
}

// Root returns the folder of the module that the working directory is in.
func Root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module's folder: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
