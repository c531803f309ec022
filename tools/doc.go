// SPDX-License-Identifier: Apache-2.0

// Package tools is the module of what only developers need, apart from the
// product's so that none of it weighs on that.
//
// The commands under tool in go.mod run as "go tool NAME" in this folder, or
// as "go tool -modfile=tools/go.mod NAME" in the repository's. image makes the
// runner's container image, install puts a provider where Terraform finds it.
package tools
