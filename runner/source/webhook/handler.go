// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// answerTime is how long a sender may take to read the answer.
const answerTime = 10 * time.Second

// ServeHTTP answers a request.
func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	control, s := http.NewResponseController(w), l.source
	// It holds for what of a body nobody reads, too. Errors: the connection is gone, as the next call will find.
	control.SetReadDeadline(time.Now().Add(s.config.BodyTimeout.Std())) //nolint:errcheck // see above
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if r.URL.Path == settings.WebhookHealth && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		fmt.Fprintln(w, "ok")
		return
	}
	e := s.byPath[r.URL.Path]
	err := error(&refusal{status: http.StatusNotFound, reason: "not found", text: "there is no such endpoint"})
	switch {
	case !l.requests.enter():
		err = errClosing
	case e == nil:
		l.requests.leave()
	default:
		defer l.requests.leave() // however serving ends: closing waits for it
		err = s.serve(e, w, r, control, l.conns)
	}
	var refused *refusal
	if errors.As(err, &refused) {
		s.refuse(e, w, r, refused, control)
	}
}

// refuse tells the sender why.
func (s *Source) refuse(e *endpoint, w http.ResponseWriter, r *http.Request, why *refusal, control *http.ResponseController) {
	name := "none"
	if e != nil {
		name = e.name
	}
	s.refusals.add(name, why, r.RemoteAddr)
	if why.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(why.after.Seconds()))))
	}
	switch why.status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case http.StatusUnauthorized:
		if e != nil && e.Auth == "basic" {
			w.Header().Set("WWW-Authenticate", `Basic realm="webhook"`)
		}
	}
	if r.ContentLength != 0 { // of which not all may have been read
		w.Header().Set("Connection", "close")
	}
	control.SetWriteDeadline(time.Now().Add(answerTime)) //nolint:errcheck // the write fails then
	http.Error(w, why.text, why.status)
}

// serve answers a request to an endpoint; the error is a *refusal, nil if it was
// answered.
func (s *Source) serve(e *endpoint, w http.ResponseWriter, r *http.Request, control *http.ResponseController, conns *connections) error {
	if r.Method != http.MethodPost {
		return e.question(w, r)
	}
	arrived := time.Now()
	// Only a request that holds nothing yet waits for memory: others would wait
	// for each other.
	var held int
	room := func(n int) bool {
		until := arrived
		if held == 0 {
			until = until.Add(s.config.AckTimeout.Std() / 2)
		}
		if !s.memory.take(n, until, conns.giveUpSlow) {
			return false
		}
		held += n
		return true
	}
	giveBack := func() { s.memory.give(held) }
	read := conns.reads(r)
	p := place{endpoint: e}
	defer p.leave()
	events, err := s.receive(e, r, arrived, room, &p)
	read()
	if err == nil {
		var answered bool
		if answered, err = e.slackChallenge(w, events); !answered {
			answered, err = e.confirmSubscription(r.Context(), w, r, events)
		}
		if answered {
			giveBack()
			return err
		}
	}
	if err != nil {
		giveBack()
		return err
	}
	// The body was read: a deadline that passes from now on would end the request.
	control.SetReadDeadline(time.Time{}) //nolint:errcheck // the connection is gone, as will be seen
	d := &delivery{endpoint: e, arrived: arrived, answered: e.Ack == "received", memory: held, back: s.memory.give, done: make(chan struct{})}
	waitFor, known, ok := s.offer(d, events)
	if d.count == 0 {
		giveBack()
	}
	if !ok {
		return errClosing
	}
	if !d.answered {
		if err := s.await(r.Context(), d, waitFor); err != nil {
			return err
		}
	}
	control.SetWriteDeadline(time.Now().Add(answerTime)) //nolint:errcheck // the write fails then
	w.Header().Set("Content-Type", "application/json")
	if d.answered {
		w.WriteHeader(http.StatusAccepted)
	}
	fmt.Fprintf(w, `{"records":%d,"known":%d}`+"\n", d.count, known)
	return nil
}

var errClosing = &refusal{status: http.StatusServiceUnavailable, reason: "unavailable", text: "not ready; send this again later", after: time.Second}

