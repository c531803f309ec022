// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1" // for senders that have no other
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// scheme is how senders prove who they are.
type scheme struct {
	// before checks what does not take the body. A nil proof is all there is to
	// check; otherwise the proof is checked with the body.
	before func(r *http.Request, secrets []secret, now time.Time) (*proof, error)
	// ids are the headers of which the first that is there is the request's id.
	ids []string
	// field is the member of a body in JSON that is its id, "" if it has none.
	field string
	// headers are those which records keep.
	headers []string
}

// proof is a signature, of which any is enough that one of the secrets has made.
type proof struct {
	hash       func() hash.Hash
	before     string // what was signed in front of the body
	after      string // and behind it
	signatures [][]byte
	asymmetric [][]byte // signatures by Ed25519
}

// So many signatures of a request are looked at. To check one by Ed25519, all of
// the body is hashed once more.
const (
	maxSignatures = 16
	maxAsymmetric = 4
)

// errWrong is all that a sender is told of a signature that is not right.
var errWrong = errors.New("the signature is not right")

// beside is how much memory it takes to check a body of so many bytes, besides
// the body.
func (p *proof) beside(secrets []secret, body int) int {
	if len(p.asymmetric) > 0 && slices.ContainsFunc(secrets, func(s secret) bool { return s.public != nil }) {
		return body
	}
	return 0
}

// check compares the signatures of a body, all of them with all secrets, so that
// the time it takes tells nothing of which.
func (p *proof) check(secrets []secret, body []byte) error {
	good := false
	for _, s := range secrets {
		if s.public != nil && len(p.asymmetric) == 0 {
			continue
		}
		if s.public != nil {
			message := slices.Concat([]byte(p.before), body, []byte(p.after))
			for _, signature := range p.asymmetric {
				if ed25519.Verify(s.public, message, signature) {
					good = true
				}
			}
			continue
		}
		mac := hmac.New(p.hash, s.key)
		mac.Write([]byte(p.before))
		mac.Write(body)
		mac.Write([]byte(p.after))
		sum := mac.Sum(nil)
		for _, signature := range p.signatures {
			if hmac.Equal(signature, sum) {
				good = true
			}
		}
	}
	if !good {
		return errWrong
	}
	return nil
}

// schemeOf is the scheme of an endpoint.
func schemeOf(e settings.WebhookEndpoint) scheme {
	switch e.Auth {
	case "standard":
		return scheme{before: standard(e.Tolerance.Std()), ids: []string{"Webhook-Id", "Svix-Id"}, headers: []string{"Webhook-Id", "Svix-Id", "Webhook-Timestamp", "Svix-Timestamp"}}
	case "github":
		return scheme{before: signed("X-Hub-Signature-256", "sha256=", sha256.New, hex.DecodeString), ids: []string{"X-Github-Delivery"},
			headers: []string{"X-Github-Delivery", "X-Github-Event", "X-Github-Hook-Id"}}
	case "stripe":
		return scheme{before: stripe(e.Tolerance.Std()), field: "id"}
	case "slack":
		return scheme{before: slack(e.Tolerance.Std()), field: "event_id", headers: []string{"X-Slack-Retry-Num", "X-Slack-Retry-Reason"}}
	case "shopify":
		return scheme{before: signed("X-Shopify-Hmac-Sha256", "", sha256.New, base64.StdEncoding.DecodeString), ids: []string{"X-Shopify-Event-Id", "X-Shopify-Webhook-Id"},
			headers: []string{"X-Shopify-Topic", "X-Shopify-Shop-Domain", "X-Shopify-Event-Id", "X-Shopify-Webhook-Id", "X-Shopify-Triggered-At", "X-Shopify-Api-Version"}}
	case "gitlab":
		return scheme{before: token(func(r *http.Request) string { return r.Header.Get("X-Gitlab-Token") }, "the header X-Gitlab-Token"), ids: []string{"Idempotency-Key", "X-Gitlab-Event-Uuid"},
			headers: []string{"X-Gitlab-Event", "X-Gitlab-Event-Uuid", "X-Gitlab-Instance"}}
	case "hmac":
		return scheme{before: generic(e)}
	case "bearer":
		return scheme{before: token(bearer, "a bearer token in the header Authorization")}
	case "basic":
		return scheme{before: token(basic, "a user name and a password in the header Authorization")}
	case "certificate":
		return scheme{before: certificate(e.ClientNames)}
	case "none":
		return scheme{before: func(*http.Request, []secret, time.Time) (*proof, error) { return nil, nil }}
	}
	return scheme{before: func(*http.Request, []secret, time.Time) (*proof, error) {
		return nil, errors.New("nobody is let in") // validation has said so
	}}
}

