// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"maps"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/address"
)

// Webhook says which requests are taken, and from whom.
type Webhook struct {
	Endpoints Objects[WebhookEndpoint] `env:"SPOUT_WEBHOOK_ENDPOINTS" attribute:"endpoints" required:"true" doc:"What senders can send to, by name. The name is the endpoint's in records, paths and metrics: lower-case letters, digits, ´-´ and ´_´."`
	Address   string                   `env:"SPOUT_WEBHOOK_ADDRESS" attribute:"address" doc:"IP address to listen on. Left out, all addresses of the pod."`
	Port      int                      `env:"SPOUT_WEBHOOK_PORT" attribute:"port" default:"8080" doc:"Port to listen on. It is not that of the status page, SPOUT_HTTP_PORT. A Kubernetes service leads to it, for example that of the attribute ´service´. ´GET /healthz´ is answered there, too, while requests are taken."`

	AckTimeout   Duration `env:"SPOUT_WEBHOOK_ACK_TIMEOUT" attribute:"ack_timeout" default:"2500ms" doc:"How long a request may wait until its records are in a FINISHED commit. Then it is answered with 503 and ´Retry-After´. It must be less than the sender waits (Slack: 3s, Shopify: 5s, GitHub: 10s). A batch ends after half of it, so there is no need to lower SPOUT_BATCH_MAX_AGE."`
	MaxBody      Bytes    `env:"SPOUT_WEBHOOK_MAX_BODY_BYTES" attribute:"max_body_bytes" default:"0" doc:"Most bytes that a request's body may have, as it comes and after decompression. A larger one is answered with 413. At most a sixteenth of SPOUT_MEMORY_BUDGET. 0 allows 8MiB, or that sixteenth if it is less."`
	BodyTimeout  Duration `env:"SPOUT_WEBHOOK_BODY_TIMEOUT" attribute:"body_timeout" default:"10s" doc:"How long a sender may take to send a request. Then the connection is closed."`
	Connections  int      `env:"SPOUT_WEBHOOK_MAX_CONNECTIONS" attribute:"max_connections" default:"512" doc:"Most connections at once, and so most requests that can wait for a commit. Beyond that, idle connections are closed, then new ones."`
	IDs          int      `env:"SPOUT_WEBHOOK_MAX_IDS" attribute:"max_ids" default:"10000" doc:"How many ids of requests to remember, of all endpoints together, so that what is sent again is not written again. They are kept in each commit's description, 11 bytes each. At most 50000."`
	IDAge        Duration `env:"SPOUT_WEBHOOK_MAX_ID_AGE" attribute:"max_id_age" default:"72h" doc:"How long to remember them. It should be as long as senders try again: with Standard Webhooks about 3 days."`
	ClientCA     string   `env:"SPOUT_WEBHOOK_CLIENT_CA" attribute:"client_ca_certificate" pem:"true" doc:"Certificates of the authorities whose client certificates are taken, in PEM, for endpoints with the authentication ´certificate´."`
	ClientCAFile string   `env:"SPOUT_WEBHOOK_CLIENT_CA_FILE" attribute:"client_ca_file" doc:"File with such certificates, of a secret that is mounted into the pod."`

	AllowCleartext bool `env:"SPOUT_WEBHOOK_ALLOW_CLEARTEXT_CREDENTIALS" attribute:"allow_cleartext_credentials" default:"false" doc:"Whether the authentication of ´bearer´, ´basic´ and ´gitlab´ may come without TLS, for example from an ingress that ends TLS. Everybody on the way from there can read it. Signatures hold no secret, and need none of this."`

	TLS      Certificate `attribute:"tls_secret" prefix:"SPOUT_WEBHOOK_TLS" doc:"Kubernetes secret with the certificate with which the runner answers. Without it, and without files, requests come over plain HTTP."`
	CertFile string      `env:"SPOUT_WEBHOOK_TLS_CERT_FILE" attribute:"tls_certificate_file" doc:"File with that certificate in PEM, of a secret that is mounted into the pod. The runner reads it again for each connection, so a certificate can be renewed while the spout runs."`
	KeyFile  string      `env:"SPOUT_WEBHOOK_TLS_KEY_FILE" attribute:"tls_private_key_file" doc:"File with the key of that certificate in PEM."`
}

