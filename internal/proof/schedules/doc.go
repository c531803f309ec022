// SPDX-License-Identifier: Apache-2.0

// Package schedules tries the commit protocol of package ingest under every
// fault that there is, thousands of times, without a network and without
// waiting. It holds tests only.
//
// # Model
//
// A schedule is one life of a branch: runners write it, Pachyderm and its
// users do what they do, and everything that can go wrong may. It runs in a
// [testing/synctest] bubble. Each call of a runner stands still before the
// server has seen it, and perhaps again before the runner hears the reply;
// once all goroutines stand still, the schedule decides what happens next. So
// runners are interleaved call by call, and a runner that was killed may
// still have a call on its way.
//
// All decisions come from a tape of small numbers, which the seed fills. Zero
// always means that nothing goes wrong, so a failing tape becomes a small one
// by deleting and zeroing its numbers.
//
// # What is checked
//
// Each write is held against a model of the protocol at the moment it is
// done; each acknowledgement against what is FINISHED; the memory that
// records take against the budget; and at the end, when a runner has been left
// in peace, the audit reads every commit.
//
//	SEED=17 go test ./internal/proof/schedules -run TestSchedules     that one alone, step by step
//	SCHEDULES=10000 go test ./internal/proof/schedules
//
// Most schedules read a log in memory; some read a Kafka broker inside of the
// bubble, with the runner's own source. Mutants show what the checks are worth:
// mistakes planted in the ingester, each of which they have to find.
package schedules
