// SPDX-License-Identifier: Apache-2.0

// Package spoutcommit is what the commits of a spout say of themselves: the
// runner writes it into their descriptions, and whoever wants to know what a
// commit holds reads it there.
package spoutcommit

import (
	"encoding/json"
	"fmt"
	"strings"
)

// descriptionPrefix begins the description of every commit of a runner. The
// number is the version of the JSON object behind it.
const descriptionPrefix = "spout/1 "

// Description is what a commit of the runner says of itself, in one line:
//
//	spout/1 {"source":"kafka","reason":"bytes","position":{…},"read":1000,"written":1000,…}
//
// FinishCommit sets it, so it is atomic with the commit's data. A commit that
// is still open, or was rolled back, has one without a position.
type Description struct {
	Source       string          `json:"source"`
	Writer       string          `json:"writer"`                  // pod and process
	Epoch        int64           `json:"epoch"`                   // rises with every new writer of the branch
	Reason       Reason          `json:"reason,omitempty"`        // why the commit was made
	Read         int64           `json:"read"`                    // records taken from the source since the parent's position: the sum of the next four
	Written      int64           `json:"written"`                 // records in this commit's files
	Filtered     int64           `json:"filtered,omitempty"`      // records that the filter has left out
	DeadLettered int64           `json:"dead_lettered,omitempty"` // records in this commit's files of dead letters
	Redelivered  int64           `json:"redelivered,omitempty"`   // records that are in earlier commits, and came again
	Files        int             `json:"files"`                   // files of this commit, those of dead letters included
	Bytes        int64           `json:"bytes"`                   // their size
	Gaps         []StreamGap     `json:"gaps,omitempty"`          // records that were gone at the source
	Restored     string          `json:"restored,omitempty"`      // the commit whose files a repair brought back, or that was rewound to
	Position     json.RawMessage `json:"position,omitempty"`      // of the source, after this commit
	Total        *Total          `json:"total,omitempty"`         // of the branch, this commit included
}

// Total is what all commits of a branch hold up to one: those that count, say a
// position, and were not left behind by a rewind. Each carries it, so that nobody
// has to read all of them to know.
type Total struct {
	Commits int64 `json:"commits"`
	Records int64 `json:"records"` // written
	Bytes   int64 `json:"bytes"`
	Gaps    int64 `json:"gaps,omitempty"`
}

// Add returns the total after one more commit.
func (t Total) Add(d Description) Total {
	return Total{Commits: t.Commits + 1, Records: t.Records + d.Written, Bytes: t.Bytes + d.Bytes, Gaps: t.Gaps + int64(len(d.Gaps))}
}

// Reason says why a commit was made.
type Reason string

// Reasons of commits. All but the first two and the last two end a batch.
const (
	ReasonStart   Reason = "start"   // no data: fixes where reading begins, or goes on after a commit of somebody else's
	ReasonRepair  Reason = "repair"  // no new data: brings back files that the head had lost
	ReasonBytes   Reason = "bytes"   // SPOUT_BATCH_MAX_BYTES was reached
	ReasonRecords Reason = "records" // SPOUT_BATCH_MAX_RECORDS was reached
	ReasonFiles   Reason = "files"   // SPOUT_BATCH_MAX_FILES was reached
	ReasonAge     Reason = "age"     // SPOUT_BATCH_MAX_AGE was reached
	ReasonGaps    Reason = "gaps"    // more ranges of records were gone than one commit tells of

	ReasonWindow   Reason = "window full"   // the source gives no more before what it gave is acknowledged
	ReasonDeadline Reason = "deadline"      // the source waits no longer for an acknowledgement
	ReasonIdle     Reason = "idle position" // no data: the position has moved without records for a while
	ReasonRewound  Reason = "rewound"       // no new data: the files and the position of an older commit, so that what came after it is read again
	ReasonReleased Reason = "released"      // no data: the runner has given up what it had made at the source, since the spout is deleted
)

// Reasons are all of them, in this order.
var Reasons = []Reason{ReasonStart, ReasonRepair, ReasonBytes, ReasonRecords, ReasonFiles, ReasonAge, ReasonGaps, ReasonWindow, ReasonDeadline, ReasonIdle, ReasonRewound, ReasonReleased}

func (d Description) String() string {
	b, err := json.Marshal(d)
	if err != nil {
		panic(fmt.Sprintf("spoutcommit: description: %v", err)) // positions come from json.Marshal
	}
	return descriptionPrefix + string(b)
}

// NewerThan orders writers.
func (d Description) NewerThan(other Description) bool {
	return d.Epoch > other.Epoch || d.Epoch == other.Epoch && d.Writer > other.Writer
}

// ParseDescription parses a commit's description. ok is false for commits of
// others; an error means that a runner wrote it, but not one that this
// release understands.
func ParseDescription(text string) (d Description, ok bool, err error) {
	rest, ok := strings.CutPrefix(text, descriptionPrefix)
	if !ok {
		if strings.HasPrefix(text, "spout/") {
			return d, true, fmt.Errorf("the description %.40q… is of another release's format", text)
		}
		return d, false, nil
	}
	if err := d.parse(rest); err != nil {
		return Description{}, true, fmt.Errorf("the description %.40q… is damaged: %w", text, err)
	}
	return d, true, nil
}

// What runners write is far below these. More, which others may write, would
// take many times its length in memory.
const (
	maxDescription = 6 << 20 // bytes
	maxGaps        = 2 << 20 // bytes of it
)

func (d *Description) parse(text string) error {
	if len(text) > maxDescription {
		return fmt.Errorf("it has %d bytes, and no runner writes more than %d", len(text), maxDescription)
	}
	type plain Description
	read := struct {
		*plain
		Gaps json.RawMessage `json:"gaps"`
	}{plain: (*plain)(d)}
	if err := json.Unmarshal([]byte(text), &read); err != nil {
		return err
	}
	if len(read.Gaps) > maxGaps {
		return fmt.Errorf("its gaps have %d bytes, and no runner writes more than %d", len(read.Gaps), maxGaps)
	}
	if read.Gaps == nil {
		return nil
	}
	return json.Unmarshal(read.Gaps, &d.Gaps)
}