// WebhookEndpoint is one path that senders can send to.
type WebhookEndpoint struct {
	Path        string   `attribute:"path" doc:"Path of the URL. Default: ´/´ and the endpoint's name."`
	Auth        string   `attribute:"auth" required:"true" doc:"How senders prove who they are. Requests that do not are answered with 401." values:"standard: Standard Webhooks and Svix, with a secret ´whsec_…´ or a public key ´whpk_…´|github: the signature of GitHub|stripe: that of Stripe|slack: that of Slack|shopify: that of Shopify|gitlab: the token of GitLab|hmac: another kind of signature. See ´signature_header´|bearer: a token in the header ´Authorization´|basic: user name and password, as ´user:password´ in the secret|certificate: a client certificate of an authority in SPOUT_WEBHOOK_CLIENT_CA|none: not at all. It also takes ´allow_unauthenticated´"`
	SecretFiles []string `attribute:"secret_files" set:"true" doc:"Files with one secret each, of Kubernetes secrets that are mounted into the pod, for example by ´secret_mounts´. Any of them is good, so that a secret can be replaced without a request refused. The runner reads them again when they change."`
	ClientNames []string `attribute:"client_names" set:"true" doc:"With ´certificate´: names of which the certificate must have one, as its common name or as an alternative name. Left out, all certificates of the authorities are good."`
	Open        bool     `attribute:"allow_unauthenticated" default:"false" doc:"With ´none´: must be ´true´, since everybody who reaches the endpoint can then write into the output repo."`

	Body string `attribute:"body" default:"whole" doc:"What a body holds. All of its records are taken, or none: what is wrong with one of them is answered with 400." values:"whole: one record, as the body came, but for a byte order mark in front of JSON|ndjson: a record on each line, in JSON|json_array: an array in JSON, each element a record|multipart: a record for each part, for example a file|form_payload: one record, the field ´payload´ of a form, as GitHub and Slack send it. A body that is JSON already is taken as it is|cloudevents: CloudEvents 1.0 in the binary, structured or batched mode. The record is the event's data, and its headers are the attributes"`
	ID   string `attribute:"id" doc:"Where a request's id is, by which one that comes again is recognised. Default: what ´auth´ has for it. CloudEvents have their own ids." forms:"header:NAME: in a header\nvalue:FIELD: in a body that is JSON. With ´ndjson´ and ´json_array´, in each record\nnone: nowhere"`
	Ack  string `attribute:"ack" default:"committed" doc:"When a request is answered." values:"committed: with 200 once its records are in a FINISHED commit|received: with 202 at once. What is not committed yet when the pod dies is lost"`

	Handshakes []string `attribute:"handshakes" set:"true" doc:"Questions of senders to answer, by which they find out whether they may send. Left out, none." forms:"slack: ´url_verification´\ncloudevents: ´OPTIONS´ with ´WebHook-Request-Origin´\nchallenge: ´GET´ with ´hub.challenge´ and ´hub.verify_token´, of Meta and WebSub\nhead: ´HEAD´, for example of Trello and Mailchimp\nsns: ´SubscriptionConfirmation´ of Amazon SNS. The runner fetches its link if it is one of ´https://sns.REGION.amazonaws.com´"`
	TokenFiles []string `attribute:"verify_token_files" set:"true" doc:"With the handshake ´challenge´: files with one token each that ´hub.verify_token´ may be."`
	Headers    []string `attribute:"headers" set:"true" doc:"Headers of requests to keep in records, besides ´Content-Type´ and those by which the sender of ´auth´ names the event. Besides names of headers, it can have these." forms:":path: the request's path\n:query: its query\n:remote: the address of its sender"`

	SignatureHeader   string   `attribute:"signature_header" doc:"With ´hmac´: the header with the signature."`
	SignaturePrefix   string   `attribute:"signature_prefix" doc:"With ´hmac´: what is in front of the signature, for example ´sha256=´."`
	SignatureText     string   `attribute:"signature_text" default:"{body}" doc:"With ´hmac´: what is signed." forms:"{body}: the body as it came\n{timestamp}: the header in ´timestamp_header´\n{id}: the header in ´id´"`
	SignatureHash     string   `attribute:"signature_hash" default:"sha256" doc:"With ´hmac´: the hash." values:"sha256: SHA-256|sha512: SHA-512|sha1: SHA-1, for senders that have no other"`
	SignatureEncoding string   `attribute:"signature_encoding" default:"hex" doc:"With ´hmac´: how the signature is written." values:"hex: in hexadecimal|base64: in base64"`
	TimestampHeader   string   `attribute:"timestamp_header" doc:"With ´hmac´: the header with the time of the signature, in seconds since 1970."`
	Tolerance         Duration `attribute:"tolerance" default:"5m" doc:"How far the time of a signature may be from now. Older requests are refused, since somebody may have recorded them."`

	MaxRate        int `attribute:"max_rate" default:"0" doc:"Most requests per second. More are answered with 429 and ´Retry-After´. 0 for no limit."`
	MaxConcurrency int `attribute:"max_concurrency" default:"0" doc:"Most requests at once of those who may send, those that wait for a commit included. More are answered with 429 and ´Retry-After´. 0 for no limit but SPOUT_WEBHOOK_MAX_CONNECTIONS."`
}

