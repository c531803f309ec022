// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
)

// Handshakes are questions by which senders find out whether they may send. An
// endpoint answers those that are switched on.

// question answers what is no event: other methods than POST.
func (e *endpoint) question(w http.ResponseWriter, r *http.Request) error {
	switch {
	case r.Method == http.MethodOptions && e.hasHandshake("cloudevents"):
		return e.allowOrigin(w, r)
	case r.Method == http.MethodGet && e.hasHandshake("challenge"):
		return e.hubChallenge(w, r)
	case r.Method == http.MethodHead && e.hasHandshake("head"):
		w.WriteHeader(http.StatusOK)
		return nil
	}
	return &refusal{status: http.StatusMethodNotAllowed, reason: "method", text: "events are sent by POST"}
}

// allowOrigin is the protection against abuse of CloudEvents' web hooks: the
// sender asks whether it may send.
func (e *endpoint) allowOrigin(w http.ResponseWriter, r *http.Request) error {
	origin, err := one(r, "Webhook-Request-Origin")
	if err != nil || len(origin) > maxChallenge || !plainChallenge(origin) {
		return malformed("the header WebHook-Request-Origin is missing, or no name")
	}
	w.Header().Set("Allow", http.MethodPost)
	w.Header()["WebHook-Allowed-Origin"] = []string{origin}
	rate := "*"
	if e.MaxRate > 0 {
		const minute = 60
		rate = strconv.Itoa(e.MaxRate * minute)
	}
	w.Header()["WebHook-Allowed-Rate"] = []string{rate}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

const maxChallenge = 1024

// plainChallenge says whether a text can be sent back without being taken for
// anything else.
func plainChallenge(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c > '~' || c == '<' || c == '>' || c == '"' || c == '&' {
			return false
		}
	}
	return text != ""
}

// hubChallenge is that of WebSub and of Meta, who knows the token.
func (e *endpoint) hubChallenge(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	good := false
	tokens := e.tokens.current()
	for i := range tokens {
		if tokens[i].matches(query.Get("hub.verify_token")) {
			good = true
		}
	}
	challenge := query.Get("hub.challenge")
	switch {
	case !good:
		return &refusal{status: http.StatusForbidden, reason: "unauthorized", text: "hub.verify_token is not right"}
	case query.Get("hub.mode") != "subscribe" || len(challenge) > maxChallenge || !plainChallenge(challenge):
		return malformed("hub.mode must be subscribe, with a hub.challenge")
	}
	echo(w, challenge)
	return nil
}

// slackChallenge answers url_verification, which Slack signs as it does events.
func (e *endpoint) slackChallenge(w http.ResponseWriter, events []event) (answered bool, err error) {
	if !e.hasHandshake("slack") || len(events) != 1 || len(events[0].records) != 1 {
		return false, nil
	}
	body := events[0].records[0].Value
	if !bytes.Contains(body, []byte("url_verification")) {
		return false, nil
	}
	if kind, ok := fieldIn(body, []string{"type"}); !ok || kind != "url_verification" {
		return false, nil
	}
	challenge, _ := fieldIn(body, []string{"challenge"})
	if len(challenge) > maxChallenge || !plainChallenge(challenge) {
		return true, malformed("the challenge is missing, or no plain text")
	}
	echo(w, challenge)
	return true, nil
}

func echo(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	fmt.Fprint(w, text)
}
