// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// ends knows when a batch has to end, and why.
type ends struct {
	limits settings.Batch
	traits source.Traits

	began  time.Time // when the batch's first record was read that is not left out
	moved  time.Time // since when the position has moved without such a record
	answer time.Time // when the batch must end for the source to be answered in time; zero if nothing waits
	asked  bool      // the source gives no more before it is answered
	inside bool      // no commit may end here, as in the middle of a transaction
}

// movedAge is how long a position may move without records, as over aborted
// transactions, before it is committed alone, if the source does not say: so
// that retention does not overtake it, and a restart does not read all of that
// again.
const movedAge = 5 * time.Minute

// begin notes that the batch has a record.
func (e *ends) begin() {
	if e.began.IsZero() {
		e.began = time.Now()
	}
}

// move notes that the position moves without a record.
func (e *ends) move() {
	if e.began.IsZero() && e.moved.IsZero() {
		e.moved = time.Now()
	}
}

// passed notes that the position is past a part of a chunk, and what the chunk
// asks for. Half of the time that it leaves is for the commit.
func (e *ends) passed(chunk *source.Chunk, n int) {
	e.inside = e.traits.Boundaries && (n < len(chunk.Records) || !chunk.Boundary)
	e.asked = e.asked || chunk.Full
	if chunk.Deadline.IsZero() {
		return
	}
	now := time.Now()
	if answer := now.Add(chunk.Deadline.Sub(now) / 2); e.answer.IsZero() || answer.Before(e.answer) {
		e.answer = answer
	}
}

// due returns when the batch must be committed by time, and why; zero if there
// is nothing to commit, or no commit may end here.
func (e *ends) due() (at time.Time, why spoutcommit.Reason) {
	if e.inside {
		return at, ""
	}
	switch {
	case !e.began.IsZero():
		at, why = e.began.Add(e.limits.MaxAge.Std()), spoutcommit.ReasonAge
	case !e.moved.IsZero() && e.traits.Idle > 0:
		at, why = e.moved.Add(e.traits.Idle), spoutcommit.ReasonIdle
	case !e.moved.IsZero():
		at, why = e.moved.Add(max(movedAge, e.limits.MaxAge.Std())), spoutcommit.ReasonIdle
	}
	if why != "" && !e.answer.IsZero() && e.answer.Before(at) {
		return e.answer, spoutcommit.ReasonDeadline
	}
	return at, why
}

// overdue says why the batch must be committed now, if it must.
func (e *ends) overdue() spoutcommit.Reason {
	at, why := e.due()
	switch {
	case why == "":
		return ""
	case e.asked && e.began.IsZero():
		return spoutcommit.ReasonIdle
	case e.asked:
		return spoutcommit.ReasonWindow
	case time.Now().Before(at):
		return ""
	}
	return why
}

// reset begins with the next batch.
func (e *ends) reset() {
	e.began, e.moved, e.answer, e.asked = time.Time{}, time.Time{}, time.Time{}, false
}

// unlimited is what a batch may have that must not end yet.
var unlimited = settings.Batch{MaxBytes: 1 << 62, MaxFiles: 1 << 62}

// cut is at which of its limits a chunk is cut in two.
func (e *ends) cut() *settings.Batch {
	if e.traits.Boundaries {
		return &unlimited
	}
	return &e.limits
}
