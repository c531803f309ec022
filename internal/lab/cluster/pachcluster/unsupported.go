// SPDX-License-Identifier: Apache-2.0

//go:build !linux

// Command pachcluster runs a real Pachyderm on this machine; see package cluster.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/cluster"
)

func main() {
	_, err := cluster.New(context.Background(), cluster.Options{})
	fmt.Fprintln(os.Stderr, "pachcluster:", err)
	os.Exit(1)
}
