// SPDX-License-Identifier: Apache-2.0

// Package postgrescluster runs a PostgreSQL server on this machine for tests,
// on a loopback address, with logical replication, TLS and every kind of login.
//
// It takes Linux, and the machine's PostgreSQL or what package cluster
// downloads. The server ends with the process that started it, however that ends.
package postgrescluster
