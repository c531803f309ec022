// SPDX-License-Identifier: Apache-2.0

// Package webhook is the one parser of the positions of a webhook source.
package webhook

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/view"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/window"
)

// Position says how many records each endpoint has taken, and which requests
// were taken that their senders could send again. Its JSON is, on one line and
// with sorted endpoints,
//
//	{"v":1,"endpoints":{"github":1200},"window":{"added":1180,"ids":[…]}}
//
// Endpoints that are no longer in the settings stay, so that the numbers of
// their records go on if they come back.
type Position struct {
	Endpoints map[string]int64 // the number of the next record
	Window    window.Window
}

const version = 1

// New is the position before anything was taken.
func New() *Position { return &Position{Endpoints: map[string]int64{}} }

// Parse reads a position.
func Parse(raw json.RawMessage) (*Position, error) {
	var read struct {
		V         int              `json:"v"`
		Endpoints map[string]int64 `json:"endpoints"`
		Window    window.Window    `json:"window"`
	}
	if err := json.Unmarshal(raw, &read); err != nil {
		return nil, err
	}
	if read.V != version {
		return nil, fmt.Errorf("it has the version %d, and this release knows %d", read.V, version)
	}
	for name, next := range read.Endpoints {
		if next < 0 || name == "" {
			return nil, fmt.Errorf("endpoint %q continues with record %d", name, next)
		}
	}
	p := New()
	maps.Copy(p.Endpoints, read.Endpoints)
	p.Window = read.Window
	return p, nil
}

// Progress reads only how far a position is: where endpoints go on, and how many
// ids were ever added to its window.
func Progress(raw json.RawMessage) (endpoints map[string]int64, added uint64, err error) {
	var read struct {
		Endpoints map[string]int64 `json:"endpoints"`
		Window    struct {
			Added uint64 `json:"added"`
		} `json:"window"`
	}
	err = json.Unmarshal(raw, &read)
	return read.Endpoints, read.Window.Added, err
}

// Render writes the position.
func (p *Position) Render() json.RawMessage {
	out := []byte(`{"v":1,"endpoints":{`)
	for i, name := range slices.Sorted(maps.Keys(p.Endpoints)) {
		if i > 0 {
			out = append(out, ',')
		}
		quoted, err := json.Marshal(name)
		if err != nil {
			panic(err) // a string always renders
		}
		out = append(append(out, quoted...), ':')
		out = strconv.AppendInt(out, p.Endpoints[name], 10)
	}
	out = append(out, `},"window":`...)
	return append(p.Window.Append(out), '}')
}

// View reads a position and returns what is the same in all sources'.
func View(raw json.RawMessage) (view.View, error) {
	p, err := Parse(raw)
	if err != nil {
		return view.View{}, err
	}
	v := view.View{}
	for name, next := range p.Endpoints {
		v.Marks = append(v.Marks, view.Mark{Stream: name, Next: next})
	}
	return v, nil
}
