// SPDX-License-Identifier: Apache-2.0

package source

import (
	"maps"
	"time"
)

// Observed is a source that can be looked at while it is used, also while Open
// blocks. It may be called from any goroutine, and must not block.
type Observed interface {
	Observe() Observation
}

// Observation is what a source does at the moment, and what it did since it
// was made.
type Observation struct {
	Totals     Totals
	Memory     int64     // bytes held
	Retained   int64     // bytes of log that the other side keeps until they are acknowledged; 0 if it keeps none or that is not known
	Lags       []Lag     // of all streams, by topic and partition
	Unreadable int       // streams that cannot be read at the moment
	Troubles   []Trouble // what keeps it from reading, the longest first
}

// Totals only grow.
type Totals struct {
	Fetches       int64            // answers with records
	FetchedBytes  int64            // as they came over the network
	Reconnects    int64            // connections that failed or were lost while fetching
	LeaderChanges int64            // times that a stream moved to another server
	Skipped       int64            // batches that were left out
	Damaged       int64            // batches that could not be decoded
	Refused       map[string]int64 // requests that were not taken, by why
}

// Plus adds up the totals of two lives of a source.
func (t Totals) Plus(other Totals) Totals {
	return Totals{
		Fetches: t.Fetches + other.Fetches, FetchedBytes: t.FetchedBytes + other.FetchedBytes,
		Reconnects: t.Reconnects + other.Reconnects, LeaderChanges: t.LeaderChanges + other.LeaderChanges,
		Skipped: t.Skipped + other.Skipped, Damaged: t.Damaged + other.Damaged, Refused: sums(t.Refused, other.Refused),
	}
}

func sums(a, b map[string]int64) map[string]int64 {
	if len(a) == 0 || len(b) == 0 {
		return maps.Clone(map[bool]map[string]int64{true: a, false: b}[len(b) == 0])
	}
	both := maps.Clone(a)
	for reason, n := range b {
		both[reason] += n
	}
	return both
}

// Lag is how far what was acknowledged of a stream is behind its end.
type Lag struct {
	Stream  Stream
	Records int64 // offsets from what was acknowledged to the end; negative if that is not known
	// Age of the newest record that was acknowledged, while there are others
	// after it; 0 if there are none, negative if it is not known.
	Age time.Duration
}

// Trouble is something that has been failing for a while and is tried again.
type Trouble struct {
	Text  string // what, and the last error
	Since time.Time
}
