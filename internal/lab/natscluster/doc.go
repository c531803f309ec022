// SPDX-License-Identifier: Apache-2.0

// Package natscluster runs real NATS servers with JetStream on this machine for
// tests and trials, as processes of their own: the server that the system has
// (Debian's package nats-server), or another program of the kind. It needs
// Linux, and touches no service of the system.
package natscluster
