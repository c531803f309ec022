// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

func runPachctl(ctx context.Context, program, config, stdin string, args []string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = pachctlEnv(config)
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return string(out), fmt.Errorf("pachctl %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

// pachctlEnv is this process's environment without what would lead pachctl elsewhere.
func pachctlEnv(config string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PACHD_ADDRESS=") && !strings.HasPrefix(v, "PACH_CONFIG=") {
			env = append(env, v)
		}
	}
	return append(env, "PACH_CONFIG="+config)
}