// one is the value of a header that must be there once: of two, another server
// on the way may look at the other one.
func one(r *http.Request, name string) (string, error) {
	switch values := r.Header.Values(name); {
	case len(values) == 0 || values[0] == "":
		return "", fmt.Errorf("the header %s is missing", name)
	case len(values) > 1:
		return "", fmt.Errorf("the header %s is there %d times", name, len(values))
	default:
		return values[0], nil
	}
}

// fresh checks a time in seconds.
func fresh(text string, now time.Time, tolerance time.Duration) error {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<40 {
		return errors.New("the timestamp is not a number of seconds since 1970")
	}
	if away := now.Sub(time.Unix(seconds, 0)).Abs(); away > tolerance {
		return fmt.Errorf("the timestamp is more than %s away from now, %d", settings.Duration(tolerance), now.Unix())
	}
	return nil
}

// standard is that of Standard Webhooks and Svix.
func standard(tolerance time.Duration) func(*http.Request, []secret, time.Time) (*proof, error) {
	return func(r *http.Request, _ []secret, now time.Time) (*proof, error) {
		prefix := "Webhook-"
		if r.Header.Get("Webhook-Id") == "" && r.Header.Get("Svix-Id") != "" {
			prefix = "Svix-"
		}
		var values [3]string
		for i, name := range []string{"Id", "Timestamp", "Signature"} {
			var err error
			if values[i], err = one(r, prefix+name); err != nil {
				return nil, err
			}
		}
		if err := fresh(values[1], now, tolerance); err != nil {
			return nil, err
		}
		p := &proof{hash: sha256.New, before: values[0] + "." + values[1] + "."}
		for i, entry := range strings.Fields(values[2]) {
			version, text, _ := strings.Cut(entry, ",")
			signature, err := base64.StdEncoding.DecodeString(text)
			if err != nil || i >= maxSignatures {
				continue
			}
			switch version {
			case "v1":
				p.signatures = append(p.signatures, signature)
			case "v1a":
				if len(p.asymmetric) < maxAsymmetric {
					p.asymmetric = append(p.asymmetric, signature)
				}
			}
		}
		return p, nil
	}
}

// signed is a signature of the body alone in a header.
func signed(header, prefix string, of func() hash.Hash, decode func(string) ([]byte, error)) func(*http.Request, []secret, time.Time) (*proof, error) {
	return func(r *http.Request, _ []secret, _ time.Time) (*proof, error) {
		signature, err := signatureIn(r, header, prefix, decode)
		if err != nil {
			return nil, err
		}
		return &proof{hash: of, signatures: [][]byte{signature}}, nil
	}
}

func signatureIn(r *http.Request, header, prefix string, decode func(string) ([]byte, error)) ([]byte, error) {
	text, err := one(r, header)
	if err != nil {
		return nil, err
	}
	text, ok := strings.CutPrefix(text, prefix)
	signature, err := decode(text)
	if !ok || err != nil || len(signature) == 0 {
		return nil, fmt.Errorf("the header %s has no signature of the form that it should have", header)
	}
	return signature, nil
}

