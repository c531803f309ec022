// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package kubesim stands in for the parts of Kubernetes that Pachyderm uses, inside the calling process.
//
// An API server (JSON over plain HTTP, no authentication) keeps objects of any kind in memory and answers watches; a
// controller keeps a ReplicationController's pods at spec.replicas; a kubelet runs the containers of Pachyderm's worker
// pods, the sidecar pachd and the worker, as local processes with root folders and process trees of their own.
//
//	request → Server (api.go) → store → controller → kubelet → container → sandbox
//	                              ↑                      │
//	                              └── pod status ────────┘
//
// Objects are lost when the Server ends; pachd makes them again. Not imitated: image pulls, init containers, resource
// limits, security contexts, probes, networks (pods share the host's, with a port range for each), what a scheduler heeds but for node selectors, events and several
// nodes. CrashLoopBackOff is ten times shorter than a kubelet's.
package kubesim
