// SPDX-License-Identifier: Apache-2.0

// Package wire reads what Kafka's brokers answer: the primitive types, answers
// of each kind as far as they are of use here, record batches and the messages
// before them, and what these are compressed with.
//
// It keeps nothing and asks nobody. All of it may come from a broker that is
// broken or hostile, so that no memory is taken for what bytes only claim.
package wire
