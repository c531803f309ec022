// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"sync"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/redelivery"
)

// delivery are the records of one request on their way to a commit.
type delivery struct {
	endpoint *endpoint
	records  []source.Record // nil once the loop is done with them
	count    int             // of records
	ids      []redelivery.ID // of the request, or of each event in it
	arrived  time.Time
	answered bool // at once: nobody waits

	// The rest is guarded by the source's mutex, but for what done guards.
	state   deliveryState
	last    int64 // ordinal of its last record, once it was given
	memory  int   // that the records take until they are released
	back    func(int)
	done    chan struct{} // closed once it is known what has become of it
	durable bool          // it is in a FINISHED commit; set before done is closed
}

type deliveryState int

const (
	queued deliveryState = iota
	given                // to the loop
	ended
)

// release gives the memory of the records back, and lets go of them: whoever
// waits for the answer keeps the delivery for much longer.
func (d *delivery) release() {
	d.records = nil
	if d.back != nil {
		d.back(d.memory)
		d.back = nil
	}
}

// offer takes the records of a request that are not known yet into the queue.
// It returns the deliveries that must be durable before the request is
// answered, and how many records were known. It is not ok if the source is
// closing.
func (s *Source) offer(d *delivery, events []event) (waitFor []*delivery, known int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, 0, false
	}
	now := time.Now()
	for _, e := range events {
		if !e.identified || s.config.IDs == 0 {
			d.add(e.records, len(events))
			continue
		}
		switch s.window.State(e.id) {
		case redelivery.Unknown:
			s.window.Give(e.id)
			s.waiting[e.id] = d
			d.ids = append(d.ids, e.id)
			d.add(e.records, len(events))
			continue
		case redelivery.Waiting:
			if first := s.waiting[e.id]; first != nil && first != d {
				waitFor = append(waitFor, first)
			}
		case redelivery.Durable:
			s.window.Touch(e.id, now)
		}
		known += len(e.records)
	}
	d.endpoint.redelivered += int64(known)
	if d.count = len(d.records); d.count > 0 {
		d.endpoint.queue = append(d.endpoint.queue, d)
		waitFor = append(waitFor, d)
	}
	s.wakeUp()
	return waitFor, known, true
}

// add adds records of one of so many events. Those of the only one are taken as
// they are: there may be many.
func (d *delivery) add(records []source.Record, events int) {
	switch {
	case events == 1:
		d.records = records
		return
	case d.records == nil:
		d.records = make([]source.Record, 0, events)
	}
	d.records = append(d.records, records...)
}

// withdraw takes a delivery back that was not given to the loop yet, so that
// the sender who is told to come again does not find it there.
func (s *Source) withdraw(d *delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.state != queued {
		return
	}
	for i, other := range d.endpoint.queue {
		if other == d {
			d.endpoint.queue = append(d.endpoint.queue[:i:i], d.endpoint.queue[i+1:]...)
			d.release()
			s.end(d, false)
			return
		}
	}
}

// end tells those who wait what has become of a delivery.
func (s *Source) end(d *delivery, durable bool) {
	if d.state == ended {
		return
	}
	if d.state == queued {
		for _, id := range d.ids {
			s.window.Take(id)
		}
	}
	for _, id := range d.ids {
		if s.waiting[id] == d {
			delete(s.waiting, id)
		}
	}
	d.state, d.durable = ended, durable
	close(d.done)
}

// memory counts what bodies and records take.
type memory struct {
	limit int

	mu    sync.Mutex
	now   int
	freed chan struct{} // closed when some was given back
}

func newMemory(limit int) *memory { return &memory{limit: limit, freed: make(chan struct{})} }

func (m *memory) used() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// take takes memory, and waits for it until a time. short is called while there
// is none.
func (m *memory) take(n int, until time.Time, short func(now time.Time)) bool {
	const again = 250 * time.Millisecond
	for {
		m.mu.Lock()
		if m.now+n <= m.limit {
			m.now += n
			m.mu.Unlock()
			return true
		}
		freed := m.freed
		m.mu.Unlock()
		short(time.Now())
		left := time.Until(until)
		if left <= 0 || n > m.limit {
			return false
		}
		timer := time.NewTimer(min(left, again))
		select {
		case <-freed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (m *memory) give(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now -= n
	close(m.freed)
	m.freed = make(chan struct{})
}
