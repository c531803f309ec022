// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"io"
	"os/exec"
)

// FindPostgres returns the folder of PostgreSQL's programs, for those who run a server of their own: the machine's or, if it
// has none, downloaded ones.
func FindPostgres(ctx context.Context, progress io.Writer) (string, error) {
	return findPostgres(ctx, progress)
}

// PostgresCommand prepares one of PostgreSQL's programs, which refuse to run as root.
func PostgresCommand(cmd *exec.Cmd) (*exec.Cmd, error) { return postgresCommand(cmd) }
