// SPDX-License-Identifier: Apache-2.0

// Package redelivery recognises records that come again although they are
// committed, or on their way to a commit: messages of a queue whose
// acknowledgement was lost, requests whose sender did not see the answer.
//
// A [Window] has the ids of records that were consumed and could still come
// again. It is part of the source's position, and so of the commit that has the
// records: it holds after a crash exactly what the commits hold. This is how a
// source uses it:
//
//	Open         w, err := redelivery.Restore(limits, position.Window)
//	Next         switch w.State(id) {
//	             case redelivery.Unknown: give the record out, w.Give(id)
//	             case redelivery.Waiting: leave it out; it is acknowledged with the first one
//	             case redelivery.Durable: leave it out, and acknowledge it at once; w.Touch(id, now)
//	             }
//	             what is left out counts in Chunk.Redelivered
//	Consume      w.Add(id, now) for each record
//	Position     render w.Snapshot() with the rest
//	Acknowledge  w.Settle(added), what the position's window has in Added
//
// An id is a name that the other side gives, as a message id or a sequence
// number. It is never made of a payload alone: a hit drops a record. Only a hash
// of 64 bits is kept of it; by chance, a record is taken for one of n others
// with a probability of n/2^64.
//
// How much a window has to hold is for the source to know. A queue whose
// consumer acknowledges in order gives again at most as many as it gives out
// without acknowledgement, the newest ones: a Count of that many is enough. A
// sender that tries again for hours needs an Age. Each id takes 11 bytes of the
// commit's description, which holds 1 MiB: [MaxCount] is the most.
package redelivery

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/window"
)

// MaxCount is the largest window that leaves room for the rest of a commit's
// description.
const MaxCount = 50_000

// ID is the hash of an id.
type ID uint64

// Hash is the hash of an id that scope gives: a queue, an endpoint. The same id
// of another scope is another one. Nobody can find an id whose hash is that of
// another's with less than 2^64 tries, so that no sender can have others'
// records dropped.
func Hash(scope string, id []byte) ID {
	h := sha256.New()
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(scope)))
	h.Write(length[:])
	h.Write([]byte(scope))
	h.Write(id)
	var sum [sha256.Size]byte
	return ID(binary.BigEndian.Uint64(h.Sum(sum[:0])))
}

// Limits say how much a window holds. What is in no FINISHED commit yet is kept
// in any case.
type Limits struct {
	Count int           // most ids, at most MaxCount; 0 for MaxCount
	Age   time.Duration // ids that are older are dropped; 0: the time does not matter
	Least int           // the newest ids that are kept whatever their age: clocks are set forward
}

// State is what is known of an id.
type State int

// States of ids.
const (
	Unknown State = iota // it was never seen, or so long ago that it was dropped
	Waiting              // its record was given out, and is in no FINISHED commit yet
	Durable              // its record is in a FINISHED commit
)

// Window has the ids that could come again. It is not safe for concurrent use.
type Window struct {
	limits  Limits
	added   uint64       // ids that were ever added: the number of the next one
	settled uint64       // ids with lower numbers are durable
	entries []entry      // the oldest first; those that were touched or forgotten are still in it
	places  map[ID]place // of the ids that are in the window
	given   map[ID]bool  // given out and not consumed yet
	cut     uint64       // ids that were dropped for their number alone
}

type entry struct {
	id     ID
	number uint64
	at     int64 // seconds since 1970
}

type place struct {
	number  uint64
	durable bool // it was before it was touched
}

// New makes an empty window.
func New(l Limits) *Window {
	if l.Count <= 0 || l.Count > MaxCount {
		l.Count = MaxCount
	}
	return &Window{limits: l, places: map[ID]place{}, given: map[ID]bool{}}
}

// Restore makes the window that a position has. All that is in it is durable.
func Restore(l Limits, from window.Window) *Window {
	w := New(l)
	w.added = from.Added - uint64(from.Len())
	for _, run := range from.Runs {
		for _, id := range run.IDs {
			w.put(ID(id), run.At, true)
		}
	}
	w.settled = w.added
	return w
}

