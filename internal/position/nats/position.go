// SPDX-License-Identifier: Apache-2.0

// Package nats is the one parser of the positions of a NATS JetStream source.
package nats

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/view"
)

// Position says which messages of a stream were consumed. Its JSON is, on one
// line,
//
//	{"v":1,"stream":"ORDERS","created":"2026-11-30T07:00:00.123456789Z","generation":1,"next":1201,"subjects":["orders.eu.>"]}
//
// where next is the sequence of the next message to read, and created is when
// the stream was made, which tells it from another one of the same name. Left
// out are generation while the stream is the one that was read first (it counts
// how often the stream was another one), and subjects if all are read.
type Position struct {
	Stream     string
	Created    time.Time
	Generation int
	Next       uint64
	Subjects   []string // sorted
}

// version is that of the form above.
const version = 1

// Parse reads a position.
func Parse(raw json.RawMessage) (*Position, error) {
	var read struct {
		V          int       `json:"v"`
		Stream     string    `json:"stream"`
		Created    time.Time `json:"created"`
		Generation int       `json:"generation"`
		Next       uint64    `json:"next"`
		Subjects   []string  `json:"subjects"`
	}
	if err := json.Unmarshal(raw, &read); err != nil {
		return nil, err
	}
	switch {
	case read.V > version:
		return nil, fmt.Errorf("it was written by a newer release: it has version %d, and this one knows %d", read.V, version)
	case read.V != version || read.Stream == "" || read.Created.IsZero():
		return nil, errors.New("it names no stream and its creation")
	case read.Next < 1 || read.Next > 1<<63-1 || read.Generation < 0:
		return nil, fmt.Errorf("%d is not a sequence of generation %d", read.Next, read.Generation)
	}
	return &Position{Stream: read.Stream, Created: read.Created, Generation: read.Generation, Next: read.Next, Subjects: read.Subjects}, nil
}

// Render writes the position.
func (p *Position) Render() json.RawMessage {
	out := append([]byte(`{"v":1,"stream":`), quote(p.Stream)...)
	out = append(out, `,"created":"`...)
	out = p.Created.UTC().AppendFormat(out, time.RFC3339Nano)
	out = append(out, '"')
	if p.Generation != 0 {
		out = append(out, `,"generation":`...)
		out = strconv.AppendInt(out, int64(p.Generation), 10)
	}
	out = append(out, `,"next":`...)
	out = strconv.AppendUint(out, p.Next, 10)
	if len(p.Subjects) > 0 {
		subjects, err := json.Marshal(p.Subjects)
		if err != nil {
			panic(err) // strings always render
		}
		out = append(append(out, `,"subjects":`...), subjects...)
	}
	return append(out, '}')
}

func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always renders
	}
	return b
}

// View reads a position and returns what is the same in all sources'.
func View(raw json.RawMessage) (view.View, error) {
	p, err := Parse(raw)
	if err != nil {
		return view.View{}, err
	}
	return view.View{Identity: p.Stream + " of " + p.Created.UTC().Format(time.RFC3339Nano), Part: strings.Join(p.Subjects, ","),
		Marks: []view.Mark{{Stream: p.Stream, Generation: p.Generation, Next: int64(p.Next)}}}, nil
}
