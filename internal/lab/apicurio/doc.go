// SPDX-License-Identifier: Apache-2.0

// Package apicurio runs Apicurio Registry on this machine for tests: a schema
// registry with the API of Confluent's, which shares no code with the
// runner's client or with the registry in process that other tests use.
//
// It takes Linux, a Java runtime of version 17 or newer, and Maven for the
// first time: the registry is fetched as a Maven artifact, compared with its
// checksum, and kept in the user's cache. It keeps its schemas in memory, and
// ends with the process that started it, however that ends.
package apicurio

// Version is that of Apicurio Registry: the newest that runs on Java 17.
const Version = "2.6.13.Final"