// await waits until deliveries are durable.
func (s *Source) await(ctx context.Context, d *delivery, waitFor []*delivery) error {
	s.count(1)
	defer s.count(-1)
	timer := time.NewTimer(time.Until(d.arrived.Add(s.config.AckTimeout.Std())))
	defer timer.Stop()
	for _, one := range waitFor {
		select {
		case <-one.done:
			if !one.durable {
				s.withdraw(d)
				return errClosing
			}
		case <-timer.C:
			s.withdraw(d)
			return &refusal{status: http.StatusServiceUnavailable, reason: "timeout", text: "this is not committed yet; send it again", after: time.Second}
		case <-ctx.Done(): // the sender is gone
			s.withdraw(d)
			return &refusal{status: http.StatusServiceUnavailable, reason: "gone", text: "the sender is gone"}
		}
	}
	return nil
}

func (s *Source) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests += n
}

// receive reads a request and takes it apart, if its sender may send.
func (s *Source) receive(e *endpoint, r *http.Request, arrived time.Time, room func(int) bool, p *place) ([]event, error) {
	secrets := e.secrets.current()
	proof, err := e.scheme.before(r, secrets, arrived)
	if err != nil {
		return nil, unauthorized(err)
	}
	if proof == nil {
		if err := p.enter(); err != nil {
			return nil, err
		}
	}
	limit := s.unpack.limit
	if r.ContentLength > int64(limit) {
		return nil, tooLarge("the body has more than %d bytes", limit)
	}
	if len(r.Header.Values("Content-Encoding")) > 1 {
		return nil, malformed("there is more than one Content-Encoding")
	}
	body, err := readAll(r.Body, r.ContentLength, limit, room)
	if err != nil {
		return nil, brokenBody(err)
	}
	if proof != nil {
		if more := proof.beside(secrets, len(body)); more > 0 && !room(more) {
			return nil, errNoRoom
		}
		if err := proof.check(secrets, body); err != nil {
			return nil, unauthorized(err)
		}
		if err := p.enter(); err != nil {
			return nil, err
		}
	}
	if !e.rate.allows(arrived) {
		return nil, &refusal{status: http.StatusTooManyRequests, reason: "rate", text: "too many requests per second", after: time.Second}
	}
	s.received(len(body))
	if body, err = s.unpack.unpack(r.Header.Get("Content-Encoding"), body, room); err != nil {
		return nil, err
	}
	return (&received{endpoint: e, header: r.Header, request: r, body: body, at: arrived, room: room, most: s.memory.limit / requestShare, remembered: s.config.IDs > 0}).events()
}

// requestShare is the part of the memory that the records of one request may
// take, besides its body.
const requestShare = 2

func (s *Source) received(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += int64(n)
}

func unauthorized(err error) *refusal {
	return &refusal{status: http.StatusUnauthorized, reason: "unauthorized", text: err.Error()}
}

// brokenBody is the answer to a body that cannot be read to its end.
func brokenBody(err error) *refusal {
	var refused *refusal
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &timeout) && timeout.Timeout():
		return &refusal{status: http.StatusRequestTimeout, reason: "slow", text: "the request came too slowly"}
	}
	return malformed("the body is cut off")
}

// refusals count what was not taken, and tell the log now and then.
type refusals struct {
	log hclog.Logger

	mu     sync.Mutex
	counts map[string]int64 // by reason; those that never were one, too
	told   map[string]*sparing
}

// reasons are all that there are.
var reasons = []string{"unauthorized", "malformed", "too large", "rate", "concurrency", "memory", "slow", "timeout", "gone", "unavailable", "method", "not found"}

func newRefusals(log hclog.Logger) *refusals {
	c := &refusals{log: log, counts: map[string]int64{}, told: map[string]*sparing{}}
	for _, reason := range reasons {
		c.counts[reason] = 0
	}
	return c
}

func (c *refusals) add(endpoint string, why *refusal, from string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[why.reason]++
	key := endpoint + " " + why.reason
	if c.told[key] == nil {
		c.told[key] = &sparing{}
	}
	omitted, ok := c.told[key].may(time.Now())
	if !ok {
		return
	}
	c.log.Warn("a request was refused", "endpoint", endpoint, "status", why.status, "reason", strings.ToValidUTF8(why.text, "?"), "from", from, "not_told", omitted)
}

func (c *refusals) totals() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}