// State says what is known of an id.
func (w *Window) State(id ID) State {
	at, known := w.places[id]
	switch {
	case known && (at.durable || at.number < w.settled):
		return Durable
	case known || w.given[id]:
		return Waiting
	}
	return Unknown
}

// Give notes that the record of an unknown id is given out.
func (w *Window) Give(id ID) { w.given[id] = true }

// Take notes that a record which was given out will never be consumed.
func (w *Window) Take(id ID) { delete(w.given, id) }

// Add notes that the record of an id was consumed: it is in the position from
// now on.
func (w *Window) Add(id ID, now time.Time) {
	delete(w.given, id)
	w.put(id, w.second(now), false)
	w.drop(now)
}

// Touch keeps an id as long as if it were new: it has come again, and may once
// more, as the acknowledgement can get lost again.
func (w *Window) Touch(id ID, now time.Time) {
	if at, known := w.places[id]; known {
		w.put(id, w.second(now), at.durable || at.number < w.settled)
		w.drop(now)
	}
}

// Forget drops an id that cannot come again.
func (w *Window) Forget(id ID) {
	delete(w.places, id)
	delete(w.given, id)
	w.compact()
}

// Added is how many ids were added so far. A source that keeps it for each
// position that it gave out need not read them to settle them.
func (w *Window) Added() uint64 { return w.added }

// Settle notes that a position is durable whose window has that number as Added.
func (w *Window) Settle(added uint64) { w.settled = max(w.settled, min(added, w.added)) }

// Len is the number of ids in the window.
func (w *Window) Len() int { return len(w.places) }

// Cut is how many ids were dropped before they had their age, since there were
// too many: with an Age, the guarantee holds for a shorter time.
func (w *Window) Cut() uint64 { return w.cut }

// Snapshot is the window as positions have it.
func (w *Window) Snapshot() window.Window {
	s := window.Window{Added: w.added}
	for _, e := range w.entries {
		if at, known := w.places[e.id]; !known || at.number != e.number {
			continue
		}
		if n := len(s.Runs); n == 0 || s.Runs[n-1].At < e.at {
			s.Runs = append(s.Runs, window.Run{At: e.at})
		}
		run := &s.Runs[len(s.Runs)-1]
		run.IDs = append(run.IDs, uint64(e.id))
	}
	return s
}

func (w *Window) put(id ID, at int64, durable bool) {
	if n := len(w.entries); n > 0 {
		at = max(at, w.entries[n-1].at) // clocks go back
	}
	w.places[id] = place{w.added, durable}
	w.entries = append(w.entries, entry{id, w.added, at})
	w.added++
}

// runs is how many different times there are in a window at most, about: each
// takes some bytes of the position.
const runs = 256

// second is the time that a window has for one: rounded up, so that nothing is
// dropped too soon.
func (w *Window) second(now time.Time) int64 {
	if w.limits.Age <= 0 {
		return 0
	}
	step := max(1, int64(w.limits.Age/time.Second)/runs)
	return (now.Unix()/step + 1) * step
}

// drop takes out what is too old or too much, the oldest first.
func (w *Window) drop(now time.Time) {
	n := 0
	for ; n < len(w.entries); n++ {
		e := w.entries[n]
		at, known := w.places[e.id]
		if !known || at.number != e.number {
			continue
		}
		if !at.durable && at.number >= w.settled {
			break // it must not be taken for another record
		}
		old := w.limits.Age > 0 && e.at > 0 && len(w.places) > w.limits.Least && now.Unix()-e.at > int64(w.limits.Age/time.Second)
		if !old && len(w.places) <= w.limits.Count {
			break
		}
		if !old {
			w.cut++
		}
		delete(w.places, e.id)
	}
	w.entries = w.entries[n:]
	w.compact()
}

// compact makes room once most entries are of ids that are no longer there.
func (w *Window) compact() {
	const least = 64
	if len(w.entries) < 2*len(w.places)+least {
		return
	}
	kept := make([]entry, 0, len(w.places)+least)
	for _, e := range w.entries {
		if at, known := w.places[e.id]; known && at.number == e.number {
			kept = append(kept, e)
		}
	}
	w.entries = kept
}
