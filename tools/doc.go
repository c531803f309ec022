// SPDX-License-Identifier: Apache-2.0

// Package tools is the module of what only developers need, apart from the
// product's so that none of it weighs on that.
//
// The commands under tool in go.mod run as "go tool NAME" in this folder, or
// as "go tool -modfile=tools/go.mod NAME" in the repository's. Those with a
// folder here:
//
//   - image makes the runner's container image;
//   - release makes the files of a release of the provider;
//   - install puts a provider that was built here where Terraform finds it;
//   - doctor says what a machine lacks;
//   - licences checks under which terms all modules are;
//   - links finds links in documentation that lead nowhere;
//   - validators checks JSON with other libraries, to measure the runner's own check.
package tools
