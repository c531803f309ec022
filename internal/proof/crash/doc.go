// SPDX-License-Identifier: Apache-2.0

// Package crash is a campaign against a real Pachyderm: round after round it
// does harm to a spout that ingests, and at the end it reads every commit.
//
//	source's server (its own process) → runner (in its pod) → proxy → sidecar → pachd, PostgreSQL
//	      └─ an independent consumer ──────────────────────────────┐
//	                                        audit of every commit ←┘
//
// The runner's calls pass a proxy that knows their methods. A round sets a
// trap at a named moment of a call (before the sidecar sees it, halfway
// through an upload, after it was done and before the runner knows) and there
// kills or stops the runner, a sidecar, pachd, PostgreSQL, etcd or the server, cuts
// the connection, loses the reply, lets it wait, fills the disk or sets the
// runner's clock. In a real Kubernetes, it also has the pod deleted or evicted, drains
// the node, and restarts the API server, etcd or the kubelet. It then waits until
// all records are in a commit that is FINISHED, without anybody's help.
//
// The seed decides what happens in which round; how processes then run beside
// each other is not for it to decide. The clock is that of the runner alone,
// which is built with another package time for it (see internal/lab/artifacts).
package crash