// WebhookHandshakes are the values of handshakes.
var WebhookHandshakes = []string{"slack", "cloudevents", "challenge", "head", "sns"}

// WebhookHealth is the path that no endpoint may have.
const WebhookHealth = "/healthz"

const (
	maxWebhookIDs         = 50_000
	memoryPerWebhookBody  = Bytes(16)
	defaultMaxBody        = Bytes(8 << 20)
	leastAckTimeout       = 100 * time.Millisecond
	longestAckTimeout     = 10 * time.Minute
	maxWebhookConnections = 20_000
)

// URLPath is the path of an endpoint.
func (e WebhookEndpoint) URLPath(name string) string {
	if e.Path != "" {
		return e.Path
	}
	return "/" + name
}

// LargestBody is the most bytes of a body, with a memory budget.
func (w Webhook) LargestBody(budget Bytes) int {
	if w.MaxBody > 0 {
		return int(w.MaxBody)
	}
	return int(min(defaultMaxBody, budget/memoryPerWebhookBody))
}

// HasTLS says whether requests come over TLS.
func (w Webhook) HasTLS() bool { return w.TLS.Cert != "" || w.CertFile != "" }

func (w Webhook) streams() streams {
	return streams{names: slices.Sorted(maps.Keys(w.Endpoints)), variables: []string{"SPOUT_WEBHOOK_ENDPOINTS"}}
}

func (Webhook) largestBatch() Bytes { return 0 }

func (w Webhook) validate(all Settings) (p Problems) {
	if len(w.Endpoints) == 0 {
		p.add("SPOUT_WEBHOOK_ENDPOINTS", "", `must have at least one endpoint, such as {"github":{"auth":"github","secret_files":["/secrets/github"]}}`)
	}
	paths := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(w.Endpoints)) {
		e := w.Endpoints[name]
		wrong := e.problems(name)
		if e.Auth == "certificate" && w.ClientCA == "" && w.ClientCAFile == "" {
			p.add("SPOUT_WEBHOOK_ENDPOINTS", "", fmt.Sprintf("has the endpoint %q with the auth certificate; SPOUT_WEBHOOK_CLIENT_CA or SPOUT_WEBHOOK_CLIENT_CA_FILE must say whose certificates are good", name),
				"SPOUT_WEBHOOK_CLIENT_CA", "SPOUT_WEBHOOK_CLIENT_CA_FILE")
		}
		if other, taken := paths[e.URLPath(name)]; taken {
			wrong = append(wrong, fmt.Sprintf("has the path %s of the endpoint %q; give each a path of its own", e.URLPath(name), other))
		}
		paths[e.URLPath(name)] = name
		for _, problem := range wrong {
			p.add("SPOUT_WEBHOOK_ENDPOINTS", "", fmt.Sprintf("has the endpoint %q, which %s", name, problem))
		}
	}
	p = append(p, w.validateListener(all)...)
	return append(p, w.validateLimits(all.MemoryBudget)...)
}

