// SPDX-License-Identifier: Apache-2.0

// Package view is what is the same in the positions of all sources.
package view

import (
	"cmp"
	"slices"
)

// View is what a position says.
type View struct {
	Source string // as kafka
	// Identity is what the source is, as Kafka's cluster id; "" if it does not tell.
	Identity string
	// Kind is of which kind the streams are, "" where the source has one kind
	// only. Their coordinates have the names of that kind's layout.
	Kind string
	// Part is the part of the source's streams that are read, "" for all.
	Part  string
	Marks []Mark // by stream, generation and partition
}

// Mark is where a stream is read on.
type Mark struct {
	Stream     string
	Partition  int32
	Generation int    // number of times the stream was made again
	Next       int64  // offset of the next record; all before it were read
	Text       string // the source's own name of the place, "" if it has none besides
}

// Sort brings the marks in order.
func (v *View) Sort() {
	slices.SortFunc(v.Marks, func(a, b Mark) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Generation, b.Generation), cmp.Compare(a.Partition, b.Partition))
	})
}
