// SPDX-License-Identifier: Apache-2.0

package spoutcommit

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// StreamGap is a range of offsets of one stream that no longer existed at the
// source when it was to be read, and that the policy was to pass over. In JSON
// its stream and partition are called as the source calls them:
//
//	{"topic":"orders","partition":3,"from":10,"to":20,"reason":"retention"}
type StreamGap struct {
	StreamWord    string // what the source calls streams, as topic
	PartitionWord string // what it calls their partitions, "" if they have none
	Stream        string
	Partition     int32
	From          int64
	To            int64 // the first that is there
	Reason        string
}

// MarshalJSON implements [json.Marshaler].
func (g StreamGap) MarshalJSON() ([]byte, error) {
	member := func(dst []byte, name, text string) []byte {
		return append(append(append(dst, quoted(name)...), ':'), quoted(text)...)
	}
	out := member([]byte{'{'}, g.StreamWord, g.Stream)
	if g.PartitionWord != "" {
		out = fmt.Appendf(out, ",%s:%d", quoted(g.PartitionWord), g.Partition)
	}
	out = fmt.Appendf(out, `,"from":%d,"to":%d,`, g.From, g.To)
	return append(member(out, "reason", g.Reason), '}'), nil
}

func quoted(text string) []byte {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always renders
	}
	return b
}

// UnmarshalJSON implements [json.Unmarshaler]: what has no name of its own is
// the stream if it is text, and the partition if it is a number.
func (g *StreamGap) UnmarshalJSON(raw []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return err
	}
	*g = StreamGap{}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if err := g.read(name, members[name]); err != nil {
			return fmt.Errorf("%s of a gap: %w", name, err)
		}
	}
	if g.StreamWord == "" {
		return errors.New("a gap names no stream")
	}
	return nil
}

func (g *StreamGap) read(name string, value json.RawMessage) error {
	switch {
	case name == "": // which no source calls anything
		return nil
	case name == "from":
		return json.Unmarshal(value, &g.From)
	case name == "to":
		return json.Unmarshal(value, &g.To)
	case name == "reason":
		return json.Unmarshal(value, &g.Reason)
	case value[0] == '"' && g.StreamWord == "":
		g.StreamWord = name
		return json.Unmarshal(value, &g.Stream)
	case value[0] != '"' && g.PartitionWord == "":
		g.PartitionWord = name
		return json.Unmarshal(value, &g.Partition)
	}
	return nil // of a newer release
}
