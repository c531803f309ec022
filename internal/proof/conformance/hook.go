// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// hook stops the loop at a call of the source.
type hook struct {
	mu      sync.Mutex
	call    string // next or acknowledge; "" for none
	after   bool   // once it is done, and not before
	nth     int
	reached chan struct{}
	goOn    chan struct{} // closed when the call may go on
}

// arm has the nth call of a kind stopped.
func (h *hook) arm(call string, after bool, nth int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.call, h.after, h.nth, h.reached, h.goOn = call, after, nth, make(chan struct{}), make(chan struct{})
}

// at stops a call if it is the one.
func (h *hook) at(call string, after bool) {
	h.mu.Lock()
	if h.call != call || h.after != after {
		h.mu.Unlock()
		return
	}
	if h.nth--; h.nth != 0 {
		h.mu.Unlock()
		return
	}
	h.call = ""
	reached, goOn := h.reached, h.goOn
	h.mu.Unlock()
	close(reached)
	<-goOn
}

// hooked is a source whose calls can be stopped.
type hooked struct {
	source.Source
	hook *hook
}

func (s *hooked) Next(ctx context.Context) (*source.Chunk, error) {
	s.hook.at("next", false)
	chunk, err := s.Source.Next(ctx)
	if err == nil {
		s.hook.at("next", true)
	}
	return chunk, err
}

func (s *hooked) Acknowledge(ctx context.Context, position json.RawMessage) {
	s.hook.at("acknowledge", false)
	s.Source.Acknowledge(ctx, position)
	s.hook.at("acknowledge", true)
}
