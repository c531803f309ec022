// SPDX-License-Identifier: Apache-2.0

// Package kafkacluster runs Apache Kafka on this machine for tests: one or
// more brokers, each also a controller, on loopback addresses, with every kind
// of listener and login that the runner knows, and with access control.
//
// It takes Linux, a Java runtime of version 17 or newer, and Maven for the
// first time: Kafka's jars are fetched as Maven artifacts, compared with the
// checksums in artifacts.lock, and kept in the user's cache.
//
// The brokers end with the process that started them, however that ends.
package kafkacluster

// Version is that of Apache Kafka.
const Version = "4.4.0"
