// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"strings"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// A commit's description tells of all gaps, and must not grow without end: who
// may produce can make a batch that cannot be read out of each record.
const (
	maxGaps      = 500 // that a batch has before it ends
	maxGapReason = 200 // bytes
)

// gaps are those of a batch.
type gaps struct {
	list []spoutcommit.StreamGap
	last map[source.Stream]int // where in the list each stream's last one is
}

// add notes a gap of a stream. One that follows another, for the same reason, is
// a part of it.
func (g *gaps) add(stream source.Stream, gap spoutcommit.StreamGap) {
	if len(gap.Reason) > maxGapReason {
		gap.Reason = strings.ToValidUTF8(gap.Reason[:maxGapReason], "") + "…"
	}
	if at, ok := g.last[stream]; ok && g.list[at].To == gap.From && g.list[at].Reason == gap.Reason {
		g.list[at].To = gap.To
		return
	}
	if g.last == nil {
		g.last = map[source.Stream]int{}
	}
	g.last[stream] = len(g.list)
	g.list = append(g.list, gap)
}
