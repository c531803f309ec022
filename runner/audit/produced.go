// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"encoding/json"
	"sort"
	"sync"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// Produced is a [Truth] that a producer tells of every record that the source
// has taken. It is safe for concurrent use.
type Produced struct {
	offsets func(json.RawMessage) (map[source.Stream]int64, error)

	mu      sync.Mutex
	records map[source.Stream][]Entry
	count   int64
	unsure  map[source.Stream]bool // needs sorting
}

// NewProduced returns a Produced that reads positions with offsets.
func NewProduced(offsets func(json.RawMessage) (map[source.Stream]int64, error)) *Produced {
	return &Produced{offsets: offsets, records: map[source.Stream][]Entry{}, unsure: map[source.Stream]bool{}}
}

// Add notes a record. The order of calls does not matter.
func (p *Produced) Add(stream source.Stream, offset int64, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.records[stream]
	if n := len(list); n > 0 && list[n-1].Offset > offset {
		p.unsure[stream] = true
	}
	p.records[stream] = append(list, Entry{Stream: stream, Offset: offset, Value: value})
	p.count++
}

// Count is the number of records noted.
func (p *Produced) Count() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

func (p *Produced) sorted(stream source.Stream) []Entry {
	list := p.records[stream]
	if p.unsure[stream] {
		sort.Slice(list, func(i, j int) bool { return list[i].Offset < list[j].Offset })
		delete(p.unsure, stream)
	}
	return list
}

// Records implements [Truth].
func (p *Produced) Records(stream source.Stream, from, to int64) []Entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.sorted(stream)
	at := func(offset int64) int {
		return sort.Search(len(list), func(i int) bool { return list[i].Offset >= offset })
	}
	return list[at(from):max(at(from), at(to))]
}

// Ends implements [Truth].
func (p *Produced) Ends() map[source.Stream]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	ends := map[source.Stream]int64{}
	for stream := range p.records {
		list := p.sorted(stream)
		ends[stream] = list[len(list)-1].Offset + 1
	}
	return ends
}

// Starts implements [Truth]: reading begins at the first record.
func (p *Produced) Starts() map[source.Stream]int64 { return map[source.Stream]int64{} }

// Offsets implements [Truth].
func (p *Produced) Offsets(position json.RawMessage) (map[source.Stream]int64, error) {
	return p.offsets(position)
}

// Reached says whether a position is at or beyond every stream's end.
func (p *Produced) Reached(position json.RawMessage) (bool, error) {
	have, err := p.offsets(position)
	if err != nil {
		return false, err
	}
	for stream, end := range p.Ends() {
		if have[stream] < end {
			return false, nil
		}
	}
	return true, nil
}
