// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Fault is a failure to inject into calls. With several effects set, they
// happen in the order of the fields.
type Fault struct {
	Method string // full name, suffix such as "FinishCommit", or empty for all
	Side   Side   // AnySide if not set
	Nth    int    // the first matching call that is hit, from 1; 0 means 1
	Count  int    // how many calls are hit from there on; 0 means 1, -1 all

	// AfterMessages postpones the effects on a client's stream until it has
	// sent so many messages. A stream that ends earlier is not hit.
	AfterMessages int

	Delay  time.Duration   // before the work
	Stall  <-chan struct{} // before the work, until closed; nil does not stall
	Before error           // fail so, without doing the work
	Cut    bool            // without Before: do the work; then close the caller's connection

	LoseReply  bool            // do the work, then answer Unavailable
	StallReply <-chan struct{} // do the work, then wait until closed before answering
}

// Injected is a Fault in the plan.
type Injected struct {
	fault   Fault
	plan    *faultPlan
	seen    int
	fired   int
	removed bool
	first   chan struct{}
}

// Fired tells how many calls were hit.
func (i *Injected) Fired() int {
	i.plan.mu.Lock()
	defer i.plan.mu.Unlock()
	return i.fired
}

// Reached is closed when the first call is hit, before any effect.
func (i *Injected) Reached() <-chan struct{} { return i.first }

// Remove takes the fault out of the plan.
func (i *Injected) Remove() {
	i.plan.mu.Lock()
	defer i.plan.mu.Unlock()
	i.removed = true
}

// Inject adds a fault to the plan. Several faults may hit one call.
func (s *Server) Inject(f Fault) *Injected {
	i := &Injected{fault: f, plan: &s.faults, first: make(chan struct{})}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.injected = append(s.faults.injected, i)
	return i
}

// Rates are the probabilities of random faults, each drawn for every call.
type Rates struct {
	Methods   []string      // hit only these (names or suffixes); empty means all but health checks
	Side      Side          // AnySide if not set
	Before    float64       // answer Unavailable without doing the work
	LoseReply float64       // do the work, then answer Unavailable
	Cut       float64       // do the work, then close the connection
	Delay     float64       // wait up to MaxDelay before the work
	MaxDelay  time.Duration // 5 ms if not set
}

// RandomFaults hits calls at random from now on, in a sequence that only
// source decides. A nil source ends it.
func (s *Server) RandomFaults(source rand.Source, rates Rates) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.random = nil
	if source != nil {
		if rates.MaxDelay == 0 {
			rates.MaxDelay = 5 * time.Millisecond
		}
		s.faults.random, s.faults.rates = rand.New(source), rates
	}
}

type faultPlan struct {
	mu       sync.Mutex
	injected []*Injected
	random   *rand.Rand
	rates    Rates
}

// hits returns the faults that hit a call.
func (p *faultPlan) hits(method string, kind Side) []*Injected {
	p.mu.Lock()
	defer p.mu.Unlock()
	var hit []*Injected
	kept := p.injected[:0]
	for _, i := range p.injected {
		if i.removed {
			continue
		}
		kept = append(kept, i)
		if !i.fault.Side.includes(kind) || !methodMatches(method, i.fault.Method) {
			continue
		}
		i.seen++
		first, count := max(i.fault.Nth, 1), i.fault.Count
		if count == 0 {
			count = 1
		}
		if i.seen >= first && (count < 0 || i.seen < first+count) {
			hit = append(hit, i)
		}
	}
	p.injected = kept
	if f, ok := p.draw(method, kind); ok {
		hit = append(hit, &Injected{fault: f, plan: p, first: make(chan struct{})})
	}
	return hit
}

func (p *faultPlan) draw(method string, kind Side) (Fault, bool) {
	if p.random == nil || !p.rates.Side.includes(kind) {
		return Fault{}, false
	}
	match := len(p.rates.Methods) == 0 && !methodMatches(method, "Health/Check")
	for _, m := range p.rates.Methods {
		match = match || methodMatches(method, m)
	}
	if !match {
		return Fault{}, false
	}
	// Always draw the same number of values, so that the sequence of one rate
	// does not depend on the others.
	before, lose, cut, delay, length := p.random.Float64(), p.random.Float64(), p.random.Float64(), p.random.Float64(), p.random.Float64()
	f := Fault{LoseReply: lose < p.rates.LoseReply, Cut: cut < p.rates.Cut}
	if before < p.rates.Before {
		f.Before = errInjected
	}
	if delay < p.rates.Delay {
		f.Delay = time.Duration(length * float64(p.rates.MaxDelay))
	}
	return f, f.LoseReply || f.Cut || f.Before != nil || f.Delay > 0
}

var (
	errInjected  = status.Error(codes.Unavailable, "injected fault")
	errReplyLost = status.Error(codes.Unavailable, "error reading from server: EOF (injected)")
)

// before has the effects that come before the work.
func (i *Injected) before(ctx context.Context) error {
	i.plan.mu.Lock()
	i.fired++
	if i.fired == 1 {
		close(i.first)
	}
	i.plan.mu.Unlock()
	if i.fault.Delay > 0 {
		timer := time.NewTimer(i.fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
	if err := block(ctx, i.fault.Stall); err != nil {
		return err
	}
	return i.fault.Before
}

// after has the effects that come after the work; err is what the work gave.
func (i *Injected) after(ctx context.Context, err error, cut func()) error {
	if blocked := block(ctx, i.fault.StallReply); blocked != nil {
		return blocked
	}
	if i.fault.Cut {
		cut()
		return errReplyLost
	}
	if i.fault.LoseReply {
		return errReplyLost
	}
	return err
}

func block(ctx context.Context, until <-chan struct{}) error {
	if until == nil {
		return nil
	}
	select {
	case <-until:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}