func (w Webhook) validateListener(all Settings) (p Problems) {
	if _, err := netip.ParseAddr(w.Address); err != nil && w.Address != "" {
		p.add("SPOUT_WEBHOOK_ADDRESS", w.Address, "must be an IP address, for example 127.0.0.1, or empty for all")
	}
	switch {
	case w.Port < 1 || w.Port > 65535 || slices.Contains(reservedPorts, w.Port):
		p.add("SPOUT_WEBHOOK_PORT", strconv.Itoa(w.Port), fmt.Sprintf("must be a port from 1 to 65535 that Pachyderm does not use in the pod (%v)", reservedPorts))
	case w.Port == all.HTTPPort:
		p.add("SPOUT_WEBHOOK_PORT", strconv.Itoa(w.Port), "is the port of the status page, SPOUT_HTTP_PORT, too; choose another for one of the two", "SPOUT_HTTP_PORT")
	}
	if (w.CertFile == "") != (w.KeyFile == "") {
		p.add("SPOUT_WEBHOOK_TLS_CERT_FILE", w.CertFile, "goes together with SPOUT_WEBHOOK_TLS_KEY_FILE: set both or none", "SPOUT_WEBHOOK_TLS_KEY_FILE")
	}
	if w.ClientCA != "" && w.ClientCAFile != "" {
		p.add("SPOUT_WEBHOOK_CLIENT_CA_FILE", w.ClientCAFile, "cannot be set together with SPOUT_WEBHOOK_CLIENT_CA; set one of the two")
	}
	return append(p, TLS{CA: w.ClientCA}.validate("SPOUT_WEBHOOK_CLIENT")...)
}

func (w Webhook) validateLimits(budget Bytes) (p Problems) {
	if d := w.AckTimeout.Std(); d < leastAckTimeout || d > longestAckTimeout {
		p.add("SPOUT_WEBHOOK_ACK_TIMEOUT", w.AckTimeout.String(), "must be from 100ms to 10m; a commit takes 20 ms and more")
	}
	if d := w.BodyTimeout.Std(); d < time.Second || d > time.Hour {
		p.add("SPOUT_WEBHOOK_BODY_TIMEOUT", w.BodyTimeout.String(), "must be from 1s to 1h")
	}
	if w.Connections < 1 || w.Connections > maxWebhookConnections {
		p.add("SPOUT_WEBHOOK_MAX_CONNECTIONS", strconv.Itoa(w.Connections), fmt.Sprintf("must be from 1 to %d", maxWebhookConnections))
	}
	if w.IDs < 0 || w.IDs > maxWebhookIDs {
		p.add("SPOUT_WEBHOOK_MAX_IDS", strconv.Itoa(w.IDs), fmt.Sprintf("must be from 0, which remembers none, to %d, for which a commit's description has room", maxWebhookIDs))
	}
	if w.IDAge.Std() < time.Minute {
		p.add("SPOUT_WEBHOOK_MAX_ID_AGE", w.IDAge.String(), "must be at least 1m")
	}
	if w.MaxBody < 0 || w.MaxBody > budget/memoryPerWebhookBody {
		p.add("SPOUT_WEBHOOK_MAX_BODY_BYTES", w.MaxBody.String(), fmt.Sprintf("must be at most %s, a sixteenth of SPOUT_MEMORY_BUDGET", budget/memoryPerWebhookBody), "SPOUT_MEMORY_BUDGET")
	}
	return p
}

