// SPDX-License-Identifier: Apache-2.0

//go:build !linux

// Command cmd runs a real Kubernetes on this machine, if that is Linux.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "a real Kubernetes on this machine takes Linux")
	os.Exit(1)
}
