// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// endpoint is one path that senders can send to.
type endpoint struct {
	settings.WebhookEndpoint
	name    string
	scheme  scheme
	secrets *secrets
	tokens  *secrets // of the handshake challenge
	id      settings.Reference
	rate    rate
	log     hclog.Logger

	confirmer *http.Client // of the handshake sns

	// Guarded by the source's mutex.
	next        int64 // ordinal of the next record that is given out
	queue       []*delivery
	given       []*delivery // that are in no FINISHED commit yet
	redelivered int64       // records that came again, and that Next has not told of yet

	mu          sync.Mutex
	active      int     // requests
	unconfirmed sparing // subscriptions
}

func newEndpoint(name string, e settings.WebhookEndpoint, log hclog.Logger) *endpoint {
	out := &endpoint{WebhookEndpoint: e, name: name, scheme: schemeOf(e), rate: rate{perSecond: float64(e.MaxRate)}, log: log, confirmer: newConfirmer(),
		secrets: newSecrets(e.SecretFiles, e.Auth, log), tokens: newSecrets(e.TokenFiles, "token", log)}
	if ref, err := settings.ParseReference(e.ID); err == nil {
		out.id = ref
	}
	return out
}

// load reads the secrets. An endpoint without one is not opened.
func (e *endpoint) load() error {
	if len(e.SecretFiles) == 0 && e.Auth != "none" && e.Auth != "certificate" {
		return fmt.Errorf("it has no secret for the auth %s", e.Auth) // validation has said so
	}
	if e.Auth == "none" && !e.Open {
		return fmt.Errorf("it has the auth none without allow_unauthenticated")
	}
	if err := e.secrets.load(); err != nil {
		return err
	}
	return e.tokens.load()
}

func (e *endpoint) hasHandshake(name string) bool { return slices.Contains(e.Handshakes, name) }

// place is one of those that an endpoint has for requests. Only who may send
// takes one: strangers could else hold them all by bodies that do not come.
type place struct {
	endpoint *endpoint
	taken    bool
}

func (p *place) enter() error {
	p.endpoint.mu.Lock()
	defer p.endpoint.mu.Unlock()
	if p.endpoint.MaxConcurrency > 0 && p.endpoint.active >= p.endpoint.MaxConcurrency {
		return &refusal{status: http.StatusTooManyRequests, reason: "concurrency", text: "too many requests at once", after: time.Second}
	}
	p.endpoint.active++
	p.taken = true
	return nil
}

func (p *place) leave() {
	if p.taken {
		p.endpoint.mu.Lock()
		defer p.endpoint.mu.Unlock()
		p.endpoint.active--
	}
}

// crowded says whether no more requests can come before one is answered.
func (e *endpoint) crowded() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.MaxConcurrency > 0 && e.active >= e.MaxConcurrency
}

// rate lets so many requests per second pass, and as many at once.
type rate struct {
	perSecond float64 // 0: no limit

	mu    sync.Mutex
	left  float64
	since time.Time
}

func (r *rate) allows(now time.Time) bool {
	if r.perSecond <= 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since.IsZero() {
		r.left = r.perSecond
	} else if passed := now.Sub(r.since).Seconds(); passed > 0 {
		r.left = min(r.perSecond, r.left+passed*r.perSecond)
	}
	r.since = now
	if r.left < 1 {
		return false
	}
	r.left--
	return true
}