// stripe is that of Stripe.
func stripe(tolerance time.Duration) func(*http.Request, []secret, time.Time) (*proof, error) {
	return func(r *http.Request, _ []secret, now time.Time) (*proof, error) {
		text, err := one(r, "Stripe-Signature")
		if err != nil {
			return nil, err
		}
		p, at := &proof{hash: sha256.New}, ""
		for i, part := range strings.Split(text, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch signature, err := hex.DecodeString(value); {
			case i >= maxSignatures:
			case name == "t":
				at = value
			case name == "v1" && err == nil:
				p.signatures = append(p.signatures, signature)
			}
		}
		p.before = at + "."
		return p, fresh(at, now, tolerance)
	}
}

// slack is that of Slack.
func slack(tolerance time.Duration) func(*http.Request, []secret, time.Time) (*proof, error) {
	return func(r *http.Request, _ []secret, now time.Time) (*proof, error) {
		at, err := one(r, "X-Slack-Request-Timestamp")
		if err != nil {
			return nil, err
		}
		if err := fresh(at, now, tolerance); err != nil {
			return nil, err
		}
		signature, err := signatureIn(r, "X-Slack-Signature", "v0=", hex.DecodeString)
		return &proof{hash: sha256.New, before: "v0:" + at + ":", signatures: [][]byte{signature}}, err
	}
}

var hashes = map[string]func() hash.Hash{"sha256": sha256.New, "sha512": sha512.New, "sha1": sha1.New}

// generic is a signature of the form that the settings say.
func generic(e settings.WebhookEndpoint) func(*http.Request, []secret, time.Time) (*proof, error) {
	decode := hex.DecodeString
	if e.SignatureEncoding == "base64" {
		decode = base64.StdEncoding.DecodeString
	}
	before, after, _ := strings.Cut(e.SignatureText, "{body}")
	_, idHeader, _ := strings.Cut(e.ID, ":")
	return func(r *http.Request, _ []secret, now time.Time) (*proof, error) {
		signature, err := signatureIn(r, e.SignatureHeader, e.SignaturePrefix, decode)
		if err != nil {
			return nil, err
		}
		var values []string
		if e.TimestampHeader != "" {
			at, err := one(r, e.TimestampHeader)
			if err != nil {
				return nil, err
			}
			if err := fresh(at, now, e.Tolerance.Std()); err != nil {
				return nil, err
			}
			values = append(values, "{timestamp}", at)
		}
		if strings.Contains(e.SignatureText, "{id}") {
			id, err := one(r, idHeader)
			if err != nil {
				return nil, err
			}
			values = append(values, "{id}", id)
		}
		fill := strings.NewReplacer(values...)
		return &proof{hash: hashes[e.SignatureHash], before: fill.Replace(before), after: fill.Replace(after), signatures: [][]byte{signature}}, nil
	}
}

// token is a text that only the sender knows.
func token(of func(*http.Request) string, what string) func(*http.Request, []secret, time.Time) (*proof, error) {
	return func(r *http.Request, secrets []secret, _ time.Time) (*proof, error) {
		given, good := of(r), false
		if given == "" {
			return nil, errors.New(what + " is missing")
		}
		for i := range secrets {
			if secrets[i].matches(given) {
				good = true
			}
		}
		if !good {
			return nil, errors.New(what + " is not right")
		}
		return nil, nil
	}
}

func bearer(r *http.Request) string {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(rest)
}

func basic(r *http.Request) string {
	user, password, ok := r.BasicAuth()
	if !ok {
		return ""
	}
	return user + ":" + password
}

// certificate is a client certificate with one of some names, if there are any.
func certificate(names []string) func(*http.Request, []secret, time.Time) (*proof, error) {
	return func(r *http.Request, _ []secret, _ time.Time) (*proof, error) {
		if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
			return nil, errors.New("a client certificate is missing")
		}
		if client := r.TLS.VerifiedChains[0][0]; len(names) > 0 && !slices.ContainsFunc(namesOf(client), func(name string) bool { return slices.Contains(names, name) }) {
			return nil, errors.New("the client certificate has none of the names that may send")
		}
		return nil, nil
	}
}

func namesOf(c *x509.Certificate) []string {
	names := append([]string{c.Subject.CommonName}, c.DNSNames...)
	for _, uri := range c.URIs {
		names = append(names, uri.String())
	}
	return append(names, c.EmailAddresses...)
}
