// SPDX-License-Identifier: Apache-2.0

// Package source says what a stream that can be ingested looks like. Each
// subpackage implements it for one system; README.md takes you through it.
//
// A source is opened at a position, yields chunks of records, tells the
// position after what was consumed of them, and is told which position is
// durable. It knows nothing of batches, files or commits: those exist once,
// in runner/ingest.
package source

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// Source is a stream that goes on from a position that it gave out.
//
// One goroutine calls Open, Next, Consume and Position, in that order of
// events; Acknowledge and Close may be called from another, and Traits from any.
type Source interface {
	// Traits says what the source is like. They are the same from New on.
	Traits() Traits

	// Open connects and prepares reading from position, which an earlier
	// Position returned, or from the configured start if position is nil.
	// It blocks until the source answers or ctx ends: an unreachable source is
	// waited for, with log lines that say so, and is no error. A position that
	// does not belong to this source, or that can no longer be read, is a
	// *Stop error.
	Open(ctx context.Context, position json.RawMessage) error

	// Next returns the next chunk. It blocks until there is one or ctx ends,
	// and survives outages by itself: that ctx ended is no reason not to be
	// called again. What can only be solved by an operator is a *Stop error.
	// The caller owns the chunk until it calls Release.
	Next(ctx context.Context) (*Chunk, error)

	// Consume moves the source's position past the first n records of chunk,
	// and past the whole chunk (records that were left out included) if n is
	// their number. Chunks must be consumed in the order in which Next
	// returned them, and a chunk may be consumed in several steps with rising n.
	Consume(chunk *Chunk, n int)

	// Position returns the position after all that was consumed: one line of
	// JSON, with all that Open needs to find out whether it is still the same
	// source that it belongs to. With [Traits.Boundaries] it is asked for only
	// after Open and after the whole of a chunk with Boundary.
	Position() json.RawMessage

	// Acknowledge tells the source that everything up to position is durable.
	// It never keeps the reader waiting, and is best effort: what counts is the
	// position that the next Open is given. It is called with the positions of
	// FINISHED commits, in their order, and never after Close has returned.
	Acknowledge(ctx context.Context, position json.RawMessage)

	// Close ends all that Open began, goroutines included, and gives back to
	// the other side what was not acknowledged. It is safe to call more than
	// once, and without Open.
	Close() error
}

// Kind is what the other side promises, which decides what guarantee there is.
type Kind int

// Kinds of sources.
const (
	Replay      Kind = iota // any position can be read again: exactly once, by the position alone
	Acknowledge             // what was not acknowledged comes again: effectively once, with a window of ids in the position
	Request                 // the sender decides whether it comes again: effectively once while it does
)

func (k Kind) String() string { return [...]string{"replay", "acknowledge", "request"}[k] }

// Traits are what a source is like.
type Traits struct {
	Kind       Kind
	Boundaries bool          // commits end only after chunks with Boundary, as transactions ask for
	AckWithin  time.Duration // how long the other side waits for an acknowledgement; 0: no limit
	Window     int           // most records that are out without acknowledgement; 0: no limit
	Idle       time.Duration // a position that moved without records is committed alone after this; 0: the loop's default
}

// Options are what a source is made with, besides the settings.
type Options struct {
	Memory settings.Bytes // most bytes of records that it may hold, those that the caller did not release included
	Log    hclog.Logger
}

// New makes a source that reads as validated settings say. It connects to
// nothing.
type New func(s settings.Settings, o Options) (Source, error)

// Reread makes a source that reads the records of some streams again, from a
// position on, as they were read then: what is gone is a gap. Only the records
// of commits are compared with what it reads, so that nothing at the other side
// may change.
type Reread func(s settings.Settings, position json.RawMessage, streams []string, o Options) (Source, error)

// Driver is a source as the list of all has it.
type Driver struct {
	New    New
	Reread Reread // nil if the other side does not keep what was acknowledged
}

// Checker is a source that can be checked before it is used. One that was
// checked is not to be opened.
type Checker interface {
	// Check looks at reachability, credentials, rights and limits of the other
	// side, and at whether reading can go on from position, if it is not nil.
	// It changes nothing and waits for nothing but answers.
	Check(ctx context.Context, position json.RawMessage) []Finding
}

// Finding is one thing that was checked.
type Finding struct {
	OK   bool
	Text string // what was found; else what is missing, and its fix
}

// Releaser is a source whose Open makes something at the other side that
// outlives it, as a replication slot.
type Releaser interface {
	// Release drops that, and does nothing if it is not there. The source must
	// not be open.
	Release(ctx context.Context) error
}

// Stop is an error that trying again does not solve: an operator has to
// decide. Its text says what happened and what the ways out are.
type Stop struct{ Err error }

func (s *Stop) Error() string { return s.Err.Error() }
func (s *Stop) Unwrap() error { return s.Err }

// IsStop says whether err calls for an operator.
func IsStop(err error) bool {
	var stop *Stop
	return errors.As(err, &stop)
}
