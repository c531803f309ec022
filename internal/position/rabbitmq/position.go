// SPDX-License-Identifier: Apache-2.0

// Package rabbitmq is the one parser of the positions of a RabbitMQ source.
package rabbitmq

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/view"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/window"
)

// Version is that of positions of this release.
const Version = 1

// Position says what was consumed of the queues or of the streams of a virtual
// host. Its JSON is, on one line and with sorted names, either of
//
//	{"v":1,"vhost":"/","queues":{"orders":{"next":1200,"window":{"added":1200,"ids":[…]}}}}
//	{"v":1,"vhost":"/","streams":{"clicks":{"next":1200,"at":1764547200000,"sum":305419896}}}
//
// where next is the number of the next message: of a queue, the runner counts
// them from 0. The window has the ids of those that could come again although
// they are committed.
//
// Of a stream, at and sum are of the message before next: the timestamp of its
// chunk, in milliseconds, and the CRC-32C of its body. Another message there
// means that it is another stream. While nothing was read of it, begin says
// where reading begins in place of them: "first", or a time. A generation counts
// how often the stream was made again, and is left out while it is 0.
//
// Queues and streams that are no longer read stay in the position.
type Position struct {
	V       int                `json:"v"`
	VHost   string             `json:"vhost"`
	Queues  map[string]*Queue  `json:"queues"`
	Streams map[string]*Stream `json:"streams"`
}

// Queue is what was consumed of a queue.
type Queue struct {
	Next   int64         `json:"next"`
	Window window.Window `json:"window"`
}

// Stream is what was consumed of a stream.
type Stream struct {
	Generation int    `json:"generation"`
	Next       int64  `json:"next"`
	Begin      string `json:"begin"`
	At         int64  `json:"at"`
	Sum        uint32 `json:"sum"`
}

// Parse reads a position.
func Parse(raw json.RawMessage) (*Position, error) {
	p := &Position{}
	if err := json.Unmarshal(raw, p); err != nil {
		return nil, err
	}
	switch {
	case p.V > Version:
		return nil, fmt.Errorf("it has the version %d, and this release knows %d; use the release that wrote it, or a newer one", p.V, Version)
	case p.V < 1 || p.VHost == "" || (p.Queues == nil) == (p.Streams == nil):
		return nil, fmt.Errorf("it is not one of RabbitMQ")
	}
	for name, q := range p.Queues {
		if q == nil || q.Next < 0 {
			return nil, fmt.Errorf("queue %s has no place", name)
		}
	}
	for name, s := range p.Streams {
		if s == nil || s.Next < 0 || s.Generation < 0 {
			return nil, fmt.Errorf("stream %s has no place", name)
		}
	}
	return p, nil
}

// Render writes the position.
func (p *Position) Render() json.RawMessage {
	out := append(strconv.AppendInt([]byte(`{"v":`), Version, 10), `,"vhost":`...)
	out = append(out, quote(p.VHost)...)
	if p.Queues != nil {
		out = append(out, `,"queues":{`...)
		for i, name := range slices.Sorted(maps.Keys(p.Queues)) {
			if i > 0 {
				out = append(out, ',')
			}
			q := p.Queues[name]
			out = append(append(out, quote(name)...), `:{"next":`...)
			out = append(strconv.AppendInt(out, q.Next, 10), `,"window":`...)
			out = append(q.Window.Append(out), '}')
		}
		return append(out, "}}"...)
	}
	out = append(out, `,"streams":{`...)
	for i, name := range slices.Sorted(maps.Keys(p.Streams)) {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(out, quote(name)...), ":{"...)
		s := p.Streams[name]
		if s.Generation != 0 {
			out = append(strconv.AppendInt(append(out, `"generation":`...), int64(s.Generation), 10), ',')
		}
		out = strconv.AppendInt(append(out, `"next":`...), s.Next, 10)
		if s.Begin != "" {
			out = append(append(out, `,"begin":`...), quote(s.Begin)...)
		} else {
			out = strconv.AppendInt(append(out, `,"at":`...), s.At, 10)
			out = strconv.AppendUint(append(out, `,"sum":`...), uint64(s.Sum), 10)
		}
		out = append(out, '}')
	}
	return append(out, "}}"...)
}

func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always renders
	}
	return b
}

// Kinds are those of settings' layouts.
const (
	kindQueue  = "queue"
	kindStream = "stream"
)

// View reads a position and returns what is the same in all sources'.
func View(raw json.RawMessage) (view.View, error) {
	p, err := Parse(raw)
	if err != nil {
		return view.View{}, err
	}
	v := view.View{Identity: p.VHost, Kind: kindStream}
	if p.Queues != nil {
		v.Kind = kindQueue
	}
	for name, q := range p.Queues {
		v.Marks = append(v.Marks, view.Mark{Stream: name, Next: q.Next})
	}
	for name, s := range p.Streams {
		v.Marks = append(v.Marks, view.Mark{Stream: name, Generation: s.Generation, Next: s.Next})
	}
	return v, nil
}
