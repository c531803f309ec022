// SPDX-License-Identifier: Apache-2.0

// Package conformance holds a source against what runner/source asks of it,
// with the real loop and a Pachyderm in this process: one call in a test of the
// source's package.
//
//	func TestConformance(t *testing.T) { // not parallel: goroutines are counted
//		conformance.Run(t, func(t testing.TB) conformance.Side { return newSide(t) })
//	}
//
// Whatever happens, each record is in exactly one FINISHED commit at the end,
// or in one at least where [Side] says so; commits end where the source allows
// it; and nothing of the source goes on after Close.
package conformance

import (
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/audit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Side is the other side of a source: what is read, and what can be done to it.
// Each scenario has its own. It must be safe for concurrent use.
type Side interface {
	// Settings are those of a spout that reads it. The loop's own limits are
	// set by the scenarios; the format of files by the side.
	Settings() settings.Settings
	// New is the source's.
	New(s settings.Settings, o source.Options) (source.Source, error)
	// Produce makes n more records, whose values differ from all others.
	Produce(n int)
	// Values are those of all records so far, as files show them. In jsonl
	// files that is the value itself.
	Values() []string
}

// What a side may be besides, for more scenarios.
type (
	// Exact is a side whose records have the same offsets for every reader, so
	// that each commit is audited against it. Replayed ones should be.
	Exact interface{ audit.Truth }
	// Whole is a side with transactions: Torn says what is wrong with the
	// values of a commit that has a part of one, "" if nothing is.
	Whole interface{ Torn(values []string) string }
	// Resetter is a side that can become another one of the same name. With
	// its settings the source has to stop then.
	Resetter interface{ Reset() }
	// Loser is a side that can lose records that were not read: the next n
	// that Produce makes. With its settings the source has to go on with a gap.
	Loser interface{ Lose(n int) }
	// Mover is a side whose position can move without a record.
	Mover interface{ Move() }
	// Keeper is a side that gives up what was acknowledged, as a log that is
	// kept for its readers. Once told, it keeps all.
	Keeper interface{ Keep() }
)

// Run runs all scenarios that fit. It is not to be called from a parallel test.
func Run(t *testing.T, newSide func(t testing.TB) Side) {
	traits := traitsOf(t, newSide(t))
	scenario := func(name string, do func(s *spout)) {
		t.Run(name, func(t *testing.T) {
			s := newSpout(t, newSide(t))
			do(s)
			s.checkGoroutines()
		})
	}
	scenario("records in many commits", (*spout).testPlain)
	scenario("a context that ends", (*spout).testCancelled)
	for _, point := range points {
		scenario("crash "+point.name, func(s *spout) { s.testCrash(point) })
	}
	scenario("slow storage", (*spout).testSlow)
	scenario("failing storage", (*spout).testFailing)
	if traits.Kind == source.Replay {
		scenario("resume at every position", (*spout).testResume)
	}
	if traits.Window > 0 {
		scenario("full window", (*spout).testWindow)
	}
	if traits.AckWithin > 0 {
		scenario("deadline", (*spout).testDeadline)
	}
	if _, ok := newSide(t).(Resetter); ok {
		scenario("reset", (*spout).testReset)
	}
	if _, ok := newSide(t).(Loser); ok {
		scenario("gap", (*spout).testGap)
	}
	if _, ok := newSide(t).(Mover); ok && traits.Idle > 0 {
		scenario("idle position", (*spout).testIdle)
	}
}