var (
	endpointName = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$`)
	endpointPath = regexp.MustCompile(`^/[A-Za-z0-9._~/-]{0,199}$`)
	headerName   = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")
	placeholder  = regexp.MustCompile(`\{[^{}]*\}`)
)

// RequestHeaders are what may stand for more than a header in headers.
var RequestHeaders = []string{":path", ":query", ":remote"}

// problems are what is wrong with an endpoint.
func (e WebhookEndpoint) problems(name string) (wrong []string) {
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if !endpointName.MatchString(name) {
		add("must have a name of 1 to 63 lower-case letters, digits, '-' and '_', that begins and ends with a letter or digit")
	}
	if at := e.URLPath(name); !endpointPath.MatchString(at) || path.Clean(at) != at || at == WebhookHealth {
		add("has the path %q; it must be a path as /github, without a / at its end, and not %s", at, WebhookHealth)
	}
	for field, value := range map[string]string{"auth": e.Auth, "body": e.Body, "ack": e.Ack, "signature_hash": e.SignatureHash, "signature_encoding": e.SignatureEncoding} {
		if field == "auth" && value == "" {
			add("has no auth; set it to one of %s, or to none if everybody may send", strings.Join(endpointValues("auth"), ", "))
		} else if allowed := endpointValues(field); !slices.Contains(allowed, value) {
			add("has the %s %q; it must be one of %s", field, value, strings.Join(allowed, ", "))
		}
	}
	wrong = append(wrong, e.authProblems()...)
	wrong = append(wrong, e.signatureProblems()...)
	wrong = append(wrong, e.idProblems()...)
	for _, handshake := range e.Handshakes {
		switch {
		case !slices.Contains(WebhookHandshakes, handshake):
			add("has the handshake %q; it must be one of %s", handshake, strings.Join(WebhookHandshakes, ", "))
		case handshake == "slack" && e.Auth != "slack":
			add("has the handshake slack, which goes with the auth slack only: Slack signs it")
		case handshake == "sns" && e.Auth != "basic":
			add("has the handshake sns, which goes with the auth basic only: Amazon SNS proves who it is by the user name and password in the address of the subscription")
		case handshake == "challenge" && len(e.TokenFiles) == 0:
			add("has the handshake challenge, but no verify_token_files; without a token, anybody could have the endpoint confirm a subscription")
		}
	}
	if len(e.TokenFiles) > 0 && !slices.Contains(e.Handshakes, "challenge") {
		add("has verify_token_files, which are for the handshake challenge; add it to handshakes, or take them out")
	}
	for _, header := range e.Headers {
		switch {
		case !headerName.MatchString(header) && !slices.Contains(RequestHeaders, header):
			add("has %q in headers, which is not a name of a header, and none of %s", header, strings.Join(RequestHeaders, ", "))
		case slices.ContainsFunc(secretHeaders, func(secret string) bool { return strings.EqualFold(header, secret) }):
			add("has %q in headers, which holds a secret", header)
		}
	}
	for _, file := range append(slices.Clone(e.SecretFiles), e.TokenFiles...) {
		if !path.IsAbs(file) || path.Clean(file) != file {
			add("has the file %q; it must be an absolute path, such as /secrets/github", file)
		}
	}
	if e.MaxRate < 0 || e.MaxConcurrency < 0 {
		add("has a negative max_rate or max_concurrency; 0 is for no limit")
	}
	return wrong
}

// secretHeaders are those that no record may have.
var secretHeaders = []string{"Authorization", "Proxy-Authorization", "Cookie", "X-Gitlab-Token"}

func endpointValues(field string) (names []string) {
	v, _ := VariableNamed("SPOUT_WEBHOOK_ENDPOINTS")
	for _, f := range v.Fields {
		if f.Attribute == field {
			for _, value := range f.Values {
				names = append(names, value.Name)
			}
		}
	}
	return names
}

// authProblems are those of who may send.
func (e WebhookEndpoint) authProblems() (wrong []string) {
	secret := e.Auth != "certificate" && e.Auth != "none" && e.Auth != ""
	switch {
	case secret && len(e.SecretFiles) == 0:
		wrong = append(wrong, "has no secret_files, which the auth "+e.Auth+" needs")
	case !secret && len(e.SecretFiles) > 0 && e.Auth != "":
		wrong = append(wrong, "has secret_files, which the auth "+e.Auth+" does not look at; take them out, or choose another auth")
	}
	if e.Auth == "none" && !e.Open {
		wrong = append(wrong, "has the auth none, so that everybody who reaches it can write into the output repo; if that is meant, set its allow_unauthenticated to true")
	}
	if e.Auth != "none" && e.Open {
		wrong = append(wrong, "has allow_unauthenticated, although its auth is "+e.Auth+"; take it out, or set auth to none")
	}
	if e.Auth != "certificate" && len(e.ClientNames) > 0 {
		wrong = append(wrong, "has client_names, which go with the auth certificate only")
	}
	return wrong
}

// signatureProblems are those of signatures whose form is set.
func (e WebhookEndpoint) signatureProblems() (wrong []string) {
	if e.Auth != "hmac" {
		if e.SignatureHeader+e.SignaturePrefix+e.TimestampHeader != "" || e.SignatureText != "{body}" || e.SignatureHash != "sha256" || e.SignatureEncoding != "hex" {
			wrong = append(wrong, "says how signatures look, which goes with the auth hmac only")
		}
		return wrong
	}
	if !headerName.MatchString(e.SignatureHeader) {
		wrong = append(wrong, fmt.Sprintf("has the signature_header %q; it must be the name of a header, such as X-Signature", e.SignatureHeader))
	}
	if e.TimestampHeader != "" && !headerName.MatchString(e.TimestampHeader) {
		wrong = append(wrong, fmt.Sprintf("has the timestamp_header %q; it must be the name of a header, such as X-Timestamp", e.TimestampHeader))
	}
	id := strings.HasPrefix(e.ID, "header:")
	known := map[string]bool{"{body}": true, "{timestamp}": e.TimestampHeader != "", "{id}": id}
	for _, found := range placeholder.FindAllString(e.SignatureText, -1) {
		if !known[found] {
			wrong = append(wrong, fmt.Sprintf("has %s in signature_text; there are {body}, {timestamp} with a timestamp_header, and {id} with an id header:NAME", found))
		}
	}
	if strings.Count(e.SignatureText, "{body}") != 1 {
		wrong = append(wrong, "must have {body} once in signature_text")
	}
	if e.TimestampHeader != "" && !strings.Contains(e.SignatureText, "{timestamp}") {
		wrong = append(wrong, "has a timestamp_header that is not signed, so that anybody can set it; put {timestamp} into signature_text")
	}
	if e.Tolerance.Std() < time.Second {
		wrong = append(wrong, "must have a tolerance of at least 1s")
	}
	return wrong
}

// idProblems are those of what requests are recognised by.
func (e WebhookEndpoint) idProblems() []string {
	kind, name, _ := strings.Cut(e.ID, ":")
	switch {
	case e.ID == "" || e.ID == "none":
		return nil
	case e.Body == "cloudevents":
		return []string{"has an id, but CloudEvents have ids of their own; take it out"}
	case kind == "header" && headerName.MatchString(name):
		return nil
	case kind == "value" && e.Body == "multipart":
		return []string{"has an id in the value, for which body must be whole, ndjson or json_array"}
	case kind == "value":
		if of, err := ParseReference(e.ID); err == nil && of.Unit == "" {
			return nil
		}
	}
	return []string{fmt.Sprintf("has the id %q; it must be header:NAME, value:FIELD or none", e.ID)}
}

func (w Webhook) validateSecrets() (p Problems) {
	p = w.TLS.validateSecrets("SPOUT_WEBHOOK_TLS")
	if w.TLS.Cert != "" && w.CertFile != "" {
		p.add("SPOUT_WEBHOOK_TLS_CERT_FILE", w.CertFile, "cannot be set together with SPOUT_WEBHOOK_TLS_CERT; set one of the two")
	}
	if name := w.endpointWith("certificate"); name != "" && !w.HasTLS() {
		p.add("SPOUT_WEBHOOK_ENDPOINTS", "", fmt.Sprintf("has the endpoint %q with the auth certificate, for which the runner must answer over TLS; set SPOUT_WEBHOOK_TLS_CERT or SPOUT_WEBHOOK_TLS_CERT_FILE", name),
			"SPOUT_WEBHOOK_TLS_CERT", "SPOUT_WEBHOOK_TLS_CERT_FILE")
	}
	return p
}

// endpointWith is the first endpoint with one of some kinds of authentication.
func (w Webhook) endpointWith(auth ...string) string {
	for _, name := range slices.Sorted(maps.Keys(w.Endpoints)) {
		if slices.Contains(auth, w.Endpoints[name].Auth) {
			return name
		}
	}
	return ""
}

func (w Webhook) exposures() []exposure {
	name := w.endpointWith("bearer", "basic", "gitlab")
	if name == "" || w.HasTLS() || w.Address != "" && address.IsLoopback(w.Address) {
		return nil
	}
	return []exposure{{variable: "SPOUT_WEBHOOK_ENDPOINTS", what: fmt.Sprintf("has the endpoint %q, whose senders send a password or token that everybody on the way can read, since there is no TLS", name),
		fix: "set SPOUT_WEBHOOK_TLS_CERT or SPOUT_WEBHOOK_TLS_CERT_FILE", allow: "SPOUT_WEBHOOK_ALLOW_CLEARTEXT_CREDENTIALS", allowed: w.AllowCleartext,
		with: []string{"SPOUT_WEBHOOK_TLS_CERT", "SPOUT_WEBHOOK_TLS_CERT_FILE", "SPOUT_WEBHOOK_ADDRESS"}}}
}
