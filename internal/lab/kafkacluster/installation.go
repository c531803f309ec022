// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kafkacluster

import (
	"context"
	_ "embed"
	"io"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/java"
)

//go:embed artifacts.lock
var lock string

var program = java.Program{Name: "kafka", Version: Version, Lock: lock, Size: "45 MB"}

// installation is what programs of Kafka are run with.
type installation struct {
	java string // the command
	jars string // folder
}

// findInstallation finds Java and fetches Kafka.
func findInstallation(ctx context.Context, progress io.Writer) (i installation, err error) {
	if i.java, err = java.Find(ctx); err != nil {
		return i, err
	}
	i.jars, err = java.Fetch(ctx, program, progress)
	return i, err
}
