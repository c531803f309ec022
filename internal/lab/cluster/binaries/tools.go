// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package binaries keeps the programs of a Pachyderm 2.6.0 installation in a go.mod of their own: their thousand
// packages, at the versions Pachyderm was released with, never meet the dependencies of this repository's product.
// It is not compiled; package cluster runs go build in this folder.
package binaries

import (
	_ "github.com/pachyderm/pachyderm/v2/src/server/cmd/pachctl"
	_ "github.com/pachyderm/pachyderm/v2/src/server/cmd/pachd"
	_ "github.com/pachyderm/pachyderm/v2/src/server/cmd/worker"
	_ "go.etcd.io/etcd/server/v3"
)
