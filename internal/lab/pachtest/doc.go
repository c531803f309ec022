// SPDX-License-Identifier: Apache-2.0

// Package pachtest is an in-process pachd for tests: the gRPC services of
// Pachyderm 2.6.0 or 2.11.6 over state in memory, on real TCP sockets so that
// other processes can reach it too.
//
// # Model
//
// A Server has two kinds of sides, as a cluster has. The main side is pachd
// itself. A sidecar is the pachd beside a spout's worker: it serves the same
// files but neither version nor admin calls, and only a sidecar starts commits
// on an output branch. Both look at the same state.
//
// A commit is a list of changes over the nearest ancestor without an error.
// Finishing has two steps, as in Pachyderm: FinishCommit answers once the
// commit is FINISHING; the server then applies and validates the changes on
// another goroutine, and only at FINISHED does CommitInfo.error show what the
// validation found. A commit with an error keeps its place in the ancestry but
// gives its files to nobody.
//
// Contents are kept once: a commit holds slices of what was uploaded, and the
// full view of each finished commit is a persistent tree that shares all but
// the changed paths with its parent's.
//
// # What differs from the real thing
//
// No user code runs: a test hooks OnPipeline to run something in its place.
// Commits are not propagated to downstream pipelines, and jobs do nothing.
// Transactions other than batches about branches, URL sources, and size and
// cron triggers are left out. Conformance is the suite that
// both this fake and a real pachd have to pass.
package pachtest
